"""What must hold at the edges of the graph: loops, odd tools, changing documents, listeners that leave."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from graph_parts import fake_deps
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from understudy.core.errors import Stopped
from understudy.core.fakes import (
    FakeCache,
    FakeExpert,
    FakePlanner,
    FakeRetriever,
    FakeToolBox,
)
from understudy.core.protocols import Payload
from understudy.core.steps import AnswerStep, Consult, Decline, Point, Quote, Step, ToolStep
from understudy.core.types import ExpertAnswer, Finding, Observation, Passage, Scope
from understudy.graphs.ask import build_ask_graph
from understudy.graphs.run import ask, stream
from understudy.graphs.state import Deps

TEXT = "Revenue was 412.6 million."
PASSAGE = Passage(document="d", title="T", version="v", location="p", start=50, end=50 + len(TEXT), text=TEXT)
FINDING = Finding(text="412.6", score=0.9, origin="reader", passage=0, quote_start=50, quote_end=76)
FOUND = Observation(passages=(PASSAGE,), findings=(FINDING,), answerable=0.9)
POINT = Point(findings=[1])


def search(query: str = "revenue", **more: Any) -> ToolStep:
    return ToolStep(kind="search", arguments={"query": query, **more})


def deps(*steps: Step, **changes: Any) -> Deps:
    return fake_deps(FOUND, *steps, **changes)


async def run(given: Deps, thread: str = "t") -> Any:
    return await ask(build_ask_graph(InMemorySaver()), given, "What was revenue?", Scope(), "ann", thread)


async def test_a_narrower_call_is_not_taken_for_a_repeated_one() -> None:
    tools = FakeToolBox(FOUND)
    await run(deps(search(limit=3), search(), POINT, tools=tools))
    assert len(tools.calls) == 2


async def test_tools_may_have_arguments_named_like_our_fields() -> None:
    arguments = {"kind": "x", "result": "y", "seconds": 9, "passages": 2}
    tool = ToolStep(kind="odd", arguments=arguments)
    tools = FakeToolBox(Observation(text="shown"))
    answer = await run(deps(tool, tool, Decline(reason="not_in_documents"), tools=tools))
    assert tools.calls == [("odd", arguments)]
    assert [s.kind for s in answer.steps] == ["odd", "odd", "decline"]


async def test_findings_of_a_later_search_point_at_its_passages() -> None:
    second = PASSAGE.model_copy(update={"document": "e"})

    class Box(FakeToolBox):
        def run(self, name: str, arguments: Any, *rest: Any) -> Observation:
            return FOUND if arguments["query"] == "a" else Observation(passages=(second,), findings=(FINDING,))

    answer = await run(deps(search("a"), search("b"), Point(findings=[2]), tools=Box(FOUND)))
    assert answer.citations[0].document == "e"


async def test_a_planner_that_never_ends_is_ended() -> None:
    steps = [search(str(n)) for n in range(60)]
    answer = await run(deps(*steps, max_steps=3))
    assert answer.route == "declined"
    assert len(answer.steps) <= 3


async def test_problems_are_the_reason() -> None:
    wrong = AnswerStep(quotes=[Quote(passage=1, quote="Revenue")], text="99 million")
    answer = await run(deps(search(), wrong))
    assert answer.route == "declined"
    assert "99" in answer.reason


async def test_an_answer_belongs_to_the_documents_it_was_made_from() -> None:
    retriever, cache = FakeRetriever([PASSAGE]), FakeCache()

    class Slow(FakeExpert):
        async def ask(self, payload: Payload) -> Any:
            retriever.version = "2"
            return await super().ask(payload)

    consult = Consult(reason="unsure")
    await run(deps(search(), consult, experts=[Slow()], cache=cache, retriever=retriever))
    again = await run(deps(search(), consult, experts=[FakeExpert()], cache=cache, retriever=retriever), "u")
    assert again.route == "expert"


async def test_threads_of_two_principals_never_meet() -> None:
    graph = build_ask_graph(InMemorySaver())
    await ask(graph, deps(search(), POINT), "q", Scope(), "ann", "x/y")
    other = deps(search(), POINT)
    await ask(graph, other, "q", Scope(), "ann/x", "y")
    assert isinstance(other.planner, FakePlanner)
    assert other.planner.history == [[]]


async def test_a_listener_that_leaves_stops_inference() -> None:
    stopped = threading.Event()

    class Endless(FakePlanner):
        def next_step(self, *_: Any, on_text: Any, cancel: Any, **__: Any) -> Any:
            on_text("a")
            for _turn in range(500):
                if cancel():
                    stopped.set()
                    raise Stopped("asked to")
                threading.Event().wait(0.01)
            raise AssertionError("nobody stopped it")

    events = stream(build_ask_graph(InMemorySaver()), deps(planner=Endless([])), "q", Scope(), "ann", "t")
    await anext(events)
    await events.aclose()  # type: ignore[attr-defined]
    assert await asyncio.to_thread(stopped.wait, 2)


async def test_checkpoints_hold_plain_data(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    consult = [search(), Consult(reason="unsure")]
    with caplog.at_level(logging.WARNING):
        for _time in range(2):
            async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
                graph = build_ask_graph(saver)
                await ask(graph, deps(*consult, experts=[FakeExpert()]), "q", Scope(), "ann", "t")
                held = await graph.aget_state({"configurable": {"thread_id": "ann/t"}})
    assert caplog.records == []
    assert plain(held.values)


def plain(value: Any) -> bool:
    """Whether a value is of JSON's types alone."""
    if isinstance(value, dict):
        return all(type(k) is str and plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (str, int, float, bool)


async def test_latency_is_by_the_given_clock() -> None:
    times = iter([100.0, 102.5])
    assert (await run(deps(search(), POINT, clock=lambda: next(times)))).latency_s == 2.5


@pytest.mark.parametrize("absent", [True, False])
async def test_only_an_expert_that_finds_nothing_is_shown_with_what_was_searched(absent: bool) -> None:
    class Uncited(FakeExpert):
        async def ask(self, payload: Payload) -> ExpertAnswer:
            return ExpertAnswer(text="x", expert="e", not_in_documents=absent)

    answer = await run(deps(search(), Consult(reason="unsure"), experts=[Uncited()]))
    assert [c.kind for c in answer.citations] == (["absence"] if absent else [])
