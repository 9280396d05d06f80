"""How every SQLite file of a workspace is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event

__all__ = ["open_sqlite"]


def open_sqlite(path: Path) -> Engine:
    """An engine whose writers wait up to 30 s for each other, and whose readers need not wait."""
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": 30})
    event.listen(engine, "connect", set_pragmas)
    return engine


def set_pragmas(connection: Any, _record: Any) -> None:
    """Readable while it is written."""
    connection.execute("PRAGMA journal_mode=WAL")
