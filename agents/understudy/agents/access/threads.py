"""Threads have owners: LangGraph's checkpoints, and beside them who began each thread and what it rests on.

A thread is its principal's alone, the owner of the workspace not excepted. It rests on every collection that was asked
in it, with the label of that time. Who may no longer read one of them may not go on with it, nor be told that it is
there.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from sqlalchemy import Column, Connection, MetaData, String, Table, Text, insert, inspect, select, text, update

from understudy.core.access import Ground, Permit, Principal, grounds_of, grounds_text, joined
from understudy.core.errors import InternalError, ScopeError
from understudy.core.sqlite import now, open_sqlite, workspace_errors
from understudy.graphs.state import thread_key

__all__ = ["OwnThread", "Threads"]

metadata = MetaData()
owners = Table(
    "thread_owners",
    metadata,
    Column("key", String, primary_key=True),
    Column("principal", String, index=True),
    Column("grounds", Text),
    Column("begun", String),
)


class Threads:
    """Who began which thread, and what it rests on.

    Args:
        path: of the SQLite file that holds the checkpoints too.
        saver: of the checkpoints.
    """

    def __init__(self, path: Path, saver: BaseCheckpointSaver[Any]) -> None:
        self._path, self._saver = path, saver
        self._engine = open_sqlite(path)
        with workspace_errors(path), self._engine.begin() as db:
            if not inspect(db).has_table(owners.name):
                metadata.create_all(db)
                adopt(db)

    def close(self) -> None:
        """Close the database; the saver is closed by whoever opened it."""
        self._engine.dispose()

    def begin(self, principal: Principal, collection: str) -> tuple[str, Permit]:
        """A new thread, with leave to ask a collection in it."""
        name, grounds = uuid.uuid4().hex[:12], (principal.access.ground(collection),)
        key = thread_key(principal.name, name)
        values = {"principal": principal.name, "grounds": grounds_text(grounds), "begun": now()}
        with workspace_errors(self._path), self._engine.begin() as db:
            db.execute(insert(owners).values(key=key, **values))
        return name, Permit(principal, grounds, partial(self._join, key))

    def enter(self, principal: Principal, thread: str, collection: str) -> Permit:
        """Leave to ask a collection in a thread of one's own, which rests on it from now on.

        Raises `ScopeError`, with one message for a thread that isn't there, is another's, or rests on what may not be
        read.
        """
        key = thread_key(principal.name, thread)
        with workspace_errors(self._path), self._engine.begin() as db:
            kept = db.execute(select(owners.c.grounds).where(owners.c.key == key)).one_or_none()
            if kept is None or not principal.may_use(grounds_of(kept.grounds)):
                raise ScopeError(f"there is no thread {thread!r} of yours; leave it out to begin a new one")
            # What nobody knows the grounds of stays so, whatever is asked in it later.
            grounds = joined(grounds_of(kept.grounds), (principal.access.ground(collection),))
            db.execute(update(owners).where(owners.c.key == key).values(grounds=grounds_text(grounds)))
        return Permit(principal, grounds, partial(self._join, key))

    def _join(self, key: str, more: tuple[Ground, ...]) -> None:
        """A thread rests on more from now on: something was given in it that does."""
        mine = owners.c.key == key
        with workspace_errors(self._path), self._engine.begin() as db:
            before = db.scalar(select(owners.c.grounds).where(mine))
            grounds = joined(grounds_of(before), more)
            db.execute(update(owners).where(mine).values(grounds=grounds_text(grounds)))

    def open_to(self, principal: Principal, key: str) -> bool:
        """Whether somebody may read all that a thread, by its key, rests on."""
        with workspace_errors(self._path), self._engine.begin() as db:
            kept = db.execute(select(owners.c.grounds).where(owners.c.key == key)).one_or_none()
        return kept is not None and principal.may_use(grounds_of(kept.grounds))

    def listing(self, principal: Principal) -> list[str]:
        """The keys of the threads that somebody may go on with, oldest first."""
        query = select(owners.c.key, owners.c.grounds).where(owners.c.principal == principal.name)
        with workspace_errors(self._path), self._engine.begin() as db:
            rows = db.execute(query.order_by(owners.c.begun)).all()
            return [str(row.key) for row in rows if principal.may_use(grounds_of(row.grounds))]

    def saver(self, principal: Principal, thread: str) -> OwnThread:
        """The checkpoints of one thread, and of no other."""
        return OwnThread(self._saver, thread_key(principal.name, thread))


def adopt(db: Connection) -> None:
    """Threads of before they had owners: their keys name the principal, and nobody knows what they rest on."""
    if not inspect(db).has_table("checkpoints"):
        return
    for key in db.scalars(text("SELECT DISTINCT thread_id FROM checkpoints")).all():
        name = unquote(str(key).partition("/")[0])
        db.execute(insert(owners).values(key=key, principal=name, grounds=grounds_text(()), begun=now()))


class OwnThread(BaseCheckpointSaver[Any]):
    """A checkpointer that opens one thread. Asked for another, it raises `InternalError`."""

    def __init__(self, saver: BaseCheckpointSaver[Any], key: str) -> None:
        super().__init__(serde=saver.serde)
        self._saver, self._key = saver, key

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that a configuration names."""
        return await self._saver.aget_tuple(self._own(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """The thread's checkpoints, latest first."""
        async for found in self._saver.alist(self._own(config), filter=filter, before=before, limit=limit):
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint."""
        return await self._saver.aput(self._own(config), checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote."""
        await self._saver.aput_writes(self._own(config), writes, task_id, task_path)

    def get_next_version(self, current: Any, channel: None) -> Any:
        """The version after one."""
        return self._saver.get_next_version(current, channel)

    def _own(self, config: RunnableConfig | None) -> RunnableConfig:
        asked = None if config is None else config.get("configurable", {}).get("thread_id")
        if config is None or asked != self._key:
            raise InternalError(f"a question in thread {self._key!r} reached for {asked!r}")
        return config
