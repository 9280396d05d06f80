"""Every route through the graph, with fakes; and threads on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from graph_parts import fake_deps
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from understudy.core.errors import ExpertReplyError, ExpertUnavailableError, SettingsError, WorkspaceError
from understudy.core.fakes import (
    FakeBudget,
    FakeCache,
    FakeExamples,
    FakeExpert,
    FakeExperts,
    FakeGuard,
    FakeJudge,
    FakeOutcomes,
    FakePlanner,
    FakeRetriever,
    FakeToolBox,
)
from understudy.core.protocols import Account, Payload
from understudy.core.steps import AnswerStep, Consult, Decline, Point, Quote, Step, ToolStep
from understudy.core.types import Answer, Citation, Example, ExpertAnswer, Finding, Observation, Passage, Scope
from understudy.core.usage import Spend
from understudy.graphs.ask import build_ask_graph
from understudy.graphs.run import ask, stream
from understudy.graphs.state import Deps

TEXT = "Revenue was 412.6 million. Staff rose to 2,059."
PASSAGE = Passage(
    document="d", title="T", version="v", location="page 2", start=50, end=50 + len(TEXT), text=TEXT, score=0.7
)
FINDING = Finding(
    text="412.6 million", score=0.9, origin="reader", passage=0, start=62, end=75, quote_start=50, quote_end=76
)
FOUND = Observation(passages=(PASSAGE,), findings=(FINDING,), answerable=0.9)
SEARCH = ToolStep(kind="search", arguments={"query": "revenue"})
POINT = Point(findings=[1])


def deps(*steps: Step, **changes: Any) -> Deps:
    return fake_deps(FOUND, *steps, **changes)


async def run(given: Deps, question: str = "What was revenue?", **where: Any) -> Answer:
    return await ask(build_ask_graph(InMemorySaver()), given, question, Scope(), "ann", where.get("thread", "t"))


async def test_local() -> None:
    answer = await run(deps(SEARCH, POINT))
    assert (answer.route, answer.text, answer.confidence) == ("local", "412.6 million", 0.8)
    (citation,) = answer.citations
    assert (citation.quote, citation.start, citation.location) == ("Revenue was 412.6 million.", 50, "page 2")
    assert [s.kind for s in answer.steps] == ["search", "answer"]
    assert answer.tokens.small.evaluated == 20


async def test_a_quoting_answer_is_verified() -> None:
    good = AnswerStep(quotes=[Quote(passage=1, quote="Staff rose to 2,059.")], text="Staff rose to 2059.")
    answer = await run(deps(SEARCH, good))
    assert answer.route == "local"
    assert TEXT[answer.citations[0].start - 50 : answer.citations[0].end - 50] == "Staff rose to 2,059."
    invented = AnswerStep(quotes=[Quote(passage=1, quote="Staff rose to 2,059.")], text="Staff rose to 3,000.")
    answer = await run(deps(SEARCH, invented))
    assert answer.route == "declined"
    elsewhere = AnswerStep(quotes=[Quote(passage=2, quote="Staff")], text="Staff")
    assert (await run(deps(SEARCH, elsewhere))).route == "declined"


async def test_a_calculated_answer_cites_its_inputs() -> None:
    result = Observation(findings=(Finding(text="825.2", score=0.9, origin="calculator", inputs=(0,)),))

    class Box(FakeToolBox):
        def run(self, name: str, *rest: Any) -> Observation:
            return FOUND if name == "search" else result

    calculate = ToolStep(kind="calculate", arguments={"expression": "f1 * 2"})
    answer = await run(deps(SEARCH, calculate, Point(findings=[2]), tools=Box(FOUND)))
    assert answer.text == "825.2"
    assert answer.citations[0].quote == "Revenue was 412.6 million."


async def test_expert_then_cache() -> None:
    expert, cache, examples = FakeExpert(), FakeCache(), FakeExamples()
    shared: dict[str, Any] = {
        "judge": FakeJudge(accept=False),
        "experts": [expert],
        "cache": cache,
        "examples": examples,
    }
    answer = await run(deps(SEARCH, POINT, **shared))
    assert (answer.route, answer.text, answer.expert, answer.cost_usd) == ("expert", "expert says", "fake", 0.01)
    assert examples.held[0].draft is not None
    again = await run(deps(**shared), thread="other")
    assert (again.route, again.text, again.cost_usd, again.thread) == ("cache", "expert says", 0, "other")
    assert len(expert.asked) == 1
    changed = deps(SEARCH, POINT, retriever=FakeRetriever([PASSAGE], version="2"), **shared)
    assert (await run(changed, thread="third")).route == "expert"


async def test_an_answer_is_given_again_while_the_documents_it_quotes_are_unchanged() -> None:
    quote = Citation(document="d", title="T", location="page 2", start=50, end=50 + len(TEXT), quote=TEXT, score=0.7)
    shared: dict[str, Any] = {"experts": [FakeExpert(citations=(quote,))], "cache": FakeCache()}
    consult = Consult(reason="unsure")
    first = await run(deps(SEARCH, consult, **shared))
    elsewhere = deps(retriever=FakeRetriever([PASSAGE], version="2"), **shared)
    again = await run(elsewhere, thread="u")
    newer = PASSAGE.model_copy(update={"version": "v2"})
    changed = deps(SEARCH, consult, retriever=FakeRetriever([newer], version="2"), **shared)
    third = await run(changed, thread="w")
    gone = deps(SEARCH, consult, retriever=FakeRetriever([], version="2"), **shared)
    fourth = await run(gone, thread="x")
    assert [a.route for a in (first, again, third, fourth)] == ["expert", "cache", "expert", "expert"]


async def test_an_answer_whose_document_changed_while_it_was_read_is_not_given_again() -> None:
    quote = Citation(document="d", title="T", location="page 2", start=50, end=50 + len(TEXT), quote=TEXT, score=0.7)
    newer = PASSAGE.model_copy(update={"version": "v2"})
    expert = FakeExpert(citations=(quote,))
    shared: dict[str, Any] = {"experts": [expert], "cache": FakeCache(), "retriever": FakeRetriever([newer])}
    shared["tools"] = FakeToolBox(Observation(passages=(PASSAGE, newer)))
    consult = Consult(reason="unsure")
    for thread in ("t", "u"):
        assert (await run(deps(SEARCH, consult, **shared), thread=thread)).route == "expert"


async def test_a_draft_without_any_confidence_is_no_answer_even_where_nobody_else_can_be_asked() -> None:
    sure, unsure, hopeless = (FakeJudge(accept=False, confidence=c) for c in (0.6, 0.2, 0.01))
    assert [(await run(deps(SEARCH, POINT, judge=j), thread=str(n))).route for n, j in enumerate((sure, unsure))] == [
        "local", "local",
    ]  # fmt: skip
    answer = await run(deps(SEARCH, POINT, judge=hopeless))
    assert answer.route == "declined"
    assert "412.6" not in answer.text
    lenient = FakeJudge(accept=True, confidence=0.01)  # whoever sets a threshold that low wants the answer
    assert (await run(deps(SEARCH, POINT, judge=lenient), thread="u")).text == "412.6 million"


async def test_an_answer_that_was_paid_for_is_given_even_where_it_cant_be_kept() -> None:
    class Full(FakeExamples):
        def add(self, example: Example) -> str:
            raise WorkspaceError("the disk is full")

    shared: dict[str, Any] = {"experts": [FakeExpert()], "cache": FakeCache(), "examples": Full()}
    answer = await run(deps(SEARCH, Consult(reason="unsure"), **shared))
    assert (answer.route, answer.text) == ("expert", "expert says")
    assert "could not be kept as an example: the disk is full" in answer.reason
    again = await run(deps(**shared), thread="u")
    assert again.route == "cache", "it lies in another database"


async def test_nobody_is_asked_while_what_an_expert_would_be_shown_cannot_be_read() -> None:
    def down(*_: object) -> Payload:
        raise WorkspaceError("the database is down")

    expert = FakeExpert()
    answer = await run(deps(SEARCH, POINT, experts=[expert], judge=FakeJudge(accept=False), brief=down))
    assert (answer.route, expert.asked) == ("local", [])
    assert "the database is down" in answer.reason


async def test_an_example_keeps_the_access_label_that_its_collection_had() -> None:
    kept = FakeExamples()
    await run(deps(SEARCH, Consult(reason="unsure"), experts=[FakeExpert()], examples=kept, label="legal-team"))
    assert [e.label for e in kept.held] == ["legal-team"]


async def test_an_expert_gets_evidence_even_if_the_model_never_searched() -> None:
    expert = FakeExpert()
    answer = await run(deps(Consult(reason="unsure"), experts=[expert]))
    assert answer.route == "expert"
    assert expert.asked[0].passages == (PASSAGE,)


async def test_an_expert_is_shown_as_much_of_a_document_as_is_wished() -> None:
    more = [PASSAGE.model_copy(update={"start": 50 + 100 * n, "end": 50 + 100 * n + len(TEXT)}) for n in range(30)]
    for wished, shown in ((1, more[:1]), (5, more[:5]), (20, more[:20])):
        expert = FakeExpert()
        examples = FakeExamples()
        given = deps(
            SEARCH,
            Consult(reason="unsure"),
            experts=[expert],
            retriever=FakeRetriever(more),
            examples=examples,
            shown=wished,
        )
        assert (await run(given)).route == "expert"
        assert list(expert.asked[0].passages) == shown, "what the small model saw comes first, and comes once"
        assert examples.held[0].evidence.passages == expert.asked[0].passages, "of what was shown may be learned"


async def test_the_next_expert_is_asked_when_one_fails() -> None:
    broken, sound = FakeExpert(ExpertUnavailableError("down")), FakeExpert(name="second")
    answer = await run(deps(SEARCH, Consult(reason="unsure"), experts=[broken, sound]))
    assert answer.expert == "second"


async def test_failure_leaves_the_draft_or_declines_and_says_why() -> None:
    broken = [FakeExpert(ExpertUnavailableError("the expert is down"))]
    answer = await run(deps(SEARCH, POINT, judge=FakeJudge(accept=False), experts=broken))
    assert answer.route == "local"
    assert "the expert is down" in answer.reason
    answer = await run(deps(SEARCH, Decline(reason="not_in_documents"), experts=broken))
    assert answer.route == "declined"
    assert answer.citations[0].kind == "absence"
    assert answer.citations[0].quote == ""


async def test_nothing_reaches_an_expert_past_the_guard_or_the_budget() -> None:
    for changes in ({"guard": FakeGuard(refuses=True)}, {"budget": FakeBudget(limit_usd=0.0)}):
        expert = FakeExpert()
        answer = await run(deps(SEARCH, Consult(reason="unsure"), experts=[expert], **changes))
        assert answer.route == "declined"
        assert expert.asked == []


@pytest.mark.parametrize(
    ("reply", "booked", "settled"),
    [
        ("yes", 0.01, True),
        (ExpertUnavailableError("never connected"), 0.0, True),
        (ExpertReplyError("unreadable, and billed", Spend(usd=0.005, calls=1)), 0.005, True),
        (ExpertUnavailableError("timed out: nobody knows", None), 0.02, False),
    ],
)
async def test_a_call_is_booked_at_what_it_cost_or_at_its_worst(
    reply: str | Exception, booked: float, settled: bool
) -> None:
    budget = FakeBudget()
    await run(deps(SEARCH, Consult(reason="unsure"), experts=[FakeExpert(reply)], budget=budget))
    assert [spend.usd for spend in budget.booked.values()] == [booked]
    assert bool(budget.settled) == settled


async def test_an_expert_too_dear_is_passed_over_for_one_that_is_not() -> None:
    class Dear(FakeExpert):
        def worst(self, payload: Payload) -> Spend:
            return Spend(usd=5.0, calls=1)

    dear, cheap = Dear(), FakeExpert("cheap")
    answer = await run(deps(SEARCH, Consult(reason="unsure"), experts=[dear, cheap], budget=FakeBudget(limit_usd=1.0)))
    assert (answer.text, dear.asked) == ("cheap", [])


async def test_a_loop_ends() -> None:
    planner = FakePlanner([SEARCH, SEARCH, SEARCH, Consult(reason="unsure")])
    tools = FakeToolBox(FOUND)
    answer = await run(deps(planner=planner, tools=tools))
    assert answer.route == "declined"
    assert len(tools.calls) == 1
    assert planner.finals == [False, False, False, True]


async def test_events_come_in_order() -> None:
    graph = build_ask_graph(InMemorySaver())
    events = [e async for e in stream(graph, deps(SEARCH, POINT), "q", Scope(), "ann", "t")]
    assert [e.kind for e in events] == ["text", "step", "text", "step", "answer"]


async def test_errors_reach_the_caller_and_the_thread_goes_on() -> None:
    graph = build_ask_graph(InMemorySaver())
    with pytest.raises(Exception, match="no more steps"):
        await ask(graph, deps(), "q", Scope(), "ann", "t")
    assert (await ask(graph, deps(SEARCH, POINT), "q", Scope(), "ann", "t")).route == "local"


async def test_a_follow_up_after_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "threads.sqlite")
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        await ask(build_ask_graph(saver), deps(SEARCH, POINT), "What was revenue?", Scope(), "ann", "t")
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        second = deps(SEARCH, POINT)
        await ask(build_ask_graph(saver), second, "And costs?", Scope(), "ann", "t")
        stranger = deps(SEARCH, POINT)
        await ask(build_ask_graph(saver), stranger, "And costs?", Scope(), "bob", "t")
    assert isinstance(second.planner, FakePlanner)
    assert isinstance(stranger.planner, FakePlanner)
    assert second.planner.history == [[("What was revenue?", "412.6 million")]]
    assert stranger.planner.history == [[]]


async def test_an_accepted_draft_may_be_drawn_to_be_compared() -> None:
    drawn, outcomes = FakeJudge(audit=True), FakeOutcomes()
    answer = await run(deps(SEARCH, POINT, judge=drawn, experts=[FakeExpert()], outcomes=outcomes))
    assert (answer.route, answer.text) == ("expert", "expert says"), "what was paid for is what is given"
    (noted,) = outcomes.held
    assert (noted.probability, noted.drawn) == (0.25, True)
    assert noted.draft is not None
    assert noted.expert is not None


async def test_a_comparison_that_fails_leaves_the_accepted_draft() -> None:
    broken, outcomes = [FakeExpert(ExpertUnavailableError("down"))], FakeOutcomes()
    judge = FakeJudge(audit=True, confidence=0.01)
    answer = await run(deps(SEARCH, POINT, judge=judge, experts=broken, outcomes=outcomes))
    assert (answer.route, answer.text) == ("local", "412.6 million")
    assert (outcomes.held[0].drawn, outcomes.held[0].expert) == (True, None)


async def test_every_question_is_noted_once_and_a_remembered_one_is_not() -> None:
    outcomes, cache = FakeOutcomes(), FakeCache()
    shared: dict[str, Any] = {"outcomes": outcomes, "cache": cache, "experts": [FakeExpert()]}
    await run(deps(SEARCH, POINT, **shared))
    await run(deps(SEARCH, Consult(reason="unsure"), **shared), "Something else?")
    await run(deps(**shared), "Something else?", thread="again")
    invented = AnswerStep(quotes=[Quote(passage=1, quote="Staff rose to 2,059.")], text="Staff rose to 3,000.")
    await run(deps(SEARCH, invented, **shared), "How many?")
    assert [(o.draft is not None, o.drawn, o.expert is not None) for o in outcomes.held] == [
        (True, False, False), (False, True, True), (False, True, True),
    ]  # fmt: skip


async def test_who_compares_is_not_shown_what_is_compared() -> None:
    shown: list[object] = []

    def brief(question: str, scope: Scope, passages: Any, draft: Any, history: Any) -> Payload:
        shown.append(draft)
        return Payload("system", question, tuple(passages), question, scope)

    await run(deps(SEARCH, POINT, judge=FakeJudge(audit=True), experts=[FakeExpert()], brief=brief))
    await run(deps(SEARCH, POINT, judge=FakeJudge(accept=False), experts=[FakeExpert()], brief=brief))
    await run(deps(SEARCH, POINT, judge=FakeJudge(accept=False, blind=True), experts=[FakeExpert()], brief=brief))
    assert [draft is None for draft in shown] == [True, False, True]


async def test_books_that_cant_be_written_lose_no_answer() -> None:
    class Unwritable(FakeBudget):
        def settle(self, reservation: str, actual: Spend) -> None:
            raise WorkspaceError("the disk is full")

    class Locked(FakeBudget):
        def reserve(self, *given: Any) -> str:
            raise WorkspaceError("the ledger is locked")

    after = await run(deps(SEARCH, Consult(reason="unsure"), experts=[FakeExpert()], budget=Unwritable()))
    assert (after.text, "could not be booked: the disk is full" in after.reason) == ("expert says", True)
    before = await run(deps(SEARCH, POINT, judge=FakeJudge(accept=False), experts=[FakeExpert()], budget=Locked()))
    assert (before.route, "the ledger is locked" in before.reason) == ("local", True)


async def test_an_expert_that_cant_be_set_up_costs_nothing_and_the_next_is_asked() -> None:
    class Misspelt(FakeExpert):
        async def ask(self, payload: Payload) -> ExpertAnswer:
            raise SettingsError("no such provider")

    budget = FakeBudget()
    answer = await run(
        deps(SEARCH, Consult(reason="unsure"), experts=[Misspelt(name="x"), FakeExpert()], budget=budget)
    )
    assert answer.text == "expert says"
    assert sorted(spend.usd for spend in budget.booked.values()) == [0.0, 0.01]


async def test_a_call_is_booked_for_the_job_that_its_question_belongs_to() -> None:
    accounts: list[Account] = []

    class Books(FakeBudget):
        def reserve(self, account: Account, expert: str, worst: Spend) -> str:
            accounts.append(account)
            return super().reserve(account, expert, worst)

    graph = build_ask_graph(InMemorySaver())
    asked = deps(SEARCH, Consult(reason="unsure"), experts=[FakeExpert()], budget=Books())
    events = [e async for e in stream(graph, asked, "q", Scope(), "ann", "t", "import-7")]
    assert events[-1].answer.route == "expert"
    assert [(a.principal, a.thread, a.job) for a in accounts] == [("ann", "t", "import-7")]


async def test_an_expert_that_was_not_asked_after_all_is_noted_as_neither() -> None:
    experts = FakeExperts([FakeExpert()])
    await run(deps(SEARCH, POINT, judge=FakeJudge(accept=False), experts=experts, guard=FakeGuard(refuses=True)))
    assert experts.noted == [("fake", False)]
