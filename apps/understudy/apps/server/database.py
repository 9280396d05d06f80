"""The server's own SQLite file: API keys, and sessions of the web app. Commands may use it while a server runs."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table

from understudy.core.errors import WorkspaceError
from understudy.core.sqlite import open_sqlite, workspace_errors

__all__ = ["digest_of", "keys", "open_database", "secret", "sessions", "transaction"]

metadata = MetaData()
keys = Table(
    "keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("digest", String, nullable=False),
    Column("principal", String, nullable=False),
    Column("name", String, nullable=False),
    Column("created", String, nullable=False),
    Column("expires", String),
    Column("revoked", String),
)
sessions = Table(
    "sessions",
    metadata,
    Column("digest", String, primary_key=True),
    Column("key", String, nullable=False),
    Column("csrf", String, nullable=False),
    Column("expires", String, nullable=False),
)


def open_database(path: Path) -> Engine:
    """The file, made if need be, readable by its owner alone. Raises `WorkspaceError`."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its log the same mode
        path.chmod(0o600)
    except OSError as error:
        raise WorkspaceError(f"{path} can't be written: {error.strerror}") from error
    engine = open_sqlite(path)
    with workspace_errors(path):
        metadata.create_all(engine)
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """All or nothing. Raises `WorkspaceError`."""
    with workspace_errors(Path(engine.url.database or "")), engine.begin() as db:
        yield db


def secret() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def digest_of(text: str) -> str:
    """SHA-256, by which secrets are kept.

    A slow hash protects passwords, which can be guessed; 256 random bits can't, however fast each guess is.
    """
    return hashlib.sha256(text.encode()).hexdigest()
