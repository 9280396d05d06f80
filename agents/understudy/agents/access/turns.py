"""What was asked in each thread, with the answers as they were shown, in the file of LangGraph's checkpoints.

A question is written before it is answered, so that one which was killed is still shown. What the small model is told
of earlier questions comes from the checkpoints alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from understudy.core.conversation import ThreadInfo, Turn
from understudy.core.errors import ThreadBusyError, UserError
from understudy.core.history import Counted, Step, start
from understudy.core.sqlite import now, open_sqlite, workspace_errors
from understudy.core.types import Answer, Scope
from understudy.graphs.state import Event

__all__ = ["Asked", "Turns"]

metadata = MetaData()
turns = Table(
    "turns",
    metadata,
    Column("key", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("question", Text),
    Column("collection", String),
    Column("document", String),
    Column("asked", String),
    Column("changed", String),
    Column("status", String, index=True),
    Column("request", String),
    Column("answer", Text),
    Column("error", Text),
    Column("good", Boolean),
    Column("correction", Text),
)
titles = Table("thread_titles", metadata, Column("key", String, primary_key=True), Column("title", Text))

DECIDED = (turns.c.status == "running") & turns.c.request.is_not(None)
"""A question whose request was decided, and which isn't answered yet."""
Asked = tuple[str, int]
"""A question: its thread's key, and its number there."""
STOPS_S = 5.0
"""Seconds that a question which was stopped may take to end."""
LAPSED = "the thread went on before anybody decided whether an expert may be asked"


class Turns:
    """The questions of all threads. Whose a thread is, `Threads` knows.

    Args:
        path: of the SQLite file that holds the checkpoints too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = open_sqlite(path)
        with self._begun() as db:
            metadata.create_all(db)
            # One process owns a workspace: what was running when it was opened runs no more.
            db.execute(update(turns).where(DECIDED).values(status="waiting"))
            db.execute(update(turns).where(turns.c.status == "running").values(status="interrupted"))

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def begin(self, key: str, question: str, scope: Scope) -> Asked:
        """Write a question down. A request that still waits in its thread lapses. Raises `ThreadBusyError`."""
        with self._begun() as db:
            alone(db, key)
            for waits in db.execute(select(turns).where(turns.c.key == key, turns.c.status == "waiting")).all():
                lapse(db, waits)
            highest = db.scalar(select(func.max(turns.c.number)).where(turns.c.key == key)) or 0
            values = {"question": question, "collection": scope.collection, "document": scope.document}
            times = {"asked": now(), "changed": now()}
            db.execute(insert(turns).values(key=key, number=highest + 1, status="running", **values, **times))
        return key, highest + 1

    @retry(
        retry=retry_if_exception_type(ThreadBusyError),
        stop=stop_after_delay(STOPS_S),
        wait=wait_fixed(0.05),
        reraise=True,
    )
    async def begun(self, key: str, question: str, scope: Scope) -> Asked:
        """`begin`, once a question that was stopped has ended, which takes it until its next token."""
        return await asyncio.to_thread(self.begin, key, question, scope)

    def finish(self, asked: Asked, answer: Answer) -> None:
        """Keep what a question was answered with: it is done, or waits for a person."""
        with self._begun() as db:
            db.execute(update(turns).where(one(asked)).values(**values_of(answer)))

    def deciding(self, key: str, request: str) -> None:
        """A request was decided, and its question is answered again: nobody else may decide it meanwhile.

        Raises `ThreadBusyError`.
        """
        with self._begun() as db:
            alone(db, key)
            db.execute(update(turns).where(waits(key, request)).values(status="running", changed=now()))

    def decided(self, key: str, request: str, answer: Answer) -> None:
        """Keep what became of a question whose request was decided."""
        with self._begun() as db:
            db.execute(update(turns).where(waits(key, request)).values(**values_of(answer)))

    def undecided(self, key: str, request: str) -> None:
        """Nothing came of a decision: where the question has no other answer since, it waits as before."""
        with self._begun() as db:
            db.execute(update(turns).where(waits(key, request)).values(status="waiting"))

    @asynccontextmanager
    async def going_on(self, key: str, request: str) -> AsyncIterator[Callable[[Event], Awaitable[None]]]:
        """`following`, for a question whose request was decided. Raises `ThreadBusyError`."""

        async def shown(event: Event) -> None:
            if event.answer is not None:
                await asyncio.to_thread(self.decided, key, request, event.answer)

        await asyncio.to_thread(self.deciding, key, request)
        try:
            yield shown
        finally:
            await asyncio.to_thread(self.undecided, key, request)

    def left(self, asked: Asked, error: str | None = None) -> None:
        """A question is answered no further: where it has no answer yet, it was interrupted."""
        unanswered = one(asked) & (turns.c.status == "running")
        with self._begun() as db:
            db.execute(update(turns).where(unanswered).values(status="interrupted", error=error, changed=now()))

    @asynccontextmanager
    async def following(self, asked: Asked) -> AsyncIterator[Callable[[Event], Awaitable[None]]]:
        """While a question is answered: gives what is to be told of every event, before anybody is shown it."""

        async def shown(event: Event) -> None:
            if event.answer is not None:
                await asyncio.to_thread(self.finish, asked, event.answer)

        try:
            yield shown
        except UserError as error:
            await asyncio.to_thread(self.left, asked, str(error))
            raise
        finally:
            # Never on the event loop: it may be what the checkpointer waits for to end its own transaction.
            await asyncio.to_thread(self.left, asked)

    def judge(self, asked: Asked, good: bool | None, correction: str | None) -> None:
        """Keep what somebody said of an answer."""
        with self._begun() as db:
            db.execute(update(turns).where(one(asked)).values(good=good, correction=correction))

    def of(self, key: str) -> list[Turn]:
        """The questions of a thread, in their order."""
        with self._begun() as db:
            rows = db.execute(select(turns).where(turns.c.key == key).order_by(turns.c.number)).all()
            return [turn_of(row) for row in rows]

    def infos(self, keys: Sequence[str]) -> list[ThreadInfo]:
        """Threads in short, the one that changed last first; without those in which nothing was asked."""
        wanted = set(keys)
        with self._begun() as db:
            named = {row.key: str(row.title) for row in db.execute(select(titles))}
            columns = (
                turns.c.key,
                turns.c.question,
                turns.c.collection,
                turns.c.asked,
                turns.c.changed,
                turns.c.status,
            )
            grouped: dict[str, list[Any]] = {}
            for row in db.execute(select(*columns).order_by(turns.c.number)):
                if row.key in wanted:
                    grouped.setdefault(row.key, []).append(row)
        found = [
            ThreadInfo(
                id=key.partition("/")[2],
                title=named.get(key, rows[0].question),
                collection=rows[-1].collection,
                turns=len(rows),
                begun=rows[0].asked,
                updated=max(row.changed for row in rows),
                status=rows[-1].status,
            )
            for key, rows in grouped.items()
        ]
        return sorted(found, key=lambda info: info.updated, reverse=True)

    def counted(self, by: Step, keys: Collection[str] | None) -> list[Counted]:
        """Answered questions by period, route and what people said of them: of some threads, or of all."""
        begun = func.substr(turns.c.asked, 1, start(by))
        route = func.json_extract(turns.c.answer, "$.route")
        query = select(turns.c.key, begun, route, turns.c.good, func.count()).where(turns.c.status == "done")
        with self._begun() as db:
            rows = db.execute(query.group_by(turns.c.key, begun, route, turns.c.good)).all()
        return [Counted(*row[1:]) for row in rows if keys is None or row.key in keys]

    def rename(self, key: str, title: str) -> None:
        """Call a thread something."""
        with self._begun() as db:
            db.execute(delete(titles).where(titles.c.key == key))
            db.execute(insert(titles).values(key=key, title=title))

    def busy(self, key: str) -> bool:
        """Whether a question of a thread is being answered."""
        with self._begun() as db:
            running = (turns.c.key == key) & (turns.c.status == "running")
            return bool(db.scalar(select(func.count()).select_from(turns).where(running)))

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with workspace_errors(self._path), self._engine.begin() as db:
            yield db


def alone(db: Connection, key: str) -> None:
    """Raise `ThreadBusyError` where a question of a thread is being answered; nothing changes that until `db` is done.

    SQLite has one writer, and whoever changes anything is that until the end, though there be nothing to change.
    """
    db.execute(update(turns).where(turns.c.key.is_(None)).values(status="running"))
    if db.scalar(select(func.count()).where(turns.c.key == key, turns.c.status == "running")):
        thread = key.partition("/")[2]
        raise ThreadBusyError(f"a question is being answered in thread {thread!r}; wait for its answer, or stop it")


def waits(key: str, request: str) -> Any:
    """The row of the question that waits for a request, or did until it was decided a moment ago."""
    return (turns.c.key == key) & (turns.c.request == request)


def one(asked: Asked) -> Any:
    """The row of a question."""
    return (turns.c.key == asked[0]) & (turns.c.number == asked[1])


def values_of(answer: Answer) -> dict[str, Any]:
    """An answer as its row keeps it."""
    kept = {"answer": answer.model_dump_json(), "request": answer.approval, "error": None}
    return {"status": answer.status, "changed": now(), **kept}


def lapse(db: Connection, waits: Row[Any]) -> None:
    """The local answer of a question that waited stands."""
    local = Answer.model_validate_json(waits.answer)
    stands = local.model_copy(update={"status": "done", "approval": None, "reason": f"{local.reason}; {LAPSED}"})
    db.execute(update(turns).where(one((waits.key, waits.number))).values(**values_of(stands)))


def turn_of(row: Row[Any]) -> Turn:
    """A row as people see it."""
    return Turn(
        number=row.number,
        question=row.question,
        collection=row.collection,
        document=row.document,
        asked=row.asked,
        status=row.status,
        answer=None if row.answer is None else Answer.model_validate_json(row.answer),
        error=row.error,
        good=row.good,
        correction=row.correction,
    )
