"""How the questions of a job are worked on: what they share, what each may use, and the ways from rows to answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial

from understudy.agents.access.views import PermittedOutcomes
from understudy.agents.asked import question_of
from understudy.agents.assembly import Assembly
from understudy.agents.batch.asking import Informed, NobodyThere
from understudy.agents.batch.cluster.away import Away, Workers
from understudy.agents.batch.cluster.part import Part, Question
from understudy.agents.batch.cluster.worker import release
from understudy.agents.batch.crew import SEQUENCES, Crew, crew
from understudy.agents.batch.desk import Desk
from understudy.agents.batch.journal import Pending
from understudy.agents.batch.pipeline import Keep, Pipeline
from understudy.agents.batch.prefix import Prefixes
from understudy.agents.batch.rounds import Rounds
from understudy.agents.batch.terms import EarlierAnswers, Noting, Terms, Untold, drawing
from understudy.agents.deferral.signals import Nearest
from understudy.agents.demonstrations import Demonstrations
from understudy.core.access import Permit, Principal
from understudy.core.errors import UserError
from understudy.core.jobs import Guarantee
from understudy.core.protocols import Cancel
from understudy.core.sqlite import now
from understudy.core.types import Answer, Evidence, Scope
from understudy.graphs.ask import AskGraph, build_draft_graph, build_settle_graph
from understudy.graphs.run import drafted, recalled, settled
from understudy.graphs.state import AskState, Deps

__all__ = ["PER_CORE", "Run", "Working"]

PER_CORE = 4
"""Questions at once: while one is read, others wait for a step of the small model or for an expert."""
CHANGED = "since the job was begun, the small model, the experts or the settings have changed"


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


class Working(Assembly):
    """The work of jobs in one workspace."""

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
        documents, at_once = self.documents_of(who), min(at_once, SEQUENCES)
        self.retriever.over(documents).check(Scope(collection=collection))
        known = partial(self.example_store.questions, before=terms.moment)
        with crew(self.cast.playing(*self.place(collection), who), documents, at_once) as players:
            nearest = Nearest(players.encoder.embed_documents, known)
            shown = self._demonstrations(terms.moment)
            held = (players.forget, nearest.forget, shown.forget)
            self.forgetting += held
            try:
                yield Run(job, collection, who, terms, players, nearest, shown, at_once, cancel, guaranteed)
            finally:
                for forget in held:
                    self.forgetting.remove(forget)

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
        version = await asyncio.to_thread(run.crew.reading, scope)
        begun = await prefixes.opening(row, deps.tools, version)
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


def asked_of(row: Pending, run: Run) -> Question:
    """A row as the graph is given it. Raises `QuestionError`."""
    scope = Scope(collection=run.collection, document=row.query.document)
    return question_of(row.query.question), scope, run.who.name, thread_of(row, run), run.job


def thread_of(row: Pending, run: Run) -> str:
    """A name of a question's own."""
    return f"job-{run.job}-{row.key[:32]}"
