"""The part of the facade that says beforehand what a job would take. Nothing is sent for it, and nothing is spent."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Sequence

from understudy.agents.batch.estimate import Sampled, plan_of
from understudy.agents.batch.journal import Pending
from understudy.agents.batch.prefix import Prefixes
from understudy.agents.recorded import BYTES_PER_TOKEN, cost, sent_bytes
from understudy.agents.working import PER_CORE, Run, Working
from understudy.core.errors import QuestionError, UnderstudyError
from understudy.core.jobs import Plan, Query
from understudy.core.machine import cores
from understudy.core.types import Scope
from understudy.core.usage import ExpertTokens
from understudy.graphs.ask import after_judge
from understudy.graphs.consulting import briefed
from understudy.graphs.state import AskState, Deps, evidence_of, never

__all__ = ["Planning"]

REPLY = 4
"""A reply is taken to be so many times shorter than the longest."""
PRICED_BY = "four bytes a token, and replies of a quarter of the longest"


class Planning(Working):
    """Estimates of jobs."""

    def plan_job(
        self,
        queries: Sequence[Query],
        *,
        collection: str = "default",
        sample: int = 100,
        seed: int = 0,
        at_once: int | None = None,
        principal: str | None = None,
    ) -> Plan:
        """What a job would take in time and dollars, by drafting some of its questions, drawn by chance.

        Experts are not asked: what their calls would cost is taken from what would be sent. Nothing is kept.

        Args:
            queries: of the job.
            collection: whose documents.
            sample: questions that are drafted at the most.
            seed: of what is drawn.
            at_once: questions in progress at once, as the job would have.
            principal: whose job it would be.

        Raises:
            NoDocumentsError: the collection is empty, or not theirs to read.
            QuestionError: none of the questions can be asked.
        """
        who = self._who(principal)
        known = {(q.question, q.document): q for q in queries if q.problem is None}
        if not known:
            raise QuestionError("none of the questions can be asked; understudy batch says why, row by row")
        drawn = random.Random(seed).sample(list(known.values()), min(sample, len(known)))
        drawn.sort(key=lambda query: query.document or "")
        call, width = uuid.uuid4().hex, at_once or PER_CORE * cores()
        rows = [Pending(number, f"{number}-{call}", "", query) for number, query in enumerate(drawn)]
        with self._run_of(f"plan-{call}", collection, who, self._terms(), width, never) as run:
            found, wall_s = self._loop.run(self._sampled(rows, run))
        return plan_of(found, wall_s, len(known), seed, PRICED_BY)

    async def _sampled(self, rows: Sequence[Pending], run: Run) -> tuple[list[Sampled], float]:
        await self.tooling.ready()
        found, prefixes = list[Sampled](), Prefixes(run.crew.planner, run.collection)
        left = iter(prefixes.announced(rows))

        async def worker() -> None:
            for row in left:
                async with self.traffic.passing():
                    found.append(await self._tried(row, run, prefixes))

        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(run.at_once):
                tasks.create_task(worker())
        return found, time.perf_counter() - began

    async def _tried(self, row: Pending, run: Run, prefixes: Prefixes) -> Sampled:
        began = time.perf_counter()
        try:
            deps = await asyncio.to_thread(self._deps_for, row, run)
            state = await self._drafted(row, run, deps, prefixes)
        except UnderstudyError:
            return Sampled(time.perf_counter() - began, failed=True)
        seconds = time.perf_counter() - began
        scope = Scope(collection=run.collection, document=row.query.document)
        asked = not state["cached"] and after_judge(state) == "consult"
        call, most = await asyncio.to_thread(self._price, state, deps, scope)
        return Sampled(seconds, asked and most is not None, call, most or 0.0)

    def _price(self, state: AskState, deps: Deps, scope: Scope) -> tuple[float, float | None]:
        """What the expert that would be asked first takes for a question, and at the most; none where nobody may be."""
        if not self.labelled(scope.collection):
            return 0.0, None
        payload = briefed(deps, state, scope, evidence_of(state))
        for expert in self.experts.ranked(payload):
            self.experts.note(expert.name, scope, None, None)  # it was not asked after all
            given = next(e for e in self.settings.experts if e.name == expert.name)
            tokens = ExpertTokens(input=sent_bytes(payload) // BYTES_PER_TOKEN, output=given.max_output_tokens // REPLY)
            return cost(tokens, given), expert.worst(payload).usd
        return 0.0, None
