"""The graph and a question in other words: given again, compared, or drawn to be compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from graph_parts import fake_deps
from langgraph.checkpoint.memory import InMemorySaver

from understudy.core.errors import ExpertError
from understudy.core.fakes import FakeCache, FakeExpert, FakeJudge
from understudy.core.protocols import Basis, Cached, Near
from understudy.core.steps import Consult, Point, ToolStep
from understudy.core.types import Answer, Finding, Observation, Passage, Scope
from understudy.graphs.ask import build_ask_graph
from understudy.graphs.run import ask

EARLIER = Answer(question="Who founded Acme?", text="Ada", route="expert", reason="r", confidence=0.9, thread="t")
NEAR = Near(Cached(EARLIER, Basis({}, "1")), 0.97, hit=True, probability=0.5)


async def asked(near: Near, expert: FakeExpert, **changes: Any) -> tuple[Answer, FakeCache, Any]:
    cache = FakeCache(alike=[near])
    deps = fake_deps(Observation(), Consult(reason="unsure"), cache=cache, experts=[expert], **changes)
    answer = await ask(build_ask_graph(InMemorySaver()), deps, "Acme was founded by whom?", Scope(), "ann", "t")
    return answer, cache, deps


async def test_a_hit_is_given_again_and_says_to_what() -> None:
    expert = FakeExpert()
    answer, cache, deps = await asked(NEAR, expert)
    assert (answer.text, answer.route, answer.question) == ("Ada", "cache", "Acme was founded by whom?")
    assert "answered before as “Who founded Acme?” (similarity 0.97)" in answer.reason
    assert [s.model_dump() for s in answer.steps] == [
        {"kind": "recall", "question": "Who founded Acme?", "similarity": 0.97}
    ]
    assert cache.noted == [(0.97, None)]
    assert expert.asked == []
    assert deps.outcomes.held == []


async def test_what_is_no_hit_is_compared_when_an_expert_answers() -> None:
    answer, cache, _ = await asked(replace(NEAR, hit=False), FakeExpert("Ben"))
    assert (answer.text, answer.route) == ("Ben", "expert")
    assert [(s, a.text) for s, a in cache.noted if a] == [(0.97, "Ben")]


async def test_a_hit_that_is_drawn_goes_to_the_expert() -> None:
    answer, cache, _ = await asked(replace(NEAR, audit=True), FakeExpert("Ben"))
    assert answer.route == "expert"
    assert [(s, a.text) for s, a in cache.noted if a] == [(0.97, "Ben")]


async def test_a_hit_that_is_drawn_is_given_where_nobody_answers() -> None:
    answer, cache, _ = await asked(replace(NEAR, audit=True), FakeExpert(ExpertError("down")))
    assert (answer.text, answer.route) == ("Ada", "cache")
    assert cache.noted == []


@pytest.mark.parametrize("basis", [Basis({}, "2"), Basis({"gone.md": "1"}, "1")])
async def test_a_changed_basis_is_no_hit(basis: Basis) -> None:
    near = replace(NEAR, cached=Cached(EARLIER, basis))
    answer, cache, _ = await asked(near, FakeExpert("Ben"))
    assert (answer.text, cache.noted) == ("Ben", [])


async def test_asked_for_the_cache_alone_an_expert_says_nothing_of_drafts() -> None:
    text = "Ada founded Acme."
    passage = Passage(document="d", title="T", version="1", location="p", start=0, end=len(text), text=text, score=0.7)
    finding = Finding(
        text="Ada", score=0.9, origin="reader", passage=0, start=0, end=3, quote_start=0, quote_end=len(text)
    )
    found = Observation(passages=(passage,), findings=(finding,), answerable=0.9)
    cache, search = FakeCache(alike=[replace(NEAR, audit=True)]), ToolStep(kind="search", arguments={"query": "Acme"})
    deps = fake_deps(found, search, Point(findings=[1]), cache=cache, experts=[FakeExpert("Ben")], judge=FakeJudge())
    answer = await ask(build_ask_graph(InMemorySaver()), deps, "Acme was founded by whom?", Scope(), "ann", "t")
    assert (answer.text, answer.route) == ("Ben", "expert")
    (outcome,) = deps.outcomes.held
    assert outcome.draft is not None
    assert (outcome.expert, outcome.drawn) == (None, False)
