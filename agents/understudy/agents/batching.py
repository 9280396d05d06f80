"""The half of the facade that is about many questions at once, and about jobs, which can be broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, cached_property
from typing import Literal, overload

from understudy.agents.asked import question_of
from understudy.agents.assembly import Assembly
from understudy.agents.batch.asking import NobodyThere, each, error_line
from understudy.core.access import Permit, Principal
from understudy.core.errors import ScopeError, Stopped, UnderstudyError, UserError
from understudy.core.jobs import Job, Query, Result
from understudy.core.machine import cores
from understudy.core.protocols import Cancel
from understudy.core.types import Answer, Scope
from understudy.graphs.ask import AskGraph, build_ask_graph
from understudy.graphs.run import once
from understudy.graphs.state import Deps, never

__all__ = ["Batching"]

PER_CORE = 4
"""Questions at once: while one is read, others wait for a step of the small model or for an expert."""


class Batching(Assembly):
    """Many questions of one workspace."""

    @overload
    async def abatch(
        self,
        questions: Sequence[str | Query],
        *,
        collection: str = ...,
        job: str = ...,
        budget_usd: float | None = ...,
        at_once: int | None = ...,
        principal: str | None = ...,
        cancel: Cancel = ...,
        return_exceptions: Literal[False] = ...,
    ) -> list[Answer]: ...

    @overload
    async def abatch(
        self,
        questions: Sequence[str | Query],
        *,
        collection: str = ...,
        job: str = ...,
        budget_usd: float | None = ...,
        at_once: int | None = ...,
        principal: str | None = ...,
        cancel: Cancel = ...,
        return_exceptions: Literal[True],
    ) -> list[Answer | UnderstudyError]: ...

    async def abatch(
        self,
        questions: Sequence[str | Query],
        *,
        collection: str = "default",
        job: str = "batch",
        budget_usd: float | None = None,
        at_once: int | None = None,
        principal: str | None = None,
        cancel: Cancel = never,
        return_exceptions: bool = False,
    ) -> list[Answer] | list[Answer | UnderstudyError]:
        """Answer many questions, beside each other; the answers in order. Awaitable from any event loop.

        Nothing is kept of it but what every answer leaves in the cache and the books; for what must survive a crash,
        see `begin_job`. The answers belong to no thread. Where an expert could be asked only with a person's approval,
        the local answer stands.

        Args:
            questions: words, or a `Query` with the document that is asked.
            collection: whose documents.
            job: what the questions belong to in the books.
            budget_usd: what the job's experts may cost, with what it has spent before; by default as the settings say.
            at_once: questions in progress at once.
            principal: who asks, if not the one that the agent was opened for.
            cancel: asked between tokens; true stops the batch.
            return_exceptions: give an error in the place of an answer, instead of raising the first.

        Raises:
            QuestionError: one is empty, or longer than the context.
            NoDocumentsError: the collection is empty, or not theirs to read.
            ScopeError: there is no such document.
            AccessError: there is no such principal.
            WorkspaceError: a database can't be written.
            Stopped: `cancel` said so.
        """
        queries = [Query(question=q) if isinstance(q, str) else q for q in questions]
        found: dict[int, Answer | UnderstudyError] = {}

        def keep(number: int, outcome: Answer | UnderstudyError, _rests_on: tuple[Scope, ...]) -> None:
            if isinstance(outcome, UnderstudyError) and not return_exceptions:
                raise outcome
            found[number] = outcome

        who = self._who(principal)
        self.ledger.cap(job, budget_usd)
        asked = self._all(list(enumerate(queries)), collection, job, who, at_once, cancel, keep)
        await self._loop.awaited(asked)
        return [found[number] for number in range(len(queries))]

    def begin_job(
        self,
        job: str,
        queries: Sequence[Query],
        *,
        collection: str = "default",
        output: str = "",
        budget_usd: float | None = None,
        principal: str | None = None,
    ) -> Job:
        """Write a job down; one that is known keeps its answers wherever neither question nor documents changed.

        Args:
            job: its id.
            queries: in order.
            collection: whose documents.
            output: where its results are to go.
            budget_usd: what its experts may cost, over all times that it is run.
            principal: whose job it is.

        Raises:
            NoDocumentsError: the collection is empty, or not theirs to read.
            ScopeError: the job is another principal's.
        """
        who = self._who(principal)
        documents = self.retriever.over(self.documents_of(who))
        documents.check(Scope(collection=collection))
        if any(held.id == job and held.principal != who.name for held in self.journal.listing(None)):
            raise ScopeError(f"job {job!r} is another principal's; give it another --out")

        @cache
        def basis(document: str | None) -> str:
            return documents.versions(Scope(collection=collection, document=document))

        return self.journal.begin(
            job, who.name, collection, output, budget_usd, queries, lambda query: basis(query.document)
        )

    def run_job(
        self,
        job: str,
        *,
        at_once: int | None = None,
        on_row: Callable[[Result], None] = lambda _row: None,
        principal: str | None = None,
        cancel: Cancel = never,
    ) -> Job:
        """Ask what is still to be asked of a job; every answer is kept as soon as it is there.

        Args:
            job: its id.
            at_once: questions in progress at once.
            on_row: told of every row that is done, once for each that is the same.
            principal: whose job it is.
            cancel: asked between tokens; true stops it, and it can be gone on with.

        Raises:
            ScopeError: there is no such job of theirs.
            WorkspaceError: a database can't be written.
            Stopped: `cancel` said so.
        """
        held = self.job(job, principal=principal)
        who = self.access.principal(held.principal)
        left = self.journal.pending(job)

        def keep(number: int, outcome: Answer | UnderstudyError, rests_on: tuple[Scope, ...]) -> None:
            kept = outcome if isinstance(outcome, Answer) else error_line(outcome)
            same = self.journal.keep(job, number, kept, rests_on)
            answer = outcome if isinstance(outcome, Answer) else None
            for copies in range(same):
                row = Result(number=number, query=asked[number], answer=answer, error=None if answer else str(kept))
                on_row(row)
                if copies == 0 and answer is not None:
                    answer = answer.model_copy(update={"cost_usd": 0.0})  # the call was paid for once

        asked = dict(left)
        self.ledger.cap(job, held.budget_usd)
        self.journal.mark(job, "running")
        try:
            self._loop.run(self._all(left, held.collection, job, who, at_once, cancel, keep))
        except UnderstudyError:
            if not self.journal.cancelled(job):
                self.journal.mark(job, "interrupted")
            raise
        self.journal.mark(job, "done")
        return self.journal.get(job)

    def jobs(self, *, principal: str | None = None) -> list[Job]:
        """A principal's jobs; those of all, for who may read everything. The one that changed last comes first."""
        who = self._who(principal)
        return self.journal.listing(who.name if who.restricted else None)

    def job(self, job: str, *, principal: str | None = None) -> Job:
        """A job in short. Raises `ScopeError`."""
        who, held = self._who(principal), self.journal.get(job)
        if who.restricted and held.principal != who.name:
            raise ScopeError(f"there is no job {job!r}; understudy jobs list shows those that are")
        return held

    def job_results(self, job: str, *, principal: str | None = None) -> Iterator[Result]:
        """What became of every question of a job, in order. Raises `ScopeError`."""
        return self.journal.results(self.job(job, principal=principal).id)

    def cancel_job(self, job: str, *, principal: str | None = None) -> Job:
        """Stop a job; what is answered stays, and it can be gone on with. Raises `ScopeError`, `UserError`."""
        held = self.job(job, principal=principal)
        if held.status == "done":
            raise UserError(f"job {job!r} is done; there is nothing to cancel")
        self.journal.mark(job, "cancelled")
        return self.journal.get(job)

    async def _all(
        self,
        queries: Sequence[tuple[int, Query]],
        collection: str,
        job: str,
        who: Principal,
        at_once: int | None,
        cancel: Cancel,
        keep: Callable[[int, Answer | UnderstudyError, tuple[Scope, ...]], None],
    ) -> None:
        """Ask them all, and hand over what becomes of each."""
        await self.tooling.ready()

        async def work(item: tuple[int, Query]) -> None:
            number, query = item
            if cancel() or await asyncio.to_thread(self.journal.cancelled, job):
                raise Stopped(f"job {job!r} was stopped; what is answered is kept")
            try:
                answer, rests_on = await self._once(query, collection, job, number, who, cancel)
            except UnderstudyError as error:
                await asyncio.to_thread(keep, number, error, ())
            else:
                await asyncio.to_thread(keep, number, answer, rests_on)

        try:
            await each(queries, at_once or PER_CORE * cores(), work)
        except* UnderstudyError as group:
            raise first_of(group) from None

    async def _once(
        self, query: Query, collection: str, job: str, number: int, who: Principal, cancel: Cancel
    ) -> tuple[Answer, tuple[Scope, ...]]:
        if query.problem is not None:
            raise UserError(query.problem)
        scope = Scope(collection=collection, document=query.document)
        question = question_of(query.question)
        async with self.traffic.passing():
            self.retriever.over(self.documents_of(who)).check(scope)
            place = self.place(collection)
            permit = Permit(who, (who.access.ground(collection),))
            deps: Deps = self._deps(self.cast.playing(*place, who), permit, place[1], cancel)
            deps = replace(deps, guard=NobodyThere(deps.guard))
            return await once(self._jobs_graph, deps, question, scope, who.name, f"job-{job}-{number}", job)

    @cached_property
    def _jobs_graph(self) -> AskGraph:
        """It keeps nothing, so all jobs share it."""
        return build_ask_graph()


def first_of(group: BaseExceptionGroup[UnderstudyError]) -> UnderstudyError:
    """One of the errors that ended a batch."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, UnderstudyError)
    return error
