"""How every SQLite file of a workspace is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Column, ColumnElement, Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from understudy.core.errors import WorkspaceError
from understudy.core.provenance import fingerprint
from understudy.core.types import Scope

__all__ = ["add_columns", "leads_to", "now", "open_sqlite", "read_sqlite", "scrub", "workspace_errors"]


def open_sqlite(path: Path) -> Engine:
    """An engine whose writers wait up to 30 s for each other, and whose readers need not wait."""
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": 30})
    event.listen(engine, "connect", set_pragmas)
    return engine


def read_sqlite(path: Path) -> Engine:
    """An engine that writes nothing, and makes no file where there is none."""
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})
    return create_engine(url, connect_args={"timeout": 30})


@contextmanager
def workspace_errors(path: Path) -> Iterator[None]:
    """Errors of a database, and of what was read from it, as `WorkspaceError`."""
    try:
        yield
    except (SQLAlchemyError, ValueError) as error:
        raise WorkspaceError(
            f"{path} is corrupt or unwritable ({str(error).splitlines()[0]}); restore it from a backup"
        ) from error


def add_columns(db: Connection, table: Table) -> None:
    """Give a table of an earlier version the columns that have come since; their values are NULL."""
    held = {column["name"] for column in inspect(db).get_columns(table.name)}
    for column in table.columns:
        if column.name not in held:
            kind = column.type.compile(db.dialect)
            db.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))


def leads_to(column: Column[Any], document: Scope) -> ColumnElement[bool]:
    """Whether a trace of fingerprints leads to a document, see `core.provenance`."""
    whole = Scope(collection=document.collection)
    return column.contains(fingerprint(document)) | column.contains(fingerprint(whole))


def scrub(path: Path) -> None:
    """Leave no byte of what was deleted in a database's file, nor in its write-ahead log. Raises `WorkspaceError`.

    Nobody else may be reading or writing.
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
            db.execute("VACUUM")
            busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise WorkspaceError(f"{path} can't be cleaned of what was deleted ({error}); try again") from error
    if busy:
        raise WorkspaceError(f"{path} can't be cleaned of what was deleted: something is reading it; try again")


def now() -> str:
    """UTC, to the microsecond, sortable."""
    return datetime.now(UTC).isoformat()


def locked(error: BaseException) -> bool:
    """Whether another connection is in the way for a moment."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


# SQLite's own waiting doesn't cover the change of the journal mode: two that open a new file at once would collide.
@retry(retry=retry_if_exception(locked), stop=stop_after_delay(30), wait=wait_random(0.005, 0.05), reraise=True)
def set_pragmas(connection: Any, _record: Any) -> None:
    """Readable while it is written; what is deleted is overwritten."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA secure_delete=ON")
