"""The answer that a state amounts to, by its route."""

from __future__ import annotations

from typing import Any

from understudy.core.shown import inert
from understudy.core.types import Answer, Citation, Draft, ExpertAnswer, StepRecord
from understudy.core.usage import SmallTokens, Tokens
from understudy.graphs.state import AskState, evidence_of
from understudy.graphs.verify import absence

__all__ = ["answered", "waiting"]

CITED_EXPERT, UNCITED_EXPERT = 0.9, 0.6
"""Confidence shown for an expert's answer, with and without a citation that was found in its passage."""
LEAST_CONFIDENCE = 0.05
"""A draft that was deferred below it is no answer, even where nobody else can be asked."""
NOT_FOUND = "I could not find an answer to this in the documents."


def answered(state: AskState, now: float) -> Answer:
    """The answer of a question finished `now`."""
    if state["cached"] is not None:
        return from_cache(state, state["cached"], now)
    common: dict[str, Any] = {
        "question": state["question"],
        "reason": state["reason"],
        "latency_s": elapsed(state, now),
        "thread": state["thread"],
        "steps": tuple(StepRecord(**r) for r in state["records"]),
    }
    small = SmallTokens(**state["tokens"])
    if state["expert"] is not None:
        return from_expert(ExpertAnswer.model_validate(state["expert"]), state, small, common)
    draft = Draft.model_validate(state["draft"]) if state["draft"] else None
    sure = state["outcome"] == "accept" or state["confidence"] >= LEAST_CONFIDENCE
    answers = draft is not None and not draft.problems and sure
    return Answer(
        text=inert(draft.text) if draft is not None and answers else NOT_FOUND,
        route="local" if answers else "declined",
        confidence=state["confidence"],
        citations=draft.citations if draft is not None and answers else absence(evidence_of(state)),
        tokens=Tokens(small=small),
        **common,
    )


def waiting(state: AskState, now: float) -> Answer:
    """The local answer, for as long as a person has not decided whether an expert may be asked."""
    request = state["approval"]
    assert request is not None
    why = f"waits for a person: request {request['id']}, to ask expert {request['expert']!r}"
    local = answered({**state, "expert": None, "cached": None}, now)
    reason = f"{local.reason}; {why}" if local.reason else why
    return local.model_copy(update={"status": "waiting", "approval": request["id"], "reason": reason})


def from_cache(state: AskState, cached: dict[str, Any], now: float) -> Answer:
    """An earlier answer, given again for nothing; its step says to which question in other words, if it was one."""
    near, asked, steps = state["near"], "asked before", []
    if near is not None:
        shown = {"question": cached["question"], "similarity": round(near["similarity"], 4)}
        asked = f"answered before as “{shown['question']}” (similarity {shown['similarity']:.2f})"
        steps = [{"kind": "recall", **shown}]
    renewed = {
        "question": state["question"],
        "route": "cache",
        "reason": f"{asked}: the same question, scope and access, and what it rests on is unchanged",
        "cost_usd": 0.0,
        "latency_s": elapsed(state, now),
        "thread": state["thread"],
        "tokens": {},
        "steps": steps,
    }
    return Answer.model_validate(cached | renewed)


def from_expert(expert: ExpertAnswer, state: AskState, small: SmallTokens, common: dict[str, Any]) -> Answer:
    """An expert's answer, with what it cost."""
    return Answer(
        text=inert(expert.text),
        route="expert",
        expert=expert.expert,
        cost_usd=expert.cost_usd,
        confidence=CITED_EXPERT if has_quote(expert.citations) else UNCITED_EXPERT,
        citations=absence(evidence_of(state)) if expert.not_in_documents else expert.citations,
        tokens=Tokens(small=small, expert=expert.tokens),
        **common,
    )


def elapsed(state: AskState, now: float) -> float:
    """Seconds since the question was asked; never negative, though the clock may be set back."""
    return round(max(0.0, now - state["began"]), 4)


def has_quote(citations: tuple[Citation, ...]) -> bool:
    """Whether anything is quoted."""
    return any(c.kind == "quote" for c in citations)
