"""A job that is drafted away from home: recalled here, played by the workers of a cluster, judged and settled here."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from understudy.agents.batch.cluster.connection import connected
from understudy.agents.batch.cluster.crowd import drafts_of, room
from understudy.agents.batch.cluster.part import Asked, Drafted, Part, Question, raised
from understudy.agents.batch.journal import Pending
from understudy.agents.batch.pipeline import Pipeline
from understudy.core.errors import UserError
from understudy.core.machine import cores
from understudy.core.settings import Settings
from understudy.core.workspace import Workspace
from understudy.graphs.apart import build_judge_graph, build_recall_graph, judged, recalled
from understudy.graphs.ask import AskGraph
from understudy.graphs.state import AskState, Deps, evidence_of
from understudy.retrieval.index_files import copied_index

__all__ = ["Away", "Workers"]

COPIES = 5
"""Tries to copy the index while nobody writes."""


@dataclass(frozen=True)
class Workers:
    """The cluster of a job.

    Args:
        settings: of the workspace.
        workspace: that it reads.
        part: what each of its workers is told, but where the copy of the index lies.
        revision: of the collection, which grows with every change.
        count: of the workers; those of the settings by default, or as many as this machine has cores for.
    """

    settings: Settings
    workspace: Workspace
    part: Part
    revision: Callable[[], int]
    count: int | None = None

    @property
    def wanted(self) -> int:
        """How many there are to be."""
        threads = self.settings.cluster.threads
        return self.count or self.settings.cluster.workers or max(1, cores() // threads)

    @contextmanager
    def gathered(self) -> Iterator[Part]:
        """While they can be given work; gives what they are told. Raises `UserError`, `MissingExtraError`."""
        cluster, named = self.settings.cluster, self.settings.stores.documents_env
        needed = self.wanted * cluster.threads
        here = connected(cluster.address, needed, [named] if named else [])
        with tempfile.TemporaryDirectory(prefix="understudy-") as spare, here as folder:
            room(self.wanted, cluster.threads)
            yield self.part.model_copy(update={"index": self._copied((folder or Path(spare)) / "index")})

    def _copied(self, copy: Path) -> Path | None:
        if self.settings.stores.chroma is not None:
            return None
        for _ in range(COPIES):
            before = self.revision()
            copied_index(self.workspace.index, copy)
            if self.revision() == before:
                return copy
        raise UserError("documents are being added all the time; begin the job when they are in")


@dataclass
class Away:
    """Runs the rows of one job.

    Args:
        pipeline: with the draft that is made here.
        deps_of: what a row's question may use.
        question_of: as the graph is given it.
        ready: takes what a draft is settled with.
        workers: of the job.
    """

    pipeline: Pipeline
    deps_of: Callable[[Pending], Deps]
    question_of: Callable[[Pending], Question]
    ready: dict[int, Deps]
    workers: Workers
    _known: dict[int, tuple[Deps, AskState]] = field(default_factory=dict)
    """Rows with an earlier question that may be the same."""
    _rows: list[Pending] = field(default_factory=list)
    _left: set[int] = field(default_factory=set)
    """Numbers of those that nothing is remembered of."""
    _arrived: dict[int, Drafted] = field(default_factory=dict)
    _revision: int = -1

    async def run(self, rows: Iterable[Pending], at_once: int) -> None:
        """Work on all rows: those that nothing is remembered of go to the workers.

        Raises:
            Stopped: the job was stopped.
            UserError: the cluster can't be reached, or a worker can't work.
            ExceptionGroup: of the errors that keeping an answer raised.
        """
        await replace(self.pipeline, draft=self._recalled).run(self._noted(rows), at_once)
        if self._left:
            self._revision = self.workers.revision()
            gathered = self.workers.gathered()
            part = await asyncio.to_thread(gathered.__enter__)
            try:
                async with aclosing(self._coming(part)) as coming:
                    await replace(self.pipeline, draft=self._taken).follow(coming)
            finally:
                await asyncio.to_thread(gathered.__exit__, None, None, None)

    async def _recalled(self, row: Pending) -> AskState | None:
        """What is remembered; where nothing is, the row goes away."""
        deps = await asyncio.to_thread(self.deps_of, row)
        state = await recalled(self._recall_graph, deps, *self.question_of(row))
        if state["cached"]:
            self.ready[row.number] = deps
            return state
        if state["near"] is not None:
            self._known[row.number] = deps, state
        self._left.add(row.number)
        return None

    def _noted(self, rows: Iterable[Pending]) -> Iterator[Pending]:
        for row in rows:
            self._rows.append(row)
            yield row

    async def _coming(self, part: Part) -> AsyncGenerator[Pending, None]:
        """Rows as their drafts arrive."""
        left = {row.number: row for row in self._rows if row.number in self._left}
        asked = [self._asked(row) for row in self._rows if row.query.problem is None]
        async with aclosing(drafts_of(asked, part, self.workers.wanted, self.pipeline.stopped)) as drafts:
            async for drafted in drafts:
                self._arrived[drafted.number] = drafted
                yield left[drafted.number]

    def _asked(self, row: Pending) -> Asked:
        query, wanted = row.query, row.number in self._left
        thread = self.question_of(row)[3] if wanted else ""  # others may be no questions at all
        return Asked(number=row.number, thread=thread, question=query.question, document=query.document, wanted=wanted)

    async def _taken(self, row: Pending) -> AskState:
        """A draft that has arrived, judged; one that rests on what has changed meanwhile is made anew, here."""
        drafted, known = self._arrived.pop(row.number), self._known.pop(row.number, None)
        deps, before = known or (await asyncio.to_thread(self.deps_of, row), AskState())
        if await asyncio.to_thread(self._outdated, row, deps, drafted):
            state = await self.pipeline.draft(row)
            assert state is not None
            return state
        if drafted.state is None:
            raise raised(drafted)
        played: AskState = drafted.state  # type: ignore[assignment]
        self.ready[row.number] = deps
        return await judged(self._judge_graph, deps, before, played, drafted.seconds)

    def _outdated(self, row: Pending, deps: Deps, drafted: Drafted) -> bool:
        """Whether the documents have changed that a draft, or an error, rests on."""
        if self.workers.revision() == self._revision:
            return False
        if drafted.state is None:
            return True
        read = {p.document: p.version for p in evidence_of(drafted.state).passages}  # type: ignore[arg-type]
        return not deps.retriever.unchanged(self.question_of(row)[1], read)

    @cached_property
    def _recall_graph(self) -> AskGraph:
        return build_recall_graph()

    @cached_property
    def _judge_graph(self) -> AskGraph:
        return build_judge_graph()
