"""Find an answer that was paid for already, and keep a new one: the exchange with the cache and the example store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from understudy.core.errors import WorkspaceError
from understudy.core.protocols import Basis, Cached, CacheKey, Near, Retriever
from understudy.core.provenance import UNKNOWN
from understudy.core.types import Answer, Draft, Example, ExpertAnswer, Message, Scope
from understudy.graphs.approving import reworded
from understudy.graphs.outcome import answered
from understudy.graphs.state import AskState, Run, evidence_of, plain, rests_of

__all__ = ["cache_key", "learn", "near_of", "recall"]


def cache_key(state: AskState) -> CacheKey:
    """What must be equal for an answer to be given again."""
    history = tuple(turn["question"] for turn in state["turns"])
    asked_of = tuple(turn.get("collection", UNKNOWN) for turn in state["turns"])
    return CacheKey(state["question"], Scope.model_validate(state["scope"]), state["principal"], history, asked_of)


def basis_of(state: AskState, answer: Answer) -> Basis:
    """What an answer rests on: what it quotes, as it was read, or all that was there when the question was begun."""
    # Of a document that changed between two searches the first version counts: such an answer is not given again.
    read = {p.document: p.version for p in reversed(evidence_of(state).passages)}
    quoted = {c.document for c in answer.citations if c.kind == "quote"}
    cited = {document: read[document] for document in sorted(quoted)}
    return Basis(cited, state["versions"], rests_of(state))


async def recall(state: AskState, runtime: Run) -> AskState:
    """An answer paid for already, to this question or to it in other words, if what it rests on is unchanged."""
    deps, scope, key = runtime.context, Scope.model_validate(state["scope"]), cache_key(state)
    versions = await asyncio.to_thread(deps.retriever.versions, scope)
    found = await asyncio.to_thread(deps.cache.recall, key)
    if found is not None and await asyncio.to_thread(holds, found.basis, versions, deps.retriever, scope):
        trace = plain(rests_of(state, found.basis.rests_on))
        return {"versions": versions, "cached": found.answer.model_dump(mode="json"), "rests_on": trace}
    for near in await asyncio.to_thread(deps.cache.near, key):
        if await asyncio.to_thread(holds, near.cached.basis, versions, deps.retriever, scope):
            given = near.cached.answer.model_dump(mode="json") if near.hit and not near.audit else None
            trace = plain(rests_of(state, near.cached.basis.rests_on))
            return {"versions": versions, "cached": given, "near": state_of(near), "rests_on": trace}
    return {"versions": versions, "cached": None}


def state_of(near: Near) -> dict[str, Any]:
    """A near question as the state keeps it."""
    basis = {"cited": dict(near.cached.basis.cited), "versions": near.cached.basis.versions}
    answer = near.cached.answer.model_dump(mode="json")
    drawn = {"hit": near.hit, "audit": near.audit, "probability": near.probability}
    return {"answer": answer, "basis": basis, "similarity": near.similarity, **drawn}


def near_of(state: AskState) -> Near | None:
    """The near question that the state keeps."""
    kept = state["near"]
    if kept is None:
        return None
    # The trace of the whole question: what it is compared with counts too.
    cached = Cached(Answer.model_validate(kept["answer"]), Basis(**kept["basis"], rests_on=rests_of(state)))
    return Near(cached, kept["similarity"], kept["hit"], kept["audit"], kept["probability"])


def holds(basis: Basis, versions: str, retriever: Retriever, scope: Scope) -> bool:
    """Whether nothing has changed that an answer rests on."""
    return retriever.unchanged(scope, basis.cited) if basis.cited else basis.versions == versions


async def learn(state: AskState, runtime: Run) -> AskState:
    """Keep what the expert taught: an example to train on later, and the answer for the next time.

    What was paid for is answered with even where it can't be kept.
    """
    deps = runtime.context
    if reworded(state):
        return {"reason": f"{state['reason']}; a person reworded what was sent, so the answer is not kept"}
    example = Example(
        question=state["question"],
        scope=Scope.model_validate(state["scope"]),
        label=deps.label,
        history=tuple(t["question"] for t in state["turns"]),
        transcript=tuple(Message.model_validate(m) for m in state["transcript"]),
        evidence=evidence_of(state),
        draft=Draft.model_validate(state["draft"]) if state["draft"] else None,
        expert=ExpertAnswer.model_validate(state["expert"]),
        small_model=deps.small_model,
        principal=state["principal"],
        signals=state["signals"],
        probability=state["probability"],
        rests_on=rests_of(state),
    )
    answer, near = answered(state, deps.clock()), near_of(state)

    def remember() -> None:
        if near is not None:
            deps.cache.note(cache_key(state), near, answer)
        deps.cache.remember(cache_key(state), Cached(answer, basis_of(state, answer)))

    reason = state["reason"]
    wanted: list[tuple[str, Callable[[], object]]] = [("for the next time", remember)]  # first, lest it be paid twice
    if not example.expert.unseen:  # who saw nothing of the documents teaches nothing about them
        wanted.append(("as an example", partial(deps.examples.add, example)))
    # They may lie in two databases, of which one may be down.
    for what, keep in wanted:
        try:
            await asyncio.to_thread(keep)
        except WorkspaceError as error:
            reason = f"{reason}; the answer could not be kept {what}: {error}"
    return {"reason": reason}
