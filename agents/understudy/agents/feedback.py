"""What a person says of an answer: a label for the confidence, and an example to learn from.

A person looks at the answers that they choose to look at, so their labels help to rank drafts and test no promise: that
takes labels drawn by chance. A corrected answer teaches as an expert's does, behind the same checks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from understudy.agents.citing import locate
from understudy.agents.deferral.service import Deferral
from understudy.agents.examples import ExampleDatabase
from understudy.agents.records import Records
from understudy.core.access import Permit
from understudy.core.conversation import Turn
from understudy.core.protocols import Basis, Cached, CacheKey, folded
from understudy.core.shown import inert
from understudy.core.types import Answer, Citation, Draft, Evidence, Example, ExpertAnswer, Message, Outcome, Scope
from understudy.graphs.remembering import basis_of, cache_key
from understudy.graphs.state import AskState, evidence_of, rests_of

__all__ = ["PERSON", "Feedback"]

PERSON = "person:"
"""Begins the name under which a person's answer is kept where an expert's would be."""


@dataclass(frozen=True)
class Feedback:
    """Takes what a person says of an answer to the parts that learn from it.

    Args:
        deferral: is told how good the draft was.
        examples: keeps what teaches.
        records: keeps answers that are given again.
        remember: keeps one more of them.
        label: the access label of a collection now.
        forget: drops what is held in memory of examples.
    """

    deferral: Deferral
    examples: ExampleDatabase
    records: Records
    remember: Callable[[CacheKey, Cached], None]
    label: Callable[[str], str]
    forget: Callable[[], None]

    def __call__(self, state: AskState, turn: Turn, permit: Permit, good: bool | None, correction: str | None) -> None:
        """Learn from what was said.

        Args:
            state: what the graph held when the question was answered.
            turn: the question with its answer.
            permit: of who says it.
            good: whether the answer is right; `None` takes back what was said.
            correction: the right answer, where it isn't.
        """
        answer = turn.answer
        assert answer is not None
        self._take_back(state, permit)
        if good is None and correction is None:
            return
        if good is False or correction is not None:
            self._withdraw(state, answer, permit)
        said = self._answer_of(state, answer, permit, correction) if good or correction is not None else None
        self._label(state, permit, good, said)
        if said is not None and (correction is not None or answer.route == "local"):
            self._teach(state, permit, said)

    def _take_back(self, state: AskState, permit: Permit) -> None:
        """What they said before counts no more; an answer that was dropped for it is asked for again, once needed."""
        principal, scope = permit.principal.name, Scope.model_validate(state["scope"])
        self.deferral.store.untell(state["question"], scope, principal)
        self.records.retract(cache_key(before(state)), PERSON)

        def said(example: Example) -> bool:
            own = example.principal == principal and example.expert.expert.startswith(PERSON)
            return own and example.scope == scope and folded(example.question) == folded(state["question"])

        if self.examples.withdraw(said):
            self.forget()

    def _withdraw(self, state: AskState, answer: Answer, permit: Permit) -> None:
        """An answer that was found wrong is given to nobody again, and teaches nothing."""
        principal, collection = permit.principal.name, state["scope"]["collection"]
        self.records.withdraw(principal, collection, answer.text)

        def wrong(example: Example) -> bool:
            own = example.principal == principal and example.scope.collection == collection
            return own and inert(example.expert.text) == answer.text

        if self.examples.withdraw(wrong):
            self.forget()

    def _label(self, state: AskState, permit: Permit, good: bool | None, said: ExpertAnswer | None) -> None:
        """How good the draft was, if there was one and what was said tells.

        A right answer by an expert is what its draft is compared with; so is a correction. That an expert's answer was
        wrong tells nothing of the draft.
        """
        draft = Draft.model_validate(state["draft"]) if state["draft"] else None
        if draft is None or draft.problems or (said is None and state["expert"] is not None):
            return
        outcome = Outcome(
            question=state["question"],
            scope=Scope.model_validate(state["scope"]),
            draft=draft,
            signals=state["signals"],
            confidence=state["confidence"],
            small_model=self.deferral.in_force.name(state["scope"]["collection"]),
            expert=said,
            grounds=permit.grounds,
            rests_on=rests_of(state),
        )
        self.deferral.told(outcome, 0.0 if said is None else None, permit.principal.name)

    def _answer_of(self, state: AskState, answer: Answer, permit: Permit, correction: str | None) -> ExpertAnswer:
        """The right answer as a person has it, with quotes as far as its words stand in the evidence."""
        name = f"{PERSON}{permit.principal.name}"
        if correction is None:
            absent = any(c.kind == "absence" for c in answer.citations)
            quotes = tuple(c for c in answer.citations if c.kind == "quote")
            return ExpertAnswer(text=answer.text, citations=quotes, not_in_documents=absent, expert=name)
        return ExpertAnswer(text=correction, citations=cited(correction, answer, evidence_of(state)), expert=name)

    def _teach(self, state: AskState, permit: Permit, said: ExpertAnswer) -> None:
        """Keep the example, and the answer for the next time."""
        scope = Scope.model_validate(state["scope"])
        self.examples.add(
            Example(
                question=state["question"],
                scope=scope,
                label=self.label(scope.collection),
                grounds=permit.grounds,
                history=tuple(t["question"] for t in earlier(state)),
                transcript=tuple(Message.model_validate(m) for m in state["transcript"]),
                evidence=evidence_of(state),
                draft=Draft.model_validate(state["draft"]) if state["draft"] else None,
                expert=said,
                small_model=self.deferral.in_force.name(scope.collection),
                principal=permit.principal.name,
                signals=state["signals"],
                rests_on=rests_of(state),
            )
        )
        given = Answer(
            question=state["question"],
            text=said.text,
            route="expert",
            reason=f"corrected by {permit.principal.name}",
            confidence=1.0,
            citations=said.citations,
            expert=said.expert,
            thread=state["thread"],
        )
        basis: Basis = basis_of(before(state), given)
        self.remember(cache_key(before(state)), Cached(given, basis, permit.grounds))


def before(state: AskState) -> AskState:
    """The state as it was while the question was answered, by which its answer is kept."""
    return {**state, "turns": earlier(state)}


def earlier(state: AskState) -> list[Any]:
    """The turns before this one, which the state of a finished question ends with."""
    return list(state["turns"][:-1])


def cited(text: str, answer: Answer, evidence: Evidence) -> tuple[Citation, ...]:
    """Where the words of a corrected answer stand: as they are in some passage, or in what the answer quoted."""
    whole = locate(text, evidence.passages)
    if whole is not None:
        return (whole,)
    return tuple(c for c in answer.citations if c.kind == "quote")
