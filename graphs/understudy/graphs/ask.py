"""Answer one question: recall, plan and act, judge, and an expert when it must be.

            ┌────────── hit ───────────┐
recall ─────┤                          ▼
            └─ plan ⇄ act → judge ── respond
                              │        ▲
                           consult → learn

`consult` sends nothing that the guard has not passed.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from understudy.core.errors import BudgetError, EgressRefused, ExpertError, SettingsError, WorkspaceError
from understudy.core.protocols import Account, Basis, Cached, CacheKey, Expert, Near, Payload, Retriever
from understudy.core.steps import AnswerStep, Consult, Decline, Point, Taken, ToolStep
from understudy.core.types import Answer, Draft, Evidence, Example, ExpertAnswer, Message, Observation, Outcome, Scope
from understudy.core.usage import SmallTokens, Spend
from understudy.graphs.outcome import answered
from understudy.graphs.state import AskState, Deps, Turn, evidence_of
from understudy.graphs.verify import draft_of

__all__ = ["AskGraph", "build_ask_graph"]

AskGraph = CompiledStateGraph[AskState, Deps, AskState, AskState]
Run = Runtime[Deps]

MAX_REPEATS = 2
KEPT_TURNS = 20


def build_ask_graph(checkpointer: BaseCheckpointSaver[Any] | None = None) -> AskGraph:
    """The graph, with its threads kept by a checkpointer, if they are to be kept."""
    graph: StateGraph[AskState, Deps, AskState, AskState] = StateGraph(AskState, context_schema=Deps)
    graph.add_node("recall", recall)
    graph.add_node("plan", plan)
    graph.add_node("act", act)
    graph.add_node("judge", judge)
    graph.add_node("consult", consult)
    graph.add_node("learn", learn)
    graph.add_node("respond", respond)
    graph.add_edge(START, "recall")
    graph.add_conditional_edges("recall", lambda s: "respond" if s["cached"] else "plan", ["respond", "plan"])
    graph.add_conditional_edges("plan", after_plan, ["act", "judge"])
    graph.add_edge("act", "plan")
    graph.add_conditional_edges("judge", after_judge, ["respond", "consult"])
    graph.add_conditional_edges("consult", lambda s: "learn" if s["expert"] else "respond", ["learn", "respond"])
    graph.add_edge("learn", "respond")
    graph.add_edge("respond", END)
    return graph.compile(checkpointer=checkpointer)


def cache_key(state: AskState) -> CacheKey:
    """What must be equal for an answer to be given again."""
    history = tuple(turn["question"] for turn in state["turns"])
    return CacheKey(state["question"], Scope.model_validate(state["scope"]), state["principal"], history)


def basis_of(state: AskState, answer: Answer) -> Basis:
    """What an answer rests on: what it quotes, as it was read, or all that was there when the question was begun."""
    # Of a document that changed between two searches the first version counts: such an answer is not given again.
    read = {p.document: p.version for p in reversed(evidence_of(state).passages)}
    quoted = {c.document for c in answer.citations if c.kind == "quote"}
    return Basis({document: read[document] for document in sorted(quoted)}, state["versions"])


async def recall(state: AskState, runtime: Run) -> AskState:
    """An answer paid for already, to this question or to it in other words, if what it rests on is unchanged."""
    deps, scope, key = runtime.context, Scope.model_validate(state["scope"]), cache_key(state)
    versions = await asyncio.to_thread(deps.retriever.versions, scope)
    found = await asyncio.to_thread(deps.cache.recall, key)
    if found is not None and await asyncio.to_thread(holds, found.basis, versions, deps.retriever, scope):
        return {"versions": versions, "cached": found.answer.model_dump(mode="json")}
    for near in await asyncio.to_thread(deps.cache.near, key):
        if await asyncio.to_thread(holds, near.cached.basis, versions, deps.retriever, scope):
            given = near.cached.answer.model_dump(mode="json") if near.hit and not near.audit else None
            return {"versions": versions, "cached": given, "near": state_of(near)}
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
    cached = Cached(Answer.model_validate(kept["answer"]), Basis(**kept["basis"]))
    return Near(cached, kept["similarity"], kept["hit"], kept["audit"], kept["probability"])


def holds(basis: Basis, versions: str, retriever: Retriever, scope: Scope) -> bool:
    """Whether nothing has changed that an answer rests on."""
    return retriever.unchanged(scope, basis.cited) if basis.cited else basis.versions == versions


async def plan(state: AskState, runtime: Run) -> AskState:
    """One step of the small model."""
    deps = runtime.context
    transcript = [Message.model_validate(m) for m in state["transcript"]]
    if not transcript:
        transcript = deps.planner.open(state["question"], [(t["question"], t["answer"]) for t in state["turns"]])
    final = len(state["records"]) >= deps.max_steps - 1 or state["repeats"] >= MAX_REPEATS
    evidence = evidence_of(state)
    taken = await asyncio.to_thread(
        deps.planner.next_step, transcript, evidence, final=final, on_text=deps.on_text, cancel=deps.cancel
    )
    transcript.append(Message(role="assistant", content=taken.text))
    return {
        "transcript": [m.model_dump() for m in transcript],
        "tokens": (SmallTokens(**state["tokens"]) + taken.tokens).model_dump(),
        **decided(taken, state, evidence, final),
    }


def decided(taken: Taken, state: AskState, evidence: Evidence, final: bool) -> AskState:
    """What a step leaves in the state: a tool to run, or an end to planning."""
    step = taken.step
    signals = {
        "mean_logprob": taken.mean_logprob,
        "min_logprob": taken.min_logprob,
        "removed_mass": taken.removed_mass,
        "choice_entropy": taken.choice_entropy,
    }
    if taken.quote_logprobs is not None:
        signals |= {"quote_mean_logprob": taken.quote_logprobs[0], "quote_min_logprob": taken.quote_logprobs[1]}
    match step:
        case ToolStep() if final:
            reason = f"the small model took another {step.kind} when it had to end"
            return {"pending": None, "outcome": "defer", "reason": reason, "signals": signals}
        case ToolStep():
            pending = {"kind": step.kind, "arguments": step.arguments, "seconds": taken.seconds}
            return {"pending": pending, "signals": signals}
        case AnswerStep() | Point():
            draft = draft_of(taken, state["question"], evidence)
            records = [*state["records"], record("answer", taken)]
            return {"pending": None, "draft": draft.model_dump(mode="json"), "records": records, "signals": signals}
        case Consult() | Decline():
            outcome: Literal["defer", "decline"] = "defer" if isinstance(step, Consult) else "decline"
            reason = f"the small model chose to {step.kind}: {step.reason.replace('_', ' ')}"
            records = [*state["records"], record(step.kind, taken, reason=step.reason)]
            return {"pending": None, "outcome": outcome, "reason": reason, "records": records, "signals": signals}


def record(kind: str, taken: Taken, **fields: object) -> dict[str, Any]:
    """A step as it is shown; `seconds` is time inside llama.cpp."""
    return {"kind": kind, **fields, "seconds": round(taken.seconds, 4)}


def after_plan(state: AskState) -> Literal["act", "judge"]:
    """On to the tool, or to the judge."""
    return "act" if state["pending"] else "judge"


def after_judge(state: AskState) -> Literal["respond", "consult"]:
    """An expert is asked where the draft is deferred, and where it or an earlier answer was drawn to be compared."""
    drawn = state["audit"] or (state["near"] is not None and state["near"]["audit"])
    return "respond" if state["outcome"] == "accept" and not drawn else "consult"


async def act(state: AskState, runtime: Run) -> AskState:
    """Run the tool of the pending step; a step taken before isn't run again."""
    deps, pending = runtime.context, state["pending"]
    assert pending is not None
    before = evidence_of(state)
    kind, arguments = pending["kind"], pending["arguments"]
    call = json.dumps([kind, arguments], sort_keys=True, default=str)
    repeated = call in state["calls"]
    if repeated:
        observation = Observation(text="this step was taken before; take another, answer, or consult", error=True)
    else:
        scope = Scope.model_validate(state["scope"])
        observation = await asyncio.to_thread(deps.tools.run, kind, arguments, state["question"], scope, before)
    after = before.extended(observation, arguments.get("query") if kind == "search" and not repeated else None)
    message = deps.planner.observe(state["question"], before, observation)
    shown: dict[str, Any] = {**arguments, "kind": kind, "seconds": round(pending["seconds"], 4)}
    if kind == "search":
        shown["passages"] = len(observation.passages)
    else:
        shown["result"] = observation.text
    return {
        "evidence": after.model_dump(mode="json"),
        "transcript": [*state["transcript"], message.model_dump()],
        "records": [*state["records"], shown],
        "calls": [*state["calls"], call],
        "repeats": state["repeats"] + repeated,
        "failures": state["failures"] + (observation.error and not repeated),
        "pending": None,
    }


async def judge(state: AskState, runtime: Run) -> AskState:
    """Accept the draft, or defer."""
    if state["draft"] is None:
        return {"confidence": 0.0}
    draft = Draft.model_validate(state["draft"])
    taken = {**state["signals"], "steps": float(len(state["records"])), "tool_errors": float(state["failures"])}
    scope = Scope.model_validate(state["scope"])
    judgement = await asyncio.to_thread(
        runtime.context.judge.judge, state["question"], scope, draft, evidence_of(state), taken
    )
    outcome: Literal["accept", "defer"] = "accept" if judgement.accept and not draft.problems else "defer"
    return {
        "outcome": outcome,
        "confidence": judgement.confidence,
        "reason": f"not verified: {'; '.join(draft.problems)}" if draft.problems else judgement.reason,
        "signals": dict(judgement.signals),
        "probability": judgement.probability,
        "audit": judgement.audit,
        "blind": judgement.blind,
    }


async def consult(state: AskState, runtime: Run) -> AskState:
    """Ask the experts in turn, through the guard, until one answers."""
    deps = runtime.context
    if not len(deps.experts):
        return {"expert": None, "reason": f"{state['reason']}; no expert is configured"}
    scope = Scope.model_validate(state["scope"])
    evidence = evidence_of(state)
    update: AskState = {}
    if len(evidence.passages) < deps.shown:
        evidence = await asyncio.to_thread(widened, evidence, deps, state["question"], scope)
        update["evidence"] = evidence.model_dump(mode="json")
    draft = Draft.model_validate(state["draft"]) if state["draft"] else None
    history = [t["question"] for t in state["turns"]]
    shown = None if state["blind"] else draft  # who compares must not be led by what is compared
    refusals = []
    try:
        payload = await asyncio.to_thread(deps.brief, state["question"], scope, evidence.passages, shown, history)
        for expert in await asyncio.to_thread(deps.experts.ranked, payload):
            try:
                reply, trouble = await paid(deps, state, expert, deps.guard.check(payload, expert.name))
            except (EgressRefused, BudgetError, ExpertError, SettingsError) as error:
                refusals.append(str(error))
                failed = error if isinstance(error, ExpertError) else None
                await asyncio.to_thread(deps.experts.note, expert.name, scope, None, failed)
                continue
            reason = f"{state['reason']}; {trouble}" if trouble else state["reason"]
            return {**update, "expert": reply.model_dump(mode="json"), "reason": reason}
    except WorkspaceError as error:  # nothing can be booked or kept, so nothing is asked
        refusals.append(str(error))
    why = "; ".join(refusals) or "no expert can be asked now"
    return {**update, "expert": None, "reason": f"{state['reason']}; {why}"}


def widened(evidence: Evidence, deps: Deps, question: str, scope: Scope) -> Evidence:
    """The evidence with what else a search for the question finds, up to what an expert is to be shown."""
    held = {(p.document, p.start, p.end) for p in evidence.passages}
    found = deps.retriever.search(question, scope, limit=deps.shown)
    new = [p for p in found if (p.document, p.start, p.end) not in held][: deps.shown - len(held)]
    return evidence.extended(Observation(passages=tuple(new)), question)


async def paid(deps: Deps, state: AskState, expert: Expert, payload: Payload) -> tuple[ExpertAnswer, str]:
    """Ask an expert with its worst case set aside; what was never settled stays spent.

    The answer comes with what could not be written down: what was paid for is answered with all the same.
    """
    account = Account(state["id"], state["thread"], state["principal"], state["job"])
    reservation = await asyncio.to_thread(deps.budget.reserve, account, expert.name, expert.worst(payload))
    try:
        reply = await expert.ask(payload)
    except ExpertError as error:
        if error.spent is not None:
            await asyncio.to_thread(deps.budget.settle, reservation, error.spent)
        raise
    except SettingsError:  # it could not be set up, so nothing was sent
        await asyncio.to_thread(deps.budget.settle, reservation, Spend())
        raise
    try:
        await asyncio.to_thread(deps.budget.settle, reservation, reply.spent)
        await asyncio.to_thread(deps.experts.note, expert.name, payload.scope, reply, None)
    except WorkspaceError as error:
        return reply, f"the call could not be booked: {error}"
    return reply, ""


async def learn(state: AskState, runtime: Run) -> AskState:
    """Keep what the expert taught: an example to train on later, and the answer for the next time.

    What was paid for is answered with even where it can't be kept.
    """
    deps = runtime.context
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
    )
    answer, near = answered(state, deps.clock()), near_of(state)

    def remember() -> None:
        if near is not None:
            deps.cache.note(cache_key(state), near, answer)
        deps.cache.remember(cache_key(state), Cached(answer, basis_of(state, answer)))

    reason = state["reason"]
    # They may lie in two databases, of which one may be down.
    for what, keep in (("as an example", partial(deps.examples.add, example)), ("for the next time", remember)):
        try:
            await asyncio.to_thread(keep)
        except WorkspaceError as error:
            reason = f"{reason}; the answer could not be kept {what}: {error}"
    return {"reason": reason}


async def respond(state: AskState, runtime: Run) -> AskState:
    """The answer, and the turn that the thread remembers. What became of the draft is noted, to judge later ones by."""
    deps, near = runtime.context, near_of(state)
    if near is not None and near.audit and state["expert"] is None:  # nobody to compare it with: it is given after all
        state = {**state, "cached": near.cached.answer.model_dump(mode="json")}
    answer = answered(state, deps.clock())
    turn: Turn = {"question": state["question"], "answer": answer.text}
    if near is not None and near.hit and not near.audit:
        try:
            await asyncio.to_thread(deps.cache.note, cache_key(state), near, None)
        except WorkspaceError as error:
            answer = answer.model_copy(update={"reason": f"{answer.reason}; the hit could not be noted: {error}"})
    if state["cached"] is None:
        try:
            await asyncio.to_thread(deps.outcomes.note, outcome_of(state, deps.small_model))
        except WorkspaceError as error:
            answer = answer.model_copy(update={"reason": f"{answer.reason}; the outcome could not be kept: {error}"})
    return {"answer": answer.model_dump(mode="json"), "turns": [*state["turns"], turn][-KEPT_TURNS:]}


def outcome_of(state: AskState, small_model: str) -> Outcome:
    """What a finished question teaches about drafts like its own."""
    draft = Draft.model_validate(state["draft"]) if state["draft"] else None
    drawn = state["outcome"] != "accept" or state["audit"]
    return Outcome(
        question=state["question"],
        scope=Scope.model_validate(state["scope"]),
        draft=None if draft is None or draft.problems else draft,
        signals=state["signals"],
        confidence=state["confidence"],
        small_model=small_model,
        # asked on behalf of the cache alone, an expert says nothing of drafts: that draw was not by their probability
        expert=ExpertAnswer.model_validate(state["expert"]) if state["expert"] and drawn else None,
        probability=state["probability"],
        drawn=drawn,
    )
