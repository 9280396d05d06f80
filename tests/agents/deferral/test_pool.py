"""Which expert is asked: the cheapest expected to do, the next on failure, and a dead one not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from understudy.agents.deferral.pool import Pool, Record
from understudy.core.errors import ExpertReplyError, ExpertUnavailableError
from understudy.core.fakes import FakeExpert
from understudy.core.protocols import Expert, Payload
from understudy.core.settings import ExpertSettings
from understudy.core.types import Citation, ExpertAnswer, Scope
from understudy.core.usage import Spend

PAYLOAD = Payload("system", "user", (), "q", Scope(collection="reports"))
DOWN = ExpertUnavailableError("down")
QUOTE = Citation(document="d", title="", location="", start=0, end=1, quote="x", score=1.0)


@dataclass
class Priced(FakeExpert):
    usd: float = 0.01

    def worst(self, payload: Payload) -> Spend:
        return Spend(usd=self.usd, calls=1, tokens=1000)


class Now:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def pool(
    *experts: tuple[Expert, ExpertSettings],
    records: dict[tuple[str, str], Record] | None = None,
    now: Now | None = None,
    informed: Callable[[Payload, str], bool] = lambda payload, name: True,
) -> tuple[Pool, list[tuple[str, str, bool]]]:
    kept: list[tuple[str, str, bool]] = []
    made = Pool(
        experts, lambda e, d: (records or {}).get((e, d), Record()), lambda *said: kept.append(said),
        lambda collection: "finance", informed, now or Now(),
    )  # fmt: skip
    return made, kept


def one(name: str, usd: float = 0.01, **settings: object) -> tuple[Expert, ExpertSettings]:
    return Priced(name=name, usd=usd), ExpertSettings.model_validate({"name": name, "model": "openai:x", **settings})


def order(made: Pool) -> list[str]:
    return [e.name for e in made.ranked(PAYLOAD)]


def test_the_cheapest_that_is_expected_to_do_goes_first() -> None:
    dear, cheap, stranger = one("dear", 0.05), one("cheap", 0.01), one("stranger", 0.001, skills=["health"])
    made, _ = pool(dear, cheap, stranger)
    assert order(made) == ["cheap", "dear", "stranger"]
    skilled, _ = pool(dear, cheap, one("insider", 0.001, skills=["finance"]))
    assert order(skilled)[0] == "insider"


def test_who_would_see_the_question_alone_comes_last_however_cheap() -> None:
    made, _ = pool(one("cloud", 0.001), one("house", 0.05), informed=lambda payload, name: name == "house")
    assert order(made) == ["house", "cloud"]


def test_records_outweigh_what_was_supposed() -> None:
    made, _ = pool(one("dear", 0.05), one("cheap", 0.01), records={("cheap", "finance"): Record(usable=2, asked=20)})
    assert order(made) == ["dear", "cheap"]
    learned = {("stranger", "finance"): Record(usable=19, asked=20)}
    other, _ = pool(one("dear", 0.05), one("stranger", 0.001, skills=["health"]), records=learned)
    assert order(other)[0] == "stranger"


def test_an_expert_whose_context_is_too_small_is_passed_over() -> None:
    made, _ = pool(one("short", 0.001, context=300, retries=0), one("long"))
    assert order(made) == ["long"]


def test_a_dead_one_is_left_alone_and_tried_by_one_question_after_a_rest() -> None:
    now = Now()
    made, kept = pool(one("dead"), one("alive"), now=now)
    for _ in range(3):
        assert "dead" in order(made)
        made.note("dead", PAYLOAD.scope, None, DOWN)
    assert order(made) == ["alive"]
    now.at = 61.0
    assert "dead" in order(made)
    assert order(made) == ["alive"], "the others wait for the one that tries it"
    made.note("dead", PAYLOAD.scope, ExpertAnswer(text="x", expert="dead", citations=(QUOTE,)), None)
    assert "dead" in order(made)
    assert kept == [("dead", "finance", True)], "being down says nothing of how well it answers"


@pytest.mark.parametrize(
    ("answer", "error", "usable"),
    [
        (ExpertAnswer(text="x", expert="e", citations=(QUOTE,)), None, True),
        (ExpertAnswer(text="x", expert="e"), None, False),
        (ExpertAnswer(text="none", expert="e", not_in_documents=True), None, None),
        (None, ExpertReplyError("chatter"), False),
    ],
)
def test_what_counts_as_usable(
    answer: ExpertAnswer | None, error: ExpertReplyError | None, usable: bool | None
) -> None:
    made, kept = pool(one("e"))
    made.note("e", PAYLOAD.scope, answer, error)
    assert kept == ([] if usable is None else [("e", "finance", usable)])


def test_a_turn_that_was_not_used_is_given_back() -> None:
    now = Now()
    made, kept = pool(one("dead"), now=now)
    for _ in range(3):
        made.note("dead", PAYLOAD.scope, None, DOWN)
    assert (order(made), made.awake()) == ([], False)
    now.at = 61.0
    assert order(made) == ["dead"]
    made.note("dead", PAYLOAD.scope, None, None)  # refused by the guard or the budget
    assert order(made) == ["dead"]
    assert kept == []


def test_a_recording_that_is_missing_keeps_nobody_out() -> None:
    made, _ = pool((FakeExpert(name="replay", recorded=True), ExpertSettings(name="replay", model="recorded:a")))
    for _ in range(9):
        made.note("replay", PAYLOAD.scope, None, DOWN)
    assert order(made) == ["replay"]
