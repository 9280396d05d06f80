"""How every SQLite file of a workspace is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from understudy.core.errors import WorkspaceError

__all__ = ["add_columns", "now", "open_sqlite", "workspace_errors"]


def open_sqlite(path: Path) -> Engine:
    """An engine whose writers wait up to 30 s for each other, and whose readers need not wait."""
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": 30})
    event.listen(engine, "connect", set_pragmas)
    return engine


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


def now() -> str:
    """UTC, to the microsecond, sortable."""
    return datetime.now(UTC).isoformat()


def locked(error: BaseException) -> bool:
    """Whether another connection is in the way for a moment."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


# SQLite's own waiting doesn't cover the change of the journal mode: two that open a new file at once would collide.
@retry(retry=retry_if_exception(locked), stop=stop_after_delay(30), wait=wait_random(0.005, 0.05), reraise=True)
def set_pragmas(connection: Any, _record: Any) -> None:
    """Readable while it is written."""
    connection.execute("PRAGMA journal_mode=WAL")
