"""Answer one question: recall, plan and act, judge, and an expert when it must be.

            ┌────────── hit ───────────┐
recall ─────┤                          ▼
            └─ plan ⇄ act → judge ── respond
                              │        ▲
               approve ⇄ consult → learn

`consult` sends nothing that the guard has not passed; `approve` stops the graph until a person has decided.

Many questions are answered in two halves, since the first needs the small model and the second waits for others:
`build_draft_graph` ends after `judge`, `build_settle_graph` goes on from there.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from understudy.core.errors import WorkspaceError
from understudy.core.steps import AnswerStep, Consult, Decline, Point, Taken, ToolStep
from understudy.core.types import Draft, Evidence, ExpertAnswer, Message, Observation, Outcome, Scope
from understudy.core.usage import SmallTokens
from understudy.graphs.approving import approve, reworded
from understudy.graphs.consulting import consult
from understudy.graphs.outcome import answered
from understudy.graphs.remembering import cache_key, learn, near_of, recall
from understudy.graphs.state import AskState, Deps, Run, Turn, account_of, evidence_of, plain, rests_of
from understudy.graphs.verify import draft_of

__all__ = ["AskGraph", "after_judge", "build_ask_graph", "build_draft_graph", "build_settle_graph"]

AskGraph = CompiledStateGraph[AskState, Deps, AskState, AskState]

MAX_REPEATS = 2
KEPT_TURNS = 20


def build_ask_graph(checkpointer: BaseCheckpointSaver[Any] | None = None) -> AskGraph:
    """The graph, with its threads kept by a checkpointer, if they are to be kept."""
    graph = drafting()
    settling(graph)
    graph.add_conditional_edges("recall", after_recall, ["respond", "plan"])
    graph.add_conditional_edges("judge", after_judge, ["respond", "consult"])
    return graph.compile(checkpointer=checkpointer)


def build_draft_graph() -> AskGraph:
    """The first half: what is remembered, or a draft that was judged. Nothing is sent and nothing kept."""
    graph = drafting()
    graph.add_conditional_edges("recall", after_recall, {"respond": END, "plan": "plan"})
    graph.add_edge("judge", END)
    return graph.compile()


def build_settle_graph() -> AskGraph:
    """The second half: what was remembered is given, a draft is given or deferred, and what became of it is noted."""
    graph: StateGraph[AskState, Deps, AskState, AskState] = StateGraph(AskState, context_schema=Deps)
    settling(graph)
    graph.add_conditional_edges(START, lambda s: "respond" if s["cached"] else after_judge(s), ["respond", "consult"])
    return graph.compile()


def drafting() -> StateGraph[AskState, Deps, AskState, AskState]:
    """Up to the judge."""
    graph: StateGraph[AskState, Deps, AskState, AskState] = StateGraph(AskState, context_schema=Deps)
    graph.add_node("recall", recall)
    graph.add_node("plan", plan)
    graph.add_node("act", act)
    graph.add_node("judge", judge)
    graph.add_edge(START, "recall")
    graph.add_conditional_edges("plan", after_plan, ["act", "judge"])
    graph.add_edge("act", "plan")
    return graph


def settling(graph: StateGraph[AskState, Deps, AskState, AskState]) -> None:
    """From the judge on."""
    graph.add_node("consult", consult)
    graph.add_node("approve", approve)
    graph.add_node("learn", learn)
    graph.add_node("respond", respond)
    graph.add_conditional_edges("consult", after_consult, ["approve", "learn", "respond"])
    graph.add_edge("approve", "consult")
    graph.add_edge("learn", "respond")
    graph.add_edge("respond", END)


def after_recall(state: AskState) -> Literal["respond", "plan"]:
    """What is remembered is given at once."""
    return "respond" if state["cached"] else "plan"


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


def after_consult(state: AskState) -> Literal["approve", "learn", "respond"]:
    """An answer is learned from; where a person has to be asked first, the graph waits."""
    if state["expert"]:
        return "learn"
    return "approve" if state["approval"] and state["decision"] is None else "respond"


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
        asked = (state["question"], scope, before, account_of(state), rests_of(state))
        observation = await asyncio.to_thread(deps.tools.run, kind, arguments, *asked)
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


async def respond(state: AskState, runtime: Run) -> AskState:
    """The answer, and the turn that the thread remembers. What became of the draft is noted, to judge later ones by."""
    deps, near = runtime.context, near_of(state)
    if near is not None and near.audit and state["expert"] is None:  # nobody to compare it with: it is given after all
        state = {**state, "cached": near.cached.answer.model_dump(mode="json")}
    answer = answered(state, deps.clock())
    turn: Turn = {"question": state["question"], "answer": answer.text, "collection": state["scope"]["collection"]}
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
    turns = [*state["turns"], turn][-KEPT_TURNS:]
    return {"answer": answer.model_dump(mode="json"), "turns": turns, "rests_on": plain(rests_of(state))}


def outcome_of(state: AskState, small_model: str) -> Outcome:
    """What a finished question teaches about drafts like its own."""
    draft = Draft.model_validate(state["draft"]) if state["draft"] else None
    drawn = state["outcome"] != "accept" or state["audit"]
    seen = state["expert"] is not None and not state["expert"].get("unseen", False) and not reworded(state)
    return Outcome(
        question=state["question"],
        scope=Scope.model_validate(state["scope"]),
        draft=None if draft is None or draft.problems else draft,
        signals=state["signals"],
        confidence=state["confidence"],
        small_model=small_model,
        # asked on behalf of the cache alone, an expert says nothing of drafts: that draw was not by their probability
        # nor does one that saw no evidence
        expert=ExpertAnswer.model_validate(state["expert"]) if state["expert"] and drawn and seen else None,
        probability=state["probability"],
        drawn=drawn,
        rests_on=rests_of(state),
    )
