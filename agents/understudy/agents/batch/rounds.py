"""A job that promises something of its answers as a whole, in rounds.

All rows are drafted; then experts are asked about drafts that are drawn, until it is known which of the others may be
given (`batch.guarantee`); then they are given, and experts asked about the rest. A draft is kept until its row is
answered, and every decision follows from what is kept: where the job is broken off, it goes on the same way.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from understudy.agents.batch.asking import each
from understudy.agents.batch.desk import Desk
from understudy.agents.batch.drafts import ASKED, NO_DRAFT, Pending, Standing
from understudy.agents.batch.guarantee import Found, Wanted, descend, shuffled
from understudy.agents.batch.pipeline import KEPT, WAITING
from understudy.agents.deferral.agreement import agreement
from understudy.agents.erasure.traffic import Traffic
from understudy.core.errors import InternalError, Stopped, UnderstudyError
from understudy.core.jobs import Guarantee
from understudy.core.protocols import Cancel
from understudy.core.shown import inert
from understudy.core.types import Answer, Draft, ExpertAnswer, Scope
from understudy.graphs.state import AskState, rests_of

__all__ = ["Rounds", "loss_of"]

T = TypeVar("T")
Change = Callable[[AskState], AskState]
"""What is decided of a draft."""


@dataclass(frozen=True)
class Rounds:
    """How the rows of a job with a guarantee become answers.

    Args:
        traffic: of the workspace: what becomes of a row is kept before a document behind it can be erased.
        desk: where drafts lie.
        draft: the first half of a question.
        settle: the second.
        stopped: asked before every row; true ends it.
        seed: decides the order in which rows are drawn.
        announced: told of rows before they are drafted; gives them.
        asking: rows that wait for an expert at once. Each has its worst case set aside, so more than get a turn would
            only use the budget up before it is spent.
    """

    traffic: Traffic
    desk: Desk
    draft: Callable[[Pending], Awaitable[AskState]]
    settle: Callable[[Pending, AskState], Awaitable[tuple[Answer, tuple[Scope, ...]]]]
    stopped: Cancel
    seed: str
    announced: Callable[[Iterable[Pending]], Iterable[Pending]]
    asking: int = WAITING

    async def run(self, at_once: int) -> Guarantee:
        """All rounds, with so many drafts at a time.

        Where it is stopped, or something can't be kept, no row is begun any more, and those in progress come to their
        end: what they ask is paid for.

        Raises:
            Stopped: `stopped` said so, or a draft was stopped.
            UnderstudyError: the first that keeping something raised.
        """
        try:
            return await self._run(at_once)
        except Stopped as error:
            if isinstance(error.__cause__, UnderstudyError) and not isinstance(error.__cause__, Stopped):
                raise error.__cause__ from None
            raise

    async def _run(self, at_once: int) -> Guarantee:
        goal = await asyncio.to_thread(self.desk.guarantee)
        undrafted = await asyncio.to_thread(self.desk.undrafted)
        await each(self.announced(undrafted), at_once, ending(partial(self._drafted, late=goal.tested)))
        wanted: Sequence[Standing] = ()
        while not goal.tested and not goal.why:
            goal, drawn = await asyncio.to_thread(self._tested, goal)
            if drawn and drawn == wanted:
                raise InternalError(f"rows {[row.number for row in drawn[:3]]} of a job were drawn twice")
            wanted = drawn
            await self._all(drawn, sampled, measured=True)
        standing = [row for row in await asyncio.to_thread(self.desk.standing) if row.open]
        if not goal.tested:  # nothing is promised: every draft is given or not as it was judged
            await self._all(standing, as_judged)
        else:
            await self._all([row for row in standing if needed(row, goal)], deferred)
            await self._all([row for row in standing if not needed(row, goal)], accepted)
        return await asyncio.to_thread(self._ended)

    async def _drafted(self, row: Pending, *, late: bool) -> None:
        await self._go_on()
        async with self.traffic.passing():
            answer: Answer | UnderstudyError
            rests_on: tuple[Scope, ...] = ()
            try:
                state = await self.draft(row)
                if state["cached"]:
                    answer, rests_on = await self.settle(row, state)
            except Stopped:
                raise
            except UnderstudyError as error:
                answer = error
            else:
                if not state["cached"]:
                    confidence = NO_DRAFT if late else confidence_of(state)
                    await asyncio.to_thread(self.desk.put_down, row, state, confidence, rests_of(state))
                    return
            await asyncio.to_thread(self.desk.keep, row, answer, rests_on, None)

    def _tested(self, goal: Guarantee) -> tuple[Guarantee, Sequence[Standing]]:
        """One step of the search: what is known now, and the rows that an expert is to be asked about."""
        standing = {row.number: row for row in self.desk.standing()}
        unanswered = next((n for n, row in standing.items() if not row.open and row.loss is None), None)
        if unanswered is not None:
            return self._lost(goal, unanswered), ()
        order = shuffled([number for number, row in standing.items() if row.confidence > NO_DRAFT], self.seed)
        rows = self.desk.sound()
        losses = [standing[n].loss for n in order]
        step = descend(
            np.array([standing[n].confidence for n in order], dtype=np.float64),
            np.array([math.nan if loss is None else loss for loss in losses], dtype=np.float64),
            rows=rows,
            max_loss=goal.max_quality_loss,
            sure=goal.confidence,
        )
        match step:
            case Wanted(places):
                return goal, tuple(standing[order[place]] for place in places)
            case Found(threshold):
                labelled = sum(row.loss is not None for row in standing.values())
                found = {"tested": True, "threshold": threshold, "labelled": labelled, "rows": rows}
                goal = goal.model_copy(update=found)
                self.desk.promise(goal)
                return goal, ()

    async def _all(self, standing: Iterable[Standing], change: Change, *, measured: bool = False) -> None:
        """Settle some rows beside each other, one of each that is the same."""
        first = dict.fromkeys(row.first for row in standing)
        await each(first, min(WAITING, self.asking), ending(partial(self._settled, change=change, measured=measured)))

    async def _settled(self, number: int, *, change: Change, measured: bool) -> None:
        await self._go_on()
        async with self.traffic.passing():
            found = await asyncio.to_thread(self.desk.taken_up, number)
            if found is None:  # it was erased
                return
            row, state = found
            try:
                answer, rests_on = await self.settle(row, change(state))
            except UnderstudyError as error:
                await asyncio.to_thread(self.desk.keep, row, error, (), None)
            else:
                loss = loss_of(state, answer) if measured and answer.route in ASKED else None
                await asyncio.to_thread(self.desk.keep, row, answer, rests_on, loss)

    def _ended(self) -> Guarantee:
        """Whether the promise is given, once all rows are answered."""
        goal = self.desk.guarantee()
        if goal.why:
            return goal
        unanswered = next((r.number for r in self.desk.standing() if needed(r, goal) and not r.asked), None)
        if unanswered is not None:
            return self._lost(goal, unanswered)
        if self.desk.sound() < goal.rows:
            goal = goal.model_copy(update={"given": False, "why": "fewer rows have an answer than it was tested for"})
        else:
            goal = goal.model_copy(update={"given": True})
        self.desk.promise(goal)
        return goal

    def _lost(self, goal: Guarantee, row: int) -> Guarantee:
        why = f"row {row} was to be answered by an expert, and was not"
        goal = goal.model_copy(update={"given": False, "why": why, "row": row})
        self.desk.promise(goal)
        return goal

    async def _go_on(self) -> None:
        if await asyncio.to_thread(self.stopped):
            raise Stopped(KEPT)


def ending(work: Callable[[T], Awaitable[None]]) -> Callable[[T], Awaitable[None]]:
    """Work whose errors end the round as a stop does."""

    async def safely(item: T) -> None:
        try:
            await work(item)
        except UnderstudyError as error:
            raise Stopped(KEPT) from error

    return safely


def needed(row: Standing, goal: Guarantee) -> bool:
    """Whether the promise needs an expert's answer to a row."""
    return row.loss is None and (goal.threshold is None or row.confidence < goal.threshold)


def confidence_of(state: AskState) -> float:
    """How sure a draft is; less than any, where there is none that could be verified."""
    draft = None if state["draft"] is None else Draft.model_validate(state["draft"])
    unsure = draft is None or draft.problems or not state["confidence"] >= 0  # what is no number is not enough
    return NO_DRAFT if unsure else state["confidence"]


def loss_of(state: AskState, answer: Answer) -> float:
    """What giving the draft would lose against an expert's answer, both as they are shown."""
    draft = Draft.model_validate(state["draft"])
    absent = bool(answer.citations) and all(citation.kind == "absence" for citation in answer.citations)
    expert = ExpertAnswer(text=answer.text, not_in_documents=absent, expert=answer.expert or "")
    return max(0.0, 1.0 - agreement(draft.model_copy(update={"text": inert(draft.text)}), expert))


def sampled(state: AskState) -> AskState:
    """An expert is asked about it, and not shown the draft: its answer is what drafts are compared with."""
    reason = f"confidence {state['confidence']:.2f}; drawn to test the promise of the job"
    return state | AskState(outcome="defer", audit=False, blind=True, reason=reason)


def deferred(state: AskState) -> AskState:
    """An expert is asked."""
    if confidence_of(state) == NO_DRAFT:
        return state | AskState(outcome="defer", audit=False)
    reason = f"confidence {state['confidence']:.2f} is too low for the promise of the job"
    return state | AskState(outcome="defer", audit=False, reason=reason)


def accepted(state: AskState) -> AskState:
    """The draft is given."""
    reason = f"confidence {state['confidence']:.2f} is enough for the promise of the job"
    return state | AskState(outcome="accept", audit=False, reason=reason)


def as_judged(state: AskState) -> AskState:
    """As without a guarantee."""
    return state
