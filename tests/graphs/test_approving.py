"""A person decides: the graph waits, over restarts, and sends what was approved once and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from graph_parts import fake_deps
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from understudy.core.audit import Egress, Refusal
from understudy.core.egress import Decision
from understudy.core.errors import ApprovalError, ExpertUnavailableError
from understudy.core.fakes import (
    FakeApprovals,
    FakeAuditLog,
    FakeBudget,
    FakeCache,
    FakeExamples,
    FakeExpert,
    FakeGuard,
    FakeJudge,
    FakeOutcomes,
)
from understudy.core.steps import Consult
from understudy.core.types import Answer, Observation, Passage, Scope
from understudy.graphs.ask import AskGraph, build_ask_graph
from understudy.graphs.run import ask, resume
from understudy.graphs.state import Deps

FOUND = Observation(
    passages=(Passage(document="d", title="T", version="v", location="l", start=0, end=4, text="Four", score=0.5),)
)
UNSURE = Consult(reason="unsure")


def deps(*experts: FakeExpert, **changes: Any) -> Deps:
    given: dict[str, Any] = {"guard": FakeGuard(asks=True), "judge": FakeJudge(accept=False)}
    return fake_deps(FOUND, UNSURE, experts=list(experts), **(given | changes))


async def decide(graph: AskGraph, used: Deps, request: str | None, verdict: str, text: str = "") -> Answer:
    decision = Decision.model_validate({"id": request, "verdict": verdict, "text": text})
    answers = [e.answer async for e in resume(graph, used, "ann", "t", decision) if e.kind == "answer"]
    (answer,) = answers
    assert isinstance(answer, Answer)
    return answer


async def asked(graph: AskGraph, used: Deps) -> Answer:
    return await ask(graph, used, "How many?", Scope(), "ann", "t")


async def test_it_waits_and_sends_what_was_approved() -> None:
    expert, graph, waiting = FakeExpert(), build_ask_graph(InMemorySaver()), FakeApprovals()
    used = deps(expert, approvals=waiting)
    answer = await asked(graph, used)
    assert (answer.status, answer.route, expert.asked) == ("waiting", "declined", [])
    assert answer.approval is not None
    assert answer.approval in answer.reason
    (request,) = waiting.waiting.values()
    assert (request.id, request.user, request.expert) == (answer.approval, "How many?", "fake")
    answer = await decide(graph, used, answer.approval, "approve")
    assert (answer.status, answer.route, answer.text) == ("done", "expert", "expert says")
    assert [p.user for p in expert.asked] == ["How many?"]
    assert waiting.waiting == {}


@pytest.mark.parametrize("verdict", ["approve", "edit", "refuse"])
async def test_what_a_person_took_to_decide_is_no_latency(verdict: str) -> None:
    now = [1000.0]
    used, graph = deps(FakeExpert(), clock=lambda: now[0]), build_ask_graph(InMemorySaver())
    first = await asked(graph, used)
    now[0] += 86400
    answer = await decide(graph, used, first.approval, verdict, "How many in all?")
    assert (first.latency_s, answer.latency_s) == (0, 0)
    now[0] += 5
    assert (await asked(graph, deps(FakeExpert(), clock=lambda: now[0]))).latency_s == 0


async def test_a_message_that_a_person_wrote_is_recorded_as_theirs() -> None:
    log, graph = FakeAuditLog(), build_ask_graph(InMemorySaver())
    used = deps(FakeExpert(), audit=log, guard=FakeGuard(asks=True, forbidden="Mia"))
    again = await decide(graph, used, (await asked(graph, used)).approval, "edit", "How many has Mia?")
    await decide(graph, used, again.approval, "approve")  # of what the guard left of it
    egress = log.held[0]
    assert isinstance(egress, Egress)
    assert (egress.edited, egress.quoted) == (True, ())
    assert egress.documents == (Scope(document="d"),), "what they were shown is behind it"


async def test_a_persons_refusal_is_recorded_as_one() -> None:
    log, graph = FakeAuditLog(), build_ask_graph(InMemorySaver())
    used = deps(FakeExpert(), audit=log)
    await decide(graph, used, (await asked(graph, used)).approval, "refuse")
    (refusal,) = log.held
    assert isinstance(refusal, Refusal)
    assert (refusal.rule, refusal.policy, refusal.expert, refusal.collections) == (
        "approval", "all", "fake", ("default",)
    )  # fmt: skip
    log.full, used = True, deps(FakeExpert(), audit=log)
    again = await decide(graph, used, (await asked(graph, used)).approval, "refuse")
    assert "a person refused" in again.reason


async def test_a_refusal_answers_locally_with_the_reason() -> None:
    expert, graph, waiting = FakeExpert(), build_ask_graph(InMemorySaver()), FakeApprovals()
    used = deps(expert, approvals=waiting)
    answer = await decide(graph, used, (await asked(graph, used)).approval, "refuse", "not this one")
    assert (answer.status, answer.route, expert.asked) == ("done", "declined", [])
    assert "a person refused to let it go to expert 'fake': not this one" in answer.reason
    assert waiting.waiting == {}


async def test_what_a_person_writes_goes_in_its_place_and_past_the_guard_again() -> None:
    expert, graph = FakeExpert(), build_ask_graph(InMemorySaver())
    used = deps(expert, guard=FakeGuard(asks=True, forbidden="Mia"))
    first = await asked(graph, used)
    again = await decide(graph, used, first.approval, "edit", "How many has Mia?")
    assert (again.status, expert.asked) == ("waiting", [])  # the guard took a word out: that is another payload
    assert again.approval != first.approval
    answer = await decide(graph, used, again.approval, "approve")
    assert answer.route == "expert"
    assert [p.user for p in expert.asked] == ["How many has ***?"]


async def test_an_edit_that_the_guard_leaves_as_it_is_is_sent() -> None:
    expert, graph = FakeExpert(), build_ask_graph(InMemorySaver())
    used = deps(expert)
    answer = await decide(graph, used, (await asked(graph, used)).approval, "edit", "How many in all?")
    assert (answer.route, [p.user for p in expert.asked]) == ("expert", ["How many in all?"])


@pytest.mark.parametrize(("verdict", "kept"), [("approve", 1), ("edit", 0)])
async def test_what_was_answered_to_other_words_is_no_answer_to_the_question(verdict: str, kept: int) -> None:
    cache, outcomes, examples = FakeCache(), FakeOutcomes(), FakeExamples()
    used = deps(FakeExpert(), cache=cache, outcomes=outcomes, examples=examples)
    graph = build_ask_graph(InMemorySaver())
    answer = await decide(graph, used, (await asked(graph, used)).approval, verdict, "How many in all?")
    assert answer.route == "expert"
    assert (len(cache.held), len(examples.held)) == (kept, kept)
    assert [o.expert is not None for o in outcomes.held] == [bool(kept)]
    assert ("a person reworded what was sent" in answer.reason) is not bool(kept)


async def test_an_approval_is_of_one_payload_and_one_expert() -> None:
    down, up = FakeExpert(ExpertUnavailableError("down is down"), name="down"), FakeExpert("up says", name="up")
    graph, guard = build_ask_graph(InMemorySaver()), FakeGuard(asks=True)
    used = deps(down, up, guard=guard)
    first = await asked(graph, used)
    second = await decide(graph, used, first.approval, "approve")
    assert (second.status, len(down.asked), up.asked) == ("waiting", 1, [])
    guard.forbidden = "many"  # what would leave has changed since it was shown
    third = await decide(graph, used, second.approval, "approve")
    assert (third.status, up.asked) == ("waiting", [])
    answer = await decide(graph, used, third.approval, "approve")
    assert (answer.route, answer.text, len(down.asked)) == ("expert", "up says", 1)
    assert [p.user for p in up.asked] == ["How ***?"]


async def test_decisions_on_what_does_not_wait_are_errors() -> None:
    graph, used = build_ask_graph(InMemorySaver()), deps(FakeExpert())
    first = await asked(graph, used)
    with pytest.raises(ApprovalError, match="no question waits for request nonsense"):
        await decide(graph, used, "nonsense", "approve")
    await decide(graph, used, first.approval, "approve")
    with pytest.raises(ApprovalError):
        await decide(graph, used, first.approval, "approve")


async def test_a_new_question_in_the_thread_takes_the_place_of_one_that_waits() -> None:
    graph, expert = build_ask_graph(InMemorySaver()), FakeExpert()
    first = await asked(graph, deps(expert))
    used = deps(expert)
    second = await ask(graph, used, "How few?", Scope(), "ann", "t")
    with pytest.raises(ApprovalError):
        await decide(graph, used, first.approval, "approve")
    assert (await decide(graph, used, second.approval, "approve")).question == "How few?"
    assert [p.user for p in expert.asked] == ["How few?"]


async def test_it_survives_a_restart(tmp_path: Path) -> None:
    expert = FakeExpert()
    async with aiosqlite.connect(tmp_path / "threads.sqlite") as db:
        first = await asked(build_ask_graph(AsyncSqliteSaver(db)), deps(expert))
    async with aiosqlite.connect(tmp_path / "threads.sqlite") as db:
        answer = await decide(build_ask_graph(AsyncSqliteSaver(db)), deps(expert), first.approval, "approve")
    assert (answer.route, len(expert.asked)) == ("expert", 1)


class Killed(BaseException):
    """The process ends here."""


class KilledExpert(FakeExpert):
    async def ask(self, payload: Any) -> Any:
        self.asked.append(payload)
        raise Killed


async def test_who_is_killed_while_it_is_sent_sends_nothing_again_unasked() -> None:
    graph, waiting, budget = build_ask_graph(InMemorySaver()), FakeApprovals(), FakeBudget()
    killed, alive = KilledExpert(), FakeExpert()
    first = await asked(graph, deps(killed, approvals=waiting))
    with pytest.raises(Killed):
        await decide(graph, deps(killed, approvals=waiting, budget=budget), first.approval, "approve")
    assert len(killed.asked) == 1
    assert (len(budget.booked), budget.settled) == (1, set())  # what may have been sent stays spent
    again = await decide(graph, deps(alive, approvals=waiting, budget=budget), first.approval, "approve")
    assert (again.status, alive.asked) == ("waiting", [])
    answer = await decide(graph, deps(alive, approvals=waiting, budget=budget), again.approval, "approve")
    assert (answer.route, len(alive.asked), len(budget.booked)) == ("expert", 1, 2)


async def test_who_is_killed_before_it_is_sent_need_not_be_asked_twice() -> None:
    class KilledApprovals(FakeApprovals):
        def use(self, id: str) -> bool:
            raise Killed

    graph, expert = build_ask_graph(InMemorySaver()), FakeExpert()
    first = await asked(graph, deps(expert))
    with pytest.raises(Killed):
        await decide(graph, deps(expert, approvals=KilledApprovals()), first.approval, "approve")
    answer = await decide(graph, deps(expert), first.approval, "approve")
    assert (answer.route, len(expert.asked)) == ("expert", 1)
