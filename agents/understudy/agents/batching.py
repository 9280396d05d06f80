"""The half of the facade that is about many questions at once, and about jobs, which can be broken off."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, overload

from understudy.agents.batch.asking import error_line
from understudy.agents.batch.desk import KeptDesk, PassingDesk
from understudy.agents.batch.journal import Pending
from understudy.agents.working import PER_CORE, Working
from understudy.core.errors import ScopeError, UnderstudyError, UserError
from understudy.core.jobs import Guarantee, Job, JobEngine, Query, Result, SchemaSource
from understudy.core.machine import cores
from understudy.core.protocols import Cancel
from understudy.core.types import Answer, Scope
from understudy.graphs.state import never

__all__ = ["Batching"]


class Batching(Working):
    """Many questions of one workspace."""

    @overload
    async def abatch(
        self,
        questions: Sequence[str | Query],
        *,
        collection: str = ...,
        job: str | None = ...,
        budget_usd: float | None = ...,
        at_once: int | None = ...,
        principal: str | None = ...,
        cancel: Cancel = ...,
        max_quality_loss: float | None = ...,
        confidence: float | None = ...,
        on_guarantee: Callable[[Guarantee], None] = ...,
        return_exceptions: Literal[False] = ...,
    ) -> list[Answer]: ...

    @overload
    async def abatch(
        self,
        questions: Sequence[str | Query],
        *,
        collection: str = ...,
        job: str | None = ...,
        budget_usd: float | None = ...,
        at_once: int | None = ...,
        principal: str | None = ...,
        cancel: Cancel = ...,
        max_quality_loss: float | None = ...,
        confidence: float | None = ...,
        on_guarantee: Callable[[Guarantee], None] = ...,
        return_exceptions: Literal[True],
    ) -> list[Answer | UnderstudyError]: ...

    async def abatch(
        self,
        questions: Sequence[str | Query],
        *,
        collection: str = "default",
        job: str | None = None,
        budget_usd: float | None = None,
        at_once: int | None = None,
        principal: str | None = None,
        cancel: Cancel = never,
        max_quality_loss: float | None = None,
        confidence: float | None = None,
        on_guarantee: Callable[[Guarantee], None] = lambda _guarantee: None,
        return_exceptions: bool = False,
    ) -> list[Answer] | list[Answer | UnderstudyError]:
        """Answer many questions, beside each other; the answers in order. Awaitable from any event loop.

        Nothing is kept of it but what every answer leaves in the cache and the books; for what must survive a crash,
        see `begin_job`. The answers belong to no thread. Where an expert could be asked only with a person's approval,
        the local answer stands.

        Args:
            questions: words, or a `Query` with the document that is asked.
            collection: whose documents.
            job: what the questions belong to in the books; by default to this call alone.
            budget_usd: what the job's experts may cost, with what it has spent before; by default as the settings say.
            at_once: questions in progress at once.
            principal: who asks, if not the one that the agent was opened for.
            cancel: asked between tokens; true stops the batch.
            max_quality_loss: what all answers together may lose against an expert's; experts are asked about as many
                as that takes. While such a batch runs, nothing can be erased.
            confidence: with which that is promised; by default as the settings say.
            on_guarantee: told in the end whether it holds, and if not, why.
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
        who, call = self._who(principal), uuid.uuid4().hex
        job = job or f"batch-{call}"
        goal = self._goal(max_quality_loss, confidence, collection)
        same: dict[tuple[str, str | None, str | None], list[int]] = {}
        for number, query in enumerate(queries):
            same.setdefault((query.question, query.document, query.problem), []).append(number)
        first = {query.document: number for number, query in reversed(list(enumerate(queries)))}
        asked = [Pending(at[0], digest_of({call: str(at[0])}), "", queries[at[0]]) for at in same.values()]
        asked.sort(key=lambda row: first[row.query.document])  # those of one document after each other
        found: dict[int, Answer | UnderstudyError] = {}

        def keep(row: Pending, outcome: Answer | UnderstudyError, _rests_on: tuple[Scope, ...]) -> None:
            if isinstance(outcome, UnderstudyError) and not return_exceptions:
                raise outcome
            first, *others = same[row.query.question, row.query.document, row.query.problem]
            found[first] = outcome
            again = outcome if isinstance(outcome, UnderstudyError) else free(outcome)
            found.update(dict.fromkeys(others, again))

        if budget_usd is not None:
            self.ledger.cap(job, budget_usd)
        width, rounds = at_once or PER_CORE * cores(), goal is not None and not goal.why
        with self._run_of(job, collection, who, self._terms(), width, cancel, rounds) as run:
            if goal is not None and rounds:
                desk = PassingDesk(asked, {at[0]: at for at in same.values()}, goal, keep)
                goal = await self._loop.awaited(self._in_passing(desk, run, cancel))
            else:
                await self._loop.awaited(self._all(asked, run, cancel, keep))
        if goal is not None:
            on_guarantee(goal)
        return [found[number] for number in range(len(queries))]

    def begin_job(
        self,
        job: str,
        queries: Sequence[Query],
        *,
        collection: str = "default",
        output: str = "",
        budget_usd: float | None = None,
        max_quality_loss: float | None = None,
        confidence: float | None = None,
        principal: str | None = None,
        extracts: SchemaSource | None = None,
    ) -> Job:
        """Write a job down; one that is known keeps its answers wherever neither question nor documents changed.

        Args:
            job: its id.
            queries: in order.
            collection: whose documents.
            output: where its results are to go.
            budget_usd: what its experts may cost, over all times that it is run.
            max_quality_loss: what all its answers together may lose against an expert's; the job says at once where
                nothing can be promised.
            confidence: with which that is promised; by default as the settings say.
            principal: whose job it is.
            extracts: the schema that its answers fill; every query's id is a field of it.

        Raises:
            NoDocumentsError: the collection is empty, or not theirs to read.
            ScopeError: the job is another principal's.
            UserError: it is running, or the budget, the loss or the confidence is none.
        """
        who, goal = self._who(principal), self._goal(max_quality_loss, confidence, collection)
        if budget_usd is not None and not (math.isfinite(budget_usd) and budget_usd >= 0):
            raise UserError(f"a budget of {budget_usd} dollars is none; give what the job may cost, or leave it out")
        documents = self.documents_of(who)
        self.retriever.over(documents).check(Scope(collection=collection))
        held = self.journal.find(job)
        if held is not None and held.principal != who.name:
            raise ScopeError(f"job {job!r} is another principal's; give it another --out")
        with self.traffic.shared():
            versions = {name: version for name, version, _ in documents.entries(collection)}
            whole = digest_of(versions)

            def basis(query: Query) -> str:
                return whole if query.document is None else versions.get(query.document, "")

            terms = self._terms().model_dump_json()
            return self.journal.begin(
                job, who.name, collection, output, budget_usd, queries, basis, terms, extracts, goal
            )

    def run_job(
        self,
        job: str,
        *,
        at_once: int | None = None,
        on_row: Callable[[Result], None] = lambda _row: None,
        principal: str | None = None,
        cancel: Cancel = never,
        engine: JobEngine = "local",
        workers: int | None = None,
    ) -> Job:
        """Ask what is still to be asked of a job; every answer is kept as soon as it is there.

        Args:
            job: its id.
            at_once: questions in progress at once, as far as this process works on them.
            on_row: told of every row that is done, once for each that is the same.
            principal: whose job it is.
            cancel: asked between tokens; true stops it, and it can be gone on with.
            engine: who drafts: this process, or the workers of a Ray cluster. The answers are the same.
            workers: of the cluster, if not as many as the settings say.

        Raises:
            ScopeError: there is no such job of theirs.
            UserError: it is running, or the cluster can't be reached, or its workers can't work.
            MissingExtraError: the engine isn't installed.
            WorkspaceError: a database can't be written.
            Stopped: `cancel` said so, or somebody cancelled it.
        """
        held = self.job(job, principal=principal)
        who = self.access.principal(held.principal)

        def keep(
            row: Pending,
            outcome: Answer | UnderstudyError,
            rests_on: tuple[Scope, ...],
            loss: float | None = None,
        ) -> None:
            kept = outcome if isinstance(outcome, Answer) else error_line(outcome, row.query, held.collection)
            answer, error = (kept, None) if isinstance(kept, Answer) else (None, kept)
            for _ in range(self.journal.keep(job, row, kept, rests_on, loss)):
                on_row(Result(number=row.number, query=row.query, answer=answer, error=error))
                answer = None if answer is None else free(answer)

        def stopped() -> bool:
            return cancel() or self.journal.cancelled(job)

        with self.journal.running(job):
            self.ledger.cap(job, held.budget_usd)
            width, terms = at_once or PER_CORE * cores(), self._terms_of(job)
            goal = self.journal.guarantee(job)
            rounds = goal is not None and (not goal.why or bool(self.journal.standing(job)))
            if rounds and engine == "ray":
                raise UserError("a job with --max-quality-loss is drafted by this process; leave --engine ray out")
            with self._run_of(job, held.collection, who, terms, width, cancel, rounds) as run:
                if rounds:
                    self._loop.run(self._in_rounds(KeptDesk(self.journal, job, keep), run, stopped))
                else:
                    crowd = self._workers(run, workers) if engine == "ray" else None
                    self._loop.run(self._all(self.journal.pending(job), run, stopped, keep, crowd))
        return self.journal.get(job)

    def jobs(self, *, principal: str | None = None) -> list[Job]:
        """A principal's jobs; those of all, for who may read everything. The one that changed last comes first."""
        who = self._who(principal)
        found = self.journal.listing(who.name if who.restricted else None)
        return [job for job in found if who.may_read(job.collection)]

    def job(self, job: str, *, principal: str | None = None) -> Job:
        """A job in short. Raises `ScopeError`: there is none, or none that they may read."""
        who, held = self._who(principal), self.journal.get(job)
        if who.restricted and (held.principal != who.name or not who.may_read(held.collection)):
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


def free(answer: Answer) -> Answer:
    """An answer for the next one who asked the same: the call was paid for once."""
    return answer.model_copy(update={"cost_usd": 0.0})


def digest_of(versions: Mapping[str, str]) -> str:
    """Of all documents of a collection, in their versions."""
    return hashlib.sha256("\n".join(f"{i}\t{v}" for i, v in sorted(versions.items())).encode()).hexdigest()
