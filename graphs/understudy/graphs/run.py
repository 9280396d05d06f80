"""Run a question through the graph: the answer at once, or steps and text as they come."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextvars import Context
from dataclasses import replace
from typing import Any, cast

from langgraph.runtime import Runtime
from langgraph.types import Command, StateSnapshot
from langsmith import tracing_context

from understudy.core.egress import Decision
from understudy.core.errors import ApprovalError, InternalError
from understudy.core.provenance import UNKNOWN
from understudy.core.types import Answer, Evidence, Scope, StepRecord
from understudy.core.usage import SmallTokens
from understudy.graphs.ask import AskGraph
from understudy.graphs.outcome import waiting
from understudy.graphs.remembering import recall
from understudy.graphs.state import AskState, Deps, Event, Turn, plain, rests_of, thread_key

__all__ = ["alone", "ask", "drafted", "pending", "recalled", "resume", "settled", "stream", "thread_key"]

INTERRUPT = "__interrupt__"
"""Where LangGraph's updates say that the graph waits."""


def fresh(question: str, scope: Scope, principal: str, thread: str, job: str | None, now: float) -> AskState:
    """The state a question starts with; the thread's turns are kept."""
    return {
        "id": uuid.uuid4().hex,
        "question": question,
        "scope": scope.model_dump(),
        "principal": principal,
        "thread": thread,
        "job": job,
        "began": now,
        "paused": None,
        "cached": None,
        "near": None,
        "transcript": [],
        "evidence": Evidence().model_dump(mode="json"),
        "versions": "",
        "calls": [],
        "records": [],
        "tokens": SmallTokens().model_dump(),
        "pending": None,
        "repeats": 0,
        "draft": None,
        "outcome": "",
        "confidence": 0.0,
        "reason": "",
        "expert": None,
        "answer": None,
        "signals": {},
        "failures": 0,
        "probability": 1.0,
        "audit": False,
        "blind": False,
        "approval": None,
        "decision": None,
        "edited": None,
        "requests": 0,
        "passed": {},
    }


def trace_of(held: Any) -> list[dict[str, Any]]:
    """What a thread rests on; one of before that was noted may rest on anything."""
    if "turns" in held and "rests_on" not in held:
        asked = [held["scope"]["collection"], *([UNKNOWN] if held["turns"] else [])]
        return plain([Scope(collection=collection) for collection in asked])
    return plain(rests_of(held)) if held else []  # a question that was killed has read, and has noted nothing


async def ask(graph: AskGraph, deps: Deps, question: str, scope: Scope, principal: str, thread: str) -> Answer:
    """Answer a question in a thread. Raises `QuestionError`, `NoDocumentsError`, `ScopeError`, `Stopped`."""
    answer: Answer | None = None
    async for event in stream(graph, deps, question, scope, principal, thread):
        if event.kind == "answer":
            answer = event.answer
    if answer is None:
        raise InternalError("the graph ended without an answer")
    return answer


async def alone(
    graph: AskGraph, deps: Deps, question: str, scope: Scope, principal: str, earlier: Sequence[str]
) -> None:
    """Let the small model answer outside any thread; what comes of it is noted, and nothing else is kept.

    Args:
        graph: without a checkpointer.
        deps: with nobody to ask, and nothing to remember.
        question: to answer.
        scope: of what.
        principal: who asked.
        earlier: the questions of its thread before it.
    """
    turns: list[Turn] = [{"question": asked, "answer": ""} for asked in earlier]
    await final(graph, deps, fresh(question, scope, principal, "", None, deps.clock()) | {"turns": turns})


async def drafted(
    graph: AskGraph, deps: Deps, question: str, scope: Scope, principal: str, thread: str, job: str, opening: AskState
) -> AskState:
    """The first half of a question of a job, outside any thread that could be gone on with.

    Args:
        graph: of `build_draft_graph`.
        deps: the planner, the tools, the judge and the cache are used, and nothing else.
        question: to answer.
        scope: of what.
        principal: who asks.
        thread: a name of the question's own.
        job: what it belongs to.
        opening: what of the state is known beforehand, such as what was read for several questions together.

    Raises:
        QuestionError: it is longer than the context.
        Stopped: `deps.cancel` said so.
    """
    start = fresh(question, scope, principal, thread, job, deps.clock())
    return await final(graph, deps, start | {"turns": []} | opening)


async def recalled(deps: Deps, state: AskState) -> AskState:
    """A draft that was kept, with the answer that came to its question before the job was killed, if one did."""
    found = await recall(state, Runtime(context=deps))
    cached = found["cached"]
    return state | found if cached is not None and cached["thread"] == state["thread"] else state


async def settled(graph: AskGraph, deps: Deps, state: AskState) -> tuple[Answer, tuple[Scope, ...]]:
    """The second half: the answer, and what it rests on.

    An expert's answer is in the cache before it is given. Where the job was killed right after that, it is found there,
    and counts as what it is: this question's own.

    Args:
        graph: of `build_settle_graph`.
        deps: with nobody who could be waited for.
        state: of `drafted`.
    """
    state = await final(graph, deps, state)
    cached = state["cached"]
    own = cached is not None and cached["thread"] == state["thread"] and state["near"] is None
    answer = Answer.model_validate(cached if own else state["answer"])
    return answer.model_copy(update={"thread": ""}), rests_of(state)


async def final(graph: AskGraph, deps: Deps, start: AskState) -> AskState:
    """The state at the end of a graph that keeps nothing."""
    config: Any = {"recursion_limit": 4 * deps.max_steps + 20}

    async def run() -> Any:
        with tracing_context(enabled=False):  # LANGSMITH_TRACING in the environment would send text out
            return await graph.ainvoke(start, config, context=deps)

    # In an empty context: from its own, a refinement's graph would hand down its checkpointer.
    return cast("AskState", await asyncio.create_task(run(), context=Context()))


async def stream(
    graph: AskGraph, deps: Deps, question: str, scope: Scope, principal: str, thread: str, job: str | None = None
) -> AsyncIterator[Event]:
    """Answer a question, giving steps and text as they come, and the answer last."""
    config = config_of(deps, principal, thread)
    began = deps.clock()
    held = await graph.aget_state(config)
    kept: AskState = {"turns": list(held.values.get("turns", [])), "rests_on": trace_of(held.values)}
    start = fresh(question, scope, principal, thread, job, began) | kept
    async for event in events(graph, deps, config, start):
        yield event


async def resume(graph: AskGraph, deps: Deps, principal: str, thread: str, decision: Decision) -> AsyncIterator[Event]:
    """Go on with a question that waits for a person, by what they decided.

    One that was killed after they had decided goes on from there; an approval that was used is not used again.

    Raises:
        ApprovalError: the thread waits for no such request.
    """
    config = config_of(deps, principal, thread)
    held = await graph.aget_state(config)
    waits = pending(held, decision.id)
    if waits is None:
        raise ApprovalError(f"no question waits for request {decision.id}: it was decided, or its thread has gone on")
    start: Any = Command(resume=decision.model_dump(mode="json")) if waits == "approve" else None
    async for event in events(graph, deps, config, start):
        yield event


def pending(held: StateSnapshot, request: str) -> str | None:
    """The node at which a thread waits for a request, or stopped after it was decided; `None` where it doesn't."""
    asked = held.values.get("approval")
    if not held.next or asked is None or asked["id"] != request:
        return None
    return held.next[0] if held.next[0] in ("approve", "consult") else None


def config_of(deps: Deps, principal: str, thread: str) -> Any:
    """How LangGraph finds a thread."""
    return {"configurable": {"thread_id": thread_key(principal, thread)}, "recursion_limit": 4 * deps.max_steps + 20}


async def events(graph: AskGraph, deps: Deps, config: Any, start: Any) -> AsyncIterator[Event]:
    """Run from `start`, giving steps and text as they come, and the answer last."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    left = threading.Event()

    def on_text(text: str) -> None:
        deps.on_text(text)
        loop.call_soon_threadsafe(queue.put_nowait, Event(kind="text", text=text))

    heard = replace(deps, on_text=on_text, cancel=lambda: left.is_set() or deps.cancel())

    async def run() -> None:
        try:
            with tracing_context(enabled=False):  # LANGSMITH_TRACING in the environment would send text out
                await run_graph(graph, heard, config, start, queue.put_nowait)
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (event := await queue.get()) is not None:
            yield event
        await task
    finally:
        left.set()
        task.cancel()


async def run_graph(graph: AskGraph, deps: Deps, config: Any, start: Any, emit: Callable[[Event], None]) -> None:
    """Run the graph to its end, or to where it waits, emitting a step for every new record, and the answer."""
    seen = 0
    async for update in graph.astream(start, config, context=deps, stream_mode="updates", durability="sync"):
        if INTERRUPT in update:
            state: Any = (await graph.aget_state(config)).values
            emit(Event(kind="answer", answer=waiting(state, deps.clock())))
            continue  # to the stream's own end, which writes what is to be written
        for values in update.values():
            if not values:
                continue
            for shown in values.get("records", [])[seen:]:
                emit(Event(kind="step", step=StepRecord(**shown)))
            seen = max(seen, len(values.get("records", [])))
            if values.get("answer"):
                emit(Event(kind="answer", answer=Answer.model_validate(values["answer"])))
