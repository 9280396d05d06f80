"""The half of the facade that is about many questions at once, and about jobs, which can be broken off."""

from __future__ import annotations

import asyncio
import hashlib
import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal, overload

from understudy.agents.access.views import PermittedOutcomes
from understudy.agents.asked import question_of
from understudy.agents.assembly import Assembly
from understudy.agents.batch.asking import Informed, NobodyThere, error_line
from understudy.agents.batch.cluster.away import Away, Workers
from understudy.agents.batch.cluster.part import Part, Question
from understudy.agents.batch.cluster.worker import release
from understudy.agents.batch.crew import Crew, crew
from understudy.agents.batch.desk import Desk, KeptDesk, PassingDesk
from understudy.agents.batch.journal import Pending
from understudy.agents.batch.pipeline import Keep, Pipeline
from understudy.agents.batch.prefix import Prefixes
from understudy.agents.batch.rounds import Rounds
from understudy.agents.batch.terms import EarlierAnswers, Noting, Terms, Untold, drawing
from understudy.agents.deferral.signals import Nearest
from understudy.agents.demonstrations import Demonstrations
from understudy.core.access import Permit, Principal
from understudy.core.errors import ScopeError, UnderstudyError, UserError
from understudy.core.jobs import Guarantee, Job, JobEngine, Query, Result, SchemaSource
from understudy.core.machine import cores
from understudy.core.protocols import Cancel
from understudy.core.sqlite import now
from understudy.core.types import Answer, Evidence, Scope
from understudy.graphs.ask import AskGraph, build_draft_graph, build_settle_graph
from understudy.graphs.run import drafted, recalled, settled
from understudy.graphs.state import AskState, Deps, never

__all__ = ["Batching"]

PER_CORE = 4
"""Questions at once: while one is read, others wait for a step of the small model or for an expert."""

CHANGED = "since the job was begun, the small model, the experts or the settings have changed"


class Batching(Assembly):
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
        asked = [Pending(at[0], f"{call}-{at[0]}", "", queries[at[0]]) for at in same.values()]
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

    def _terms(self) -> Terms:
        """What a job that is begun now goes by."""
        return Terms(moment=now(), derivation=self.deferral.derivation)

    def _terms_of(self, job: str) -> Terms:
        """What a job goes by; new ones where another model answers now than when it was begun."""
        held = self.journal.terms(job)
        terms = None if held is None else Terms.model_validate_json(held)
        if terms is None or not terms.hold(self.deferral.derivation):
            terms = self._terms()
            self.journal.agree(job, terms.model_dump_json())
            self._renounce(job)
        return terms

    def _renounce(self, job: str) -> None:
        """Promise nothing of a job whose drafts are not all of the same models and settings."""
        goal = self.journal.guarantee(job)
        if goal is not None and not goal.given and not goal.why and self.journal.standing(job):
            self.journal.promise(job, goal.model_copy(update={"given": False, "why": CHANGED}))

    def _goal(self, max_loss: float | None, confidence: float | None, collection: str) -> Guarantee | None:
        """What is to be promised of a job, with what stands against it. Raises `UserError`."""
        if max_loss is None:
            if confidence is not None:
                raise UserError("a confidence without a loss promises nothing; give max_quality_loss too")
            return None
        sure = self.settings.deferral.confidence if confidence is None else confidence
        if not (0 <= max_loss <= 1 and 0 < sure < 1):
            raise UserError(
                f"a loss of {max_loss} with confidence {sure} can't be promised; a loss is a share from 0 to 1, "
                "and a confidence lies between 0 and 1"
            )
        why = ""
        if not len(self.experts):
            why = "no expert is configured, so there is none to equal"
        elif not self.egress.policy.compares(collection):
            why = f"no expert may see evidence of collection {collection!r} unasked, so nothing can be compared"
        return Guarantee(max_quality_loss=max_loss, confidence=sure, why=why)

    @contextmanager
    def _run_of(
        self,
        job: str,
        collection: str,
        who: Principal,
        terms: Terms,
        at_once: int,
        cancel: Cancel,
        guaranteed: bool = False,
    ) -> Iterator[Run]:
        """What all questions of a job share."""
        documents = self.documents_of(who)
        self.retriever.over(documents).check(Scope(collection=collection))
        known = partial(self.example_store.questions, before=terms.moment)
        with crew(self.cast.playing(*self.place(collection), who), documents, at_once) as players:
            nearest = Nearest(players.encoder.embed_documents, known)
            shown = self._demonstrations(terms.moment)
            yield Run(job, collection, who, terms, players, nearest, shown, at_once, cancel, guaranteed)

    async def _all(
        self, asked: Iterable[Pending], run: Run, stopped: Cancel, keep: Keep, crowd: Workers | None = None
    ) -> None:
        """Ask them all, and hand over what becomes of each; `stopped` is asked between questions."""
        await self.tooling.ready()
        deps: dict[int, Deps] = {}  # of the drafts that wait
        prefixes = Prefixes(run.crew.planner, run.collection)

        async def draft(row: Pending) -> AskState:
            found = await asyncio.to_thread(self._deps_for, row, run)
            state = await self._drafted(row, run, found, prefixes)
            deps[row.number] = found
            return state

        async def settle(row: Pending, state: AskState) -> tuple[Answer, tuple[Scope, ...]]:
            return await settled(self._settle_graph, deps.pop(row.number), state)

        pipeline = Pipeline(self.traffic, draft, settle, keep, stopped)
        try:
            if crowd is None:
                await pipeline.run(prefixes.announced(asked), run.at_once)
            else:
                deps_of, question = partial(self._deps_for, run=run), partial(asked_of, run=run)
                await Away(pipeline, deps_of, question, deps, crowd).run(asked, run.at_once)
        finally:
            await asyncio.to_thread(self.deferral.renew)

    async def _in_rounds(self, desk: Desk, run: Run, stopped: Cancel) -> Guarantee:
        """Ask all rows of a job with a guarantee, and say whether it holds."""
        await self.tooling.ready()
        prefixes = Prefixes(run.crew.planner, run.collection)

        async def draft(row: Pending) -> AskState:
            return await self._drafted(row, run, await asyncio.to_thread(self._deps_for, row, run), prefixes)

        async def settle(row: Pending, state: AskState) -> tuple[Answer, tuple[Scope, ...]]:
            deps = await asyncio.to_thread(self._deps_for, row, run)
            return await settled(self._settle_graph, deps, await recalled(deps, state))

        seed = f"{run.job}\0{run.terms.moment}"
        asking = max(1, sum(expert.at_once for expert in self.settings.experts))
        rounds = Rounds(self.traffic, desk, draft, settle, stopped, seed, prefixes.announced, asking)
        return await rounds.run(run.at_once)

    async def _in_passing(self, desk: Desk, run: Run, stopped: Cancel) -> Guarantee:
        """The same for drafts that nobody else could forget."""
        async with self.traffic.passing():
            return await self._in_rounds(desk, run, stopped)

    async def _drafted(self, row: Pending, run: Run, deps: Deps, prefixes: Prefixes) -> AskState:
        """The first half of a question."""
        scope = Scope(collection=run.collection, document=row.query.document)
        begun = await prefixes.opening(row, deps.tools, run.crew.reading(scope))
        return await drafted(self._draft_graph, deps, *asked_of(row, run), begun)

    def _workers(self, run: Run, count: int | None) -> Workers:
        """A cluster for a job. Raises `UserError`."""
        if self.toolbox.further:
            named = ", ".join(self.toolbox.further)
            raise UserError(
                f"workers of a cluster can't use tools that are brought along ({named}); use --engine local"
            )
        small, stores, threads = self.settings.small_model, self.settings.stores, self.settings.cluster.threads
        part = Part(
            release=release(),
            workspace=self.workspace.root,
            identity=self.workspace.identity(),
            index=None,
            documents=None if stores.documents is None else stores.documents.get_secret_value(),
            documents_env=stores.documents_env,
            chroma=stores.chroma,
            collection=run.collection,
            principal=run.who.name,
            job=run.job,
            model=self.model.engine.path.absolute(),
            name=self.cast.model.name,
            settings=small.model_copy(update={"threads": threads}),
            shares=run.crew.planner.open_with("", Evidence()) is not None,
            card=self.cast.playing(*self.place(run.collection), run.who).card,
            adapters=self.workspace.adapters,
        )
        return Workers(self.settings, self.workspace, part, partial(self.store.revision, run.collection), count)

    def _deps_for(self, row: Pending, run: Run) -> Deps:
        """What one question may use: what was known when the job was begun, and nobody to wait for."""
        query = row.query
        if query.problem is not None:
            raise UserError(query.problem)
        permit = Permit(run.who, (run.who.access.ground(run.collection),))
        players = run.crew.of(Scope(collection=run.collection, document=query.document))
        deps: Deps = self._deps(players, permit, self.place(run.collection)[1], run.cancel)
        judge = self.deferral.judge_as_of(
            run.terms.moment, run.terms.derivation, run.nearest, drawing(run.job, row.key).random, run.who
        )
        cache = EarlierAnswers(deps.cache, run.terms.moment, thread_of(row, run), similar=not run.guaranteed)
        return replace(
            deps,
            judge=judge,
            cache=cache,
            outcomes=Untold() if run.guaranteed else PermittedOutcomes(Noting(self.deferral), permit),
            experts=Informed(deps.experts, self.egress.policy.informs) if run.guaranteed else deps.experts,
            brief=partial(self._brief, permit, run.shown),
            guard=NobodyThere(deps.guard),
        )

    @cached_property
    def _draft_graph(self) -> AskGraph:
        """It keeps nothing, so all jobs share it."""
        return build_draft_graph()

    @cached_property
    def _settle_graph(self) -> AskGraph:
        """The same."""
        return build_settle_graph()


@dataclass(frozen=True)
class Run:
    """What all questions of a job share while it runs."""

    job: str
    collection: str
    who: Principal
    terms: Terms
    crew: Crew
    nearest: Nearest
    shown: Demonstrations
    """What an expert is shown of earlier answers."""
    at_once: int
    """Questions that are drafted beside each other."""
    cancel: Cancel
    """Asked between tokens."""
    guaranteed: bool = False
    """Whether something is to be promised of the job as a whole."""


def asked_of(row: Pending, run: Run) -> Question:
    """A row as the graph is given it. Raises `QuestionError`."""
    scope = Scope(collection=run.collection, document=row.query.document)
    return question_of(row.query.question), scope, run.who.name, thread_of(row, run), run.job


def thread_of(row: Pending, run: Run) -> str:
    """A name of a question's own."""
    return f"job-{run.job}-{row.key[:32]}"


def free(answer: Answer) -> Answer:
    """An answer for the next one who asked the same: the call was paid for once."""
    return answer.model_copy(update={"cost_usd": 0.0})


def digest_of(versions: Mapping[str, str]) -> str:
    """Of all documents of a collection, in their versions."""
    return hashlib.sha256("\n".join(f"{i}\t{v}" for i, v in sorted(versions.items())).encode()).hexdigest()
