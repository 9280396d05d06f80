"""The tables of a document store."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table, Text

__all__ = ["collections", "documents", "metadata", "passages"]

metadata = MetaData()
collections = Table(
    "collections",
    metadata,
    Column("name", String, primary_key=True),
    Column("sensitivity", String),
    Column("revision", Integer, default=0),
)
documents = Table(
    "documents",
    metadata,
    Column("collection", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("title", String),
    Column("version", String),
    Column("source", String),
    Column("text", Text),
    Column("marks", Text),
    Column("complete", Boolean, default=False),
)
passages = Table(
    "passages",
    metadata,
    Column("row", Integer, primary_key=True),
    Column("collection", String, index=True),
    Column("document", String, index=True),
    Column("body", Text),
    Column("table", Boolean),
)
