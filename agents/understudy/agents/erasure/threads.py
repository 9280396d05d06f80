"""Threads that saw a document, or an answer that rests on it: LangGraph's checkpoints, and their names in the books."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from understudy.core.errors import WorkspaceError
from understudy.core.provenance import touched
from understudy.core.types import Scope
from understudy.graphs.run import trace_of

__all__ = ["Conversations"]

LATEST = """
SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints AS c
WHERE checkpoint_id = (SELECT max(checkpoint_id) FROM checkpoints
                       WHERE thread_id = c.thread_id AND checkpoint_ns = c.checkpoint_ns)"""
NAMING = """
SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints WHERE instr(checkpoint, :name)
UNION SELECT thread_id, checkpoint_ns, checkpoint_id FROM writes WHERE instr(value, :name)"""
"""Strings are written as they are, so what names a document can be told from the bytes."""
Key = tuple[str, str, str]


class Conversations:
    """The threads of a workspace, every principal's.

    Args:
        path: of LangGraph's database.
        unnamed: takes a thread of a principal out of all that is kept of it elsewhere.
    """

    kind = "threads"

    def __init__(self, path: Path, unnamed: Callable[[str, str], None]) -> None:
        self._path, self._unnamed = path, unnamed
        self._serde = JsonPlusSerializer()

    def found(self, document: Scope) -> list[str]:
        """The threads that a document is behind, as `principal/thread`."""
        with self._opened() as db:
            return sorted(self._found(db, document))

    def forget(self, document: Scope) -> None:
        """Take them out, whole: what was said later in them may rest on what was said before."""
        with self._opened() as db:
            for name in self._found(db, document):
                self._drop(db, name)

    def delete(self, key: str) -> None:
        """Take one thread out, whatever it rests on."""
        with self._opened() as db:
            self._drop(db, key)

    def _drop(self, db: sqlite3.Connection, key: str) -> None:
        principal, _, thread = key.partition("/")
        self._unnamed(unquote(principal), thread)
        with db:
            db.execute("DELETE FROM thread_owners WHERE key = ?", [key])
            db.execute("DELETE FROM thread_titles WHERE key = ?", [key])
            db.execute("DELETE FROM turns WHERE key = ?", [key])
            db.execute("DELETE FROM writes WHERE thread_id = ?", [key])
            db.execute("DELETE FROM checkpoints WHERE thread_id = ?", [key])

    def _found(self, db: sqlite3.Connection, document: Scope) -> set[str]:
        """By their latest checkpoints, whose trace is of the whole thread, and by whichever names the document.

        A question that was killed noted nothing, and one that ran beside another may have overwritten what that noted.
        """
        name = (document.document or "").encode()
        keys: set[Key] = {*db.execute(LATEST), *db.execute(NAMING, {"name": name})}
        return {thread for thread, *at in sorted(keys) if touched(self._trace(db, (thread, *at)), document)}

    def _trace(self, db: sqlite3.Connection, key: Any) -> Iterator[Scope]:
        return (Scope.model_validate(scope) for scope in trace_of(self._values(db, key)))

    def _values(self, db: sqlite3.Connection, key: Key) -> Mapping[str, Any]:
        """What the state held at a checkpoint, with what was written after it and didn't make it into the next."""
        where = "WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?"
        values: dict[str, Any] = {}
        for kind, blob in db.execute(f"SELECT type, checkpoint FROM checkpoints {where}", key):
            values |= self._serde.loads_typed((kind, blob))["channel_values"]
        written = db.execute(f"SELECT channel, type, value FROM writes {where} ORDER BY task_id, idx", key).fetchall()
        for channel, kind, blob in written:
            values[channel] = self._serde.loads_typed((kind, blob))
        begun = values.pop("__start__", None)
        return values | (begun if isinstance(begun, dict) else {})

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=30)) as db:
                db.execute("PRAGMA secure_delete=ON")
                SqliteSaver(db).setup()
                yield db
        except sqlite3.Error as error:
            raise WorkspaceError(f"{self._path} is corrupt or unwritable ({error}); restore a backup") from error
