"""The small model played alone, with fakes: what it is asked, what it may not use, what comes of it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, TypedDict

from example_parts import example
from graph_parts import fake_deps
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from understudy.agents.rehearsal import Rehearsal
from understudy.core.fakes import FakeCache, FakeExamples, FakeExpert, FakeOutcomes, FakePlanner
from understudy.core.steps import Consult
from understudy.core.types import Observation


def test_every_rehearsal_begins_anew_with_nobody_to_ask_and_nothing_kept() -> None:
    planner = FakePlanner([Consult(reason="unsure"), Consult(reason="unsure")])
    expert, cache, kept, outcomes = FakeExpert(), FakeCache(), FakeExamples(), FakeOutcomes()
    given = fake_deps(Observation(), planner=planner, experts=[expert], cache=cache, examples=kept, outcomes=outcomes)
    players: Any = object()
    rehearsal = Rehearsal(lambda who: given, asyncio.run)
    followed = example("12 million", "", "body").model_copy(update={"history": ("What of 2023?",)})
    first = rehearsal.played(followed, players)
    second = rehearsal.played(example("1", "", "body", question="Who is it?"), players)
    assert (first.question, second.question) == ("What was revenue?", "Who is it?")
    assert planner.history == [[("What of 2023?", "")], []], "of an earlier rehearsal nothing is known"
    assert (first.draft, first.expert, second.draft, second.expert) == (None, None, None, None)
    assert not expert.asked
    assert not outcomes.held
    assert not cache.held
    assert not kept.held


class Said(TypedDict, total=False):
    question: str


def test_a_refinement_that_rehearses_keeps_its_checkpoints_to_itself(tmp_path: Path) -> None:
    players: Any = object()
    steps = [Consult(reason="unsure"), Consult(reason="unsure")]
    given = fake_deps(Observation(), planner=FakePlanner(list(steps)))
    rehearsal = Rehearsal(lambda who: given, asyncio.run)

    def evaluate(state: Said) -> Said:
        outcomes = [rehearsal.played(example("12", "", "body", question=q), players) for q in ("Which?", "Who?")]
        return {"question": " ".join(o.question for o in outcomes)}

    graph = StateGraph(Said)
    graph.add_node("evaluate", evaluate)
    graph.add_edge(START, "evaluate")
    graph.add_edge("evaluate", END)
    with closing(sqlite3.connect(tmp_path / "runs.db", check_same_thread=False)) as db:
        refine = graph.compile(checkpointer=SqliteSaver(db))
        config: Any = {"configurable": {"thread_id": "r"}}
        assert refine.invoke({"question": ""}, config, durability="sync") == {"question": "Which? Who?"}
        assert refine.get_state(config).values == {"question": "Which? Who?"}
