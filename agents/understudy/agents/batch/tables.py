"""The tables of the journal of jobs.

`state`, `confidence` and `loss` are of drafts that wait for their job's guarantee: see `batch.drafts`.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text

__all__ = ["jobs", "metadata", "rows"]

metadata = MetaData()
jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("principal", String, index=True),
    Column("collection", String),
    Column("output", String),
    Column("status", String),
    Column("budget_usd", Float),
    Column("created", String),
    Column("changed", String),
    Column("written", String),
    Column("terms", Text),
    Column("extracts", Text),
    Column("guarantee", Text),
)
rows = Table(
    "job_rows",
    metadata,
    Column("job", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", String),
    Column("basis", String),
    Column("query", Text),
    Column("answer", Text),
    Column("error", Text),
    Column("route", String),
    Column("cost_usd", Float),
    Column("rests_on", Text),
    Column("state", Text),
    Column("confidence", Float),
    Column("loss", Float),
    Index("same_rows", "job", "key"),
)
