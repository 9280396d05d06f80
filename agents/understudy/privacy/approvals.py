"""Which requests wait for a person, and which approvals were used: ids, names and hashes, and never any text.

What would leave stands in the thread that waits, and nowhere else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Column, MetaData, String, Table, delete, insert, select, update

from understudy.core.data import Data
from understudy.core.egress import Request
from understudy.core.errors import WorkspaceError
from understudy.core.sqlite import now, open_sqlite, workspace_errors

__all__ = ["ApprovalStore", "Noted"]

metadata = MetaData()
requests = Table(
    "requests",
    metadata,
    Column("id", String, primary_key=True),
    Column("principal", String),
    Column("thread", String),
    Column("collection", String),
    Column("expert", String),
    Column("sha256", String),
    Column("created", String),
    Column("used", String),
)


class Noted(Data):
    """A request that was made: of whom, where it waits, and of what."""

    id: str
    principal: str
    thread: str
    """With its principal, as the checkpointer knows it."""
    collection: str
    expert: str
    sha256: str
    created: str
    used: str | None = None
    """When its approval was taken, right before sending."""


class ApprovalStore:
    """An `Approvals` on SQLite, in a file that only its owner may read.

    Raises `WorkspaceError` where the file can't be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise WorkspaceError(f"{path} can't be written: {error.strerror}") from error
        self._engine = open_sqlite(path)
        with workspace_errors(path):
            metadata.create_all(self._engine)

    def close_file(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def ask(self, request: Request, principal: str, thread: str) -> None:
        """Note that a person is waited for; to note it twice is to note it once."""
        row = {
            "id": request.id,
            "principal": principal,
            "thread": thread,
            "collection": request.collection,
            "expert": request.expert,
            "sha256": request.sha256,
            "created": now(),
        }
        with workspace_errors(self._path), self._engine.begin() as db:
            db.execute(insert(requests).prefix_with("OR IGNORE").values(row))

    def use(self, id: str) -> bool:
        """Take an approval, once: `False` where it was taken before, or was never asked for."""
        with workspace_errors(self._path), self._engine.begin() as db:
            taken = db.execute(
                update(requests).where(requests.c.id == id, requests.c.used.is_(None)).values(used=now())
            )
            return bool(taken.rowcount == 1)

    def close(self, id: str) -> None:
        """Nobody is waited for any more."""
        with workspace_errors(self._path), self._engine.begin() as db:
            db.execute(delete(requests).where(requests.c.id == id))

    def forget(self, thread: str) -> None:
        """Take out all requests of a thread that is erased."""
        with workspace_errors(self._path), self._engine.begin() as db:
            db.execute(delete(requests).where(requests.c.thread == thread))

    def noted(self, id: str | None = None) -> list[Noted]:
        """All requests, or the one of an id, oldest first; those whose thread has gone on too."""
        query = select(requests).order_by(requests.c.created)
        with workspace_errors(self._path), self._engine.connect() as db:
            rows: Any = db.execute(query if id is None else query.where(requests.c.id == id)).mappings().all()
        return [Noted.model_validate(dict(row)) for row in rows]
