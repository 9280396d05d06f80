"""What the graph tells the audit log, when, and what follows where it can't."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from graph_parts import fake_deps
from langgraph.checkpoint.memory import InMemorySaver

from understudy.agents.cache.semantic import place_of
from understudy.agents.records import digest
from understudy.core.audit import Egress, Refusal, Result
from understudy.core.egress import Decision
from understudy.core.errors import (
    EgressRefused,
    ExpertReplyError,
    ExpertUnavailableError,
    SettingsError,
    WorkspaceError,
)
from understudy.core.fakes import FakeAuditLog, FakeBudget, FakeCache, FakeExpert, FakeGuard, FakeToolBox
from understudy.core.protocols import Outbound, Payload
from understudy.core.steps import Consult, ToolStep
from understudy.core.types import Answer, ExpertAnswer, Observation, Passage, Scope
from understudy.core.usage import Spend
from understudy.graphs.ask import build_ask_graph
from understudy.graphs.run import ask, resume
from understudy.graphs.state import Deps

TEXT = "Revenue was 412.6 million."
PASSAGE = Passage(document="d", title="T", version="v", location="p", start=0, end=len(TEXT), text=TEXT, score=0.7)
FOUND = Observation(passages=(PASSAGE,))
SEARCH = ToolStep(kind="search", arguments={"query": "revenue"})


async def consulted(log: FakeAuditLog, **changes: Any) -> Answer:
    deps = fake_deps(FOUND, SEARCH, Consult(reason="unsure"), audit=log, **changes)
    return await ask(build_ask_graph(InMemorySaver()), deps, "What was revenue?", Scope(collection="c"), "ann", "t")


async def test_an_egress_is_written_before_it_leaves_and_its_result_after() -> None:
    log, seen = FakeAuditLog(), []

    class Watching(FakeExpert):
        async def ask(self, payload: Payload) -> ExpertAnswer:
            seen.extend(log.held)
            return await super().ask(payload)

    expert = Watching()
    await consulted(log, experts=[expert])
    (egress,) = seen
    assert isinstance(egress, Egress)
    assert (egress.principal, egress.thread, egress.job, egress.collection) == ("ann", "t", None, "c")
    assert (egress.expert, egress.host, egress.policy) == ("fake", "fake.invalid", "all")
    assert (egress.sha256, egress.bytes) == (expert.asked[0].sha256, len(expert.asked[0].content))
    assert egress.documents == egress.quoted == (Scope(collection="c", document="d"),)
    assert (egress.collections, egress.edited, egress.worst.usd) == (("c",), False, 0.02)
    _, result = log.held
    assert isinstance(result, Result)
    assert (result.of, result.status) == (1, "answered")
    assert result.spent is not None
    assert result.spent.usd == 0.01


@pytest.mark.parametrize(
    ("error", "status", "spent"),
    [
        (ExpertUnavailableError("timed out", None), "failed", None),
        (ExpertReplyError("Ann Miller is ill", Spend(usd=0.005, calls=1)), "failed", 0.005),
        (SettingsError("no such provider"), "not sent", 0.0),
        (EgressRefused("stopped at the door", "transport"), "not sent", 0.0),
    ],
)
async def test_a_failure_is_written_without_its_words(error: Exception, status: str, spent: float | None) -> None:
    log = FakeAuditLog()
    await consulted(log, experts=[FakeExpert(error)])
    result = log.held[1]
    assert isinstance(result, Result)
    assert result.attempts == (status == "failed")
    assert (result.status, result.error) == (status, type(error).__name__)
    assert (result.spent and result.spent.usd) == spent
    assert "Miller" not in result.model_dump_json()


async def test_every_expert_that_is_tried_has_records_of_its_own() -> None:
    log = FakeAuditLog()
    down = FakeExpert(ExpertUnavailableError("down"), name="down")
    await consulted(log, experts=[down, FakeExpert(name="up")])
    assert [(r.kind, getattr(r, "expert", "")) for r in log.held] == [
        ("egress", "down"), ("result", "down"), ("egress", "up"), ("result", "up"),
    ]  # fmt: skip


async def test_a_refusal_is_written() -> None:
    log, expert = FakeAuditLog(), FakeExpert()
    await consulted(log, experts=[expert], guard=FakeGuard(refuses=True))
    (refusal,) = log.held
    assert isinstance(refusal, Refusal)
    assert (refusal.rule, refusal.expert, refusal.principal) == ("policy", "fake", "ann")
    assert refusal.collections == ("c",)
    assert not expert.asked


async def test_what_the_thread_read_elsewhere_is_in_the_record_of_what_leaves() -> None:
    log, graph = FakeAuditLog(), build_ask_graph(InMemorySaver())
    for number, collection in enumerate("ab"):
        steps = (SEARCH, Consult(reason="unsure"))
        deps = fake_deps(FOUND, *steps, audit=log, experts=[FakeExpert()])
        await ask(graph, deps, f"What was revenue {number}?", Scope(collection=collection), "ann", "t")
    egress = log.held[2]
    assert isinstance(egress, Egress)
    assert (egress.collection, egress.collections) == ("b", ("b", "a"))
    assert egress.documents == tuple(Scope(collection=c, document="d") for c in "ab")
    assert egress.quoted == (Scope(collection="b", document="d"),)


@pytest.mark.parametrize("refuses", [False, True])
async def test_where_nothing_can_be_written_nothing_is_sent_and_nothing_stays_spent(refuses: bool) -> None:
    expert, budget = FakeExpert(), FakeBudget()
    given: dict[str, Any] = {"experts": [expert, FakeExpert(name="next")], "budget": budget}
    answer = await consulted(FakeAuditLog(full=True), guard=FakeGuard(refuses=refuses), **given)
    assert not expert.asked
    assert "audit log can't be written" in answer.reason
    assert sum(spend.usd for spend in budget.booked.values()) == 0


async def test_a_paid_answer_is_given_although_its_result_could_not_be_written() -> None:
    class Filling(FakeExpert):
        async def ask(self, payload: Payload) -> ExpertAnswer:
            log.full = True
            return await super().ask(payload)

    log = FakeAuditLog()
    answer = await consulted(log, experts=[Filling()])
    assert answer.text == "expert says"
    assert "audit log can't be written" in answer.reason


async def test_a_call_that_was_stopped_at_its_second_attempt_was_sent_once() -> None:
    stopped = EgressRefused("the address is another", "transport")
    stopped.attempts, stopped.spent = 1, Spend(usd=0.01, calls=1)
    log, budget = FakeAuditLog(), FakeBudget()
    await consulted(log, experts=[FakeExpert(stopped)], budget=budget)
    _, result, refusal = log.held
    assert isinstance(result, Result)
    assert isinstance(refusal, Refusal)
    assert (result.status, result.attempts, result.spent) == ("failed", 1, stopped.spent)
    assert list(budget.booked.values()) == [stopped.spent]
    assert refusal.rule == "transport"


async def test_over_budget_it_is_the_budget_that_refused() -> None:
    log = FakeAuditLog()
    await consulted(log, experts=[FakeExpert()], budget=FakeBudget(limit_usd=0.0))
    (refusal,) = log.held
    assert isinstance(refusal, Refusal)
    assert refusal.rule == "budget"


async def test_a_paid_reply_is_booked_even_if_it_cant_be_restored() -> None:
    class Broken(FakeGuard):
        def restore(self, answer: ExpertAnswer, sent: Outbound) -> ExpertAnswer:
            raise WorkspaceError("the placeholders can't be read")

    log, budget, second = FakeAuditLog(), FakeBudget(), FakeExpert()
    answer = await consulted(log, experts=[FakeExpert(), second], guard=Broken(), budget=budget)
    egress, result = log.held
    assert isinstance(egress, Egress)
    assert isinstance(result, Result)
    assert (result.status, second.asked) == ("answered", [])
    assert len(budget.settled) == 1
    assert "the placeholders can't be read" in answer.reason


async def test_the_guard_is_told_of_all_that_the_thread_rests_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the turn that was asked of another collection is kept no longer."""
    monkeypatch.setattr("understudy.graphs.ask.KEPT_TURNS", 1)
    guard, graph = FakeGuard(), build_ask_graph(InMemorySaver())
    for number, collection in enumerate("abb"):
        deps = fake_deps(FOUND, SEARCH, Consult(reason="unsure"), guard=guard, experts=[FakeExpert()])
        await ask(graph, deps, f"What was revenue {number}?", Scope(collection=collection), "ann", "t")
    assert [p.sources for p in guard.passed] == [("a",), ("b", "a"), ("b", "a")]


async def test_later_turns_rest_on_what_was_given_from_the_cache_and_what_was_approved() -> None:
    def brief(behind: str) -> Any:
        example = (Scope(collection=behind, document="x"),)
        return lambda question, scope, passages, *_: Payload("s", question, passages, question, scope, rests_on=example)

    log, graph, cache = FakeAuditLog(), build_ask_graph(InMemorySaver()), FakeCache()
    given: dict[str, Any] = {"audit": log, "cache": cache}

    def deps(behind: str, **changes: Any) -> Deps:
        steps = (SEARCH, Consult(reason="unsure"))
        return fake_deps(FOUND, *steps, brief=brief(behind), experts=[FakeExpert()], **given | changes)

    first = await ask(graph, deps("b"), "What was revenue?", Scope(collection="a"), "ann", "t")
    again = await ask(graph, deps("c"), "What was revenue?", Scope(collection="a"), "ann", "u")
    assert (first.route, again.route) == ("expert", "cache")
    waits = await ask(graph, deps("c", guard=FakeGuard(asks=True)), "And profit?", Scope(collection="a"), "ann", "u")
    decision = Decision(id=waits.approval or "", verdict="approve")
    async for _event in resume(graph, deps("d", guard=FakeGuard(asks=True)), "ann", "u", decision):
        pass
    await ask(graph, deps("e"), "And sales?", Scope(collection="a"), "ann", "u")
    last = [record for record in log.held if isinstance(record, Egress)][-1]
    assert set(last.collections) == {"a", "b", "c", "d", "e"}
    assert {s.collection for s in last.documents} == {"a", "b", "c", "d", "e"}


async def test_a_tool_is_told_whose_question_it_is_and_what_is_behind() -> None:
    told: list[Any] = []

    class Box(FakeToolBox):
        def run(self, name: str, arguments: dict[str, object], *asked: Any) -> Observation:
            told.append((name, *asked[3:]))
            return FOUND if name == "search" else Observation(text="known")

    steps = (SEARCH, ToolStep(kind="look_up", arguments={}), Consult(reason="unsure"))
    deps = fake_deps(FOUND, *steps, tools=Box(FOUND))
    await ask(build_ask_graph(InMemorySaver()), deps, "What was revenue?", Scope(collection="c"), "ann", "t")
    (_, first, nothing), (name, account, read) = told
    assert (name, account, nothing, read) == ("look_up", first, (), (Scope(collection="c", document="d"),))
    assert (account.principal, account.thread, account.job, len(account.question)) == ("ann", "t", None, 32)


async def test_the_same_thread_of_another_collection_is_another_to_the_cache() -> None:
    keys, cache, graph = [], FakeCache(), build_ask_graph(InMemorySaver())
    recall = cache.recall
    cache.recall = lambda key: (keys.append(key), recall(key))[1]  # type: ignore[method-assign]
    for thread in "ab":
        for collection in (thread, "b"):
            deps = fake_deps(FOUND, SEARCH, Consult(reason="unsure"), cache=cache, experts=[FakeExpert()])
            await ask(graph, deps, "What was revenue?", Scope(collection=collection), "ann", thread)
    _, after_a, _, after_b = keys
    assert (after_a.asked_of, after_b.asked_of) == (("a",), ("b",))
    assert replace(after_a, asked_of=()) == replace(after_b, asked_of=())
    assert digest(after_a) != digest(after_b)
    dated = [replace(key, question="Who founded Acme in 2019?") for key in (after_a, after_b)]
    assert place_of(dated[0]) != place_of(dated[1])
