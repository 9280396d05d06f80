"""The first half of a job's question in three parts, where the small model plays on another machine.

    here: recall ── nothing ── there: plan ⇄ act ── here: judge

What plays needs documents and models, and nothing else: no cache, no outcomes, no expert.
"""

from __future__ import annotations

import asyncio

from langgraph.graph import END, START, StateGraph

from understudy.core.types import Scope
from understudy.graphs.ask import AskGraph, act, judge, plan
from understudy.graphs.remembering import recall
from understudy.graphs.run import final, fresh
from understudy.graphs.state import AskState, Deps

__all__ = ["build_judge_graph", "build_play_graph", "build_recall_graph", "judged", "played", "recalled"]


def build_recall_graph() -> AskGraph:
    """The first part: what is remembered."""
    graph: StateGraph[AskState, Deps, AskState, AskState] = StateGraph(AskState, context_schema=Deps)
    graph.add_node("recall", recall)
    graph.add_edge(START, "recall")
    graph.add_edge("recall", END)
    return graph.compile()


def build_play_graph() -> AskGraph:
    """The second part: the steps of the small model. Nothing is looked up but documents."""
    graph: StateGraph[AskState, Deps, AskState, AskState] = StateGraph(AskState, context_schema=Deps)
    graph.add_node("plan", plan)
    graph.add_node("act", act)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", lambda state: "act" if state["pending"] else END, ["act", END])
    graph.add_edge("act", "plan")
    return graph.compile()


def build_judge_graph() -> AskGraph:
    """The third part: a draft is accepted or deferred, and can be settled."""
    graph: StateGraph[AskState, Deps, AskState, AskState] = StateGraph(AskState, context_schema=Deps)
    graph.add_node("judge", judge)
    graph.add_edge(START, "judge")
    graph.add_edge("judge", END)
    return graph.compile()


async def recalled(
    graph: AskGraph, deps: Deps, question: str, scope: Scope, principal: str, thread: str, job: str
) -> AskState:
    """What is remembered of a question, as the state that it goes on from.

    Args:
        graph: of `build_recall_graph`.
        deps: the cache and the retriever are used.
        question: to answer.
        scope: of what.
        principal: who asks.
        thread: a name of the question's own.
        job: what it belongs to.
    """
    start = fresh(question, scope, principal, thread, job, deps.clock())
    return await final(graph, deps, start | {"turns": []})


async def played(
    graph: AskGraph, deps: Deps, question: str, scope: Scope, principal: str, thread: str, job: str, opening: AskState
) -> AskState:
    """What the small model makes of a question that nothing is remembered of.

    Args:
        graph: of `build_play_graph`.
        deps: the planner, the tools and the retriever are used.
        question: to answer.
        scope: of what.
        principal: who asks.
        thread: a name of the question's own.
        job: what it belongs to.
        opening: what of the state is known beforehand, see `drafted`.

    Raises:
        QuestionError: it is longer than the context.
        Stopped: `deps.cancel` said so.
    """
    versions = await asyncio.to_thread(deps.retriever.versions, scope)
    start = fresh(question, scope, principal, thread, job, deps.clock())
    return await final(graph, deps, start | {"turns": [], "versions": versions, "cached": None} | opening)


async def judged(graph: AskGraph, deps: Deps, recalled: AskState, played: AskState, seconds: float) -> AskState:
    """The whole first half, as `drafted` would give it.

    Args:
        graph: of `build_judge_graph`.
        deps: the judge is used.
        recalled: of `recalled`.
        played: of `played`.
        seconds: that it was played for, by whose clock it may be.
    """
    kept = {name: recalled[name] for name in ("id", "near", "rests_on") if name in recalled}
    began = deps.clock() - seconds
    return await final(graph, deps, {**played, **kept, "began": began})  # type: ignore[typeddict-item]
