"""What a job takes that many machines work on: `[cluster]`, where the workers are, and `[stores]`, what they read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from understudy.core.table import Table

__all__ = ["ClusterSettings", "StoresSettings"]


class ClusterSettings(Table):
    """`[cluster]`: the workers of jobs that are run by `--engine ray`."""

    address: Annotated[str | None, Field(min_length=1)] = None
    """Of a Ray cluster, such as `10.0.0.1:6379`; without one, a job starts workers on its own machine."""
    workers: Annotated[int | None, Field(ge=1, le=10_000)] = None
    """Processes that draft, each with the small model; by default as many as there are cores for."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Of each worker. More workers with one thread draft more than fewer with several, where memory allows them."""


class StoresSettings(Table):
    """`[stores]`: servers that hold documents and vectors, in the place of the workspace's own files."""

    documents: SecretStr | None = None
    """Of a Postgres database, `postgresql+psycopg://…`; it may hold a password, so it is never shown whole."""
    documents_env: Annotated[str | None, Field(min_length=1)] = None
    """Name of the environment variable that holds the URL, instead; workers have one of their own by this name."""
    chroma: Annotated[str | None, Field(pattern="^https?://[^/@]+/?$")] = None
    """Of a Chroma server, such as `http://10.0.0.1:8000`."""
