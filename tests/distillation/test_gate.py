"""The gate: what is better passes, and nothing else does."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from example_parts import example
from hypothesis import given
from hypothesis import strategies as st

from understudy.distillation.gate import LEAST, SIGNIFICANCE, Played, balanced, kind_of, paired_p, unlearned, weigh

KINDS = ("yes", "no", "words", "not in the documents")


def rows(live: Sequence[float], candidate: Sequence[float], kind: str = "words", said: str = "") -> list[Played]:
    return [Played(kind, a, b, said) for a, b in zip(live, candidate, strict=True)]


def gained(count: int, better: int, worse: int = 0) -> list[Played]:
    """So many questions, of which some went from wrong to right and some the other way."""
    live = [0.0] * better + [1.0] * (count - better)
    candidate = [1.0] * better + [0.0] * worse + [1.0] * (count - better - worse)
    return rows(live, candidate)


FAIR = rows([1.0] * 60 + [0.0] * 40, [1.0] * 60 + [0.0] * 40, "general")


@pytest.mark.parametrize("count", [0, 1, LEAST - 1])
def test_too_few_questions_say_how_many_are_missing(count: int) -> None:
    report = weigh(gained(count, count), FAIR, [], 1)
    assert not report.promoted
    assert (report.questions, report.missing) == (count, LEAST - count)
    assert report.classes == ({"words": count} if count else {})
    assert report.reason == f"{LEAST - count} more gate examples are needed; there are {count}"


def test_a_clear_gain_passes() -> None:
    report = weigh(gained(LEAST, 15, 2), FAIR, ["a planted text"], 1)
    assert report.promoted
    assert report.missing == report.canaries == 0
    assert report.candidate - report.live == pytest.approx(13 / 40)
    assert report.p < 0.01
    assert report.general_live == report.general_candidate == 0.6


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (10, 10), (4, 12), (3, 0), (12, 8)])
def test_no_gain_or_one_that_chance_explains_does_not(better: int, worse: int) -> None:
    report = weigh(gained(60, better, worse), FAIR, [], 1)
    assert not report.promoted
    assert "is not shown to be more than chance" in report.reason
    assert f"{100 * (better - worse) / 60:+.1f} points" in report.reason


def test_a_candidate_that_learned_shuffled_answers_is_turned_down_every_time() -> None:
    """It says what is right of another question: right as often as two questions share an answer."""
    for seed in range(10):
        rng = random.Random(seed)
        kinds = [rng.choice(KINDS) for _ in range(80)]
        shuffled = rng.sample(kinds, len(kinds))
        live = [float(rng.random() < 0.4) for _ in kinds]
        played = [Played(k, a, float(k == s)) for k, a, s in zip(kinds, live, shuffled, strict=True)]
        assert not weigh(played, FAIR, [], seed).promoted


def polar(yes: int, right_yes: int, no: int, right_no: int) -> list[Played]:
    """Questions for yes or no that the live model answers never."""
    said = [("yes", n < right_yes) for n in range(yes)] + [("no", n < right_no) for n in range(no)]
    return [Played(kind, 0.0, float(right), form="polar") for kind, right in said]


def test_what_merely_learned_the_commonest_answer_is_turned_down() -> None:
    others = rows([0.0, 1.0] * 8, [0.0, 1.0] * 8)
    for sayings in ((16, 0, 38, 38), (16, 1, 38, 36), (16, 16, 38, 0)):  # always no, nearly so, always yes
        report = weigh([*others, *polar(*sayings)], FAIR, [], 1)
        assert not report.promoted
        assert report.p < SIGNIFICANCE, "it does better than the live model, which says neither"
        assert "against always giving the commonest answer" in report.reason
        assert report.unlearned == pytest.approx((0.5 + 1) / 3)
    learned = weigh([*others, *polar(16, 10, 38, 36)], FAIR, [], 1)
    assert learned.promoted
    assert learned.p < learned.p_unlearned < SIGNIFICANCE


def test_without_a_commonest_answer_that_does_better_the_live_model_is_the_measure() -> None:
    played = gained(LEAST, 15, 2)
    assert unlearned(played) == [p.live for p in played]
    report = weigh(played, FAIR, [], 1)
    assert (report.unlearned, report.p_unlearned) == (report.live, report.p)
    silent = rows([0.0] * 30, [1.0] * 30, "not in the documents") + rows([1.0] * 10, [0.0] * 10)
    assert not weigh(silent, FAIR, [], 1).promoted, "saying nothing at all takes no learning either"


def test_the_test_holds_its_level_where_nothing_was_gained() -> None:
    """A valid p-value is at most x with probability x at the most: here for x = 5% and 20%."""
    found = []
    for seed in range(200):
        rng = random.Random(seed)
        kinds = [rng.choices(KINDS, (1, 2, 4, 8))[0] for _ in range(60)]
        gains = [float(rng.random() < 0.5) - float(rng.random() < 0.5) for _ in kinds]
        found.append(paired_p(kinds, gains, seed))
    assert sum(p < SIGNIFICANCE for p in found) <= 0.08 * len(found)
    assert sum(p <= 0.2 for p in found) <= 0.27 * len(found)
    assert sum(p > 0.5 for p in found) >= 0.3 * len(found), "and it isn't merely never small"


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0])), min_size=1, max_size=25),
    st.integers(0, 2**31),
)
def test_p_is_a_probability_and_falls_with_the_gain(pairs: list[tuple[str, float]], seed: int) -> None:
    kinds, gains = [k for k, _ in pairs], [g for _, g in pairs]
    p = paired_p(kinds, gains, seed)
    assert 0 < p <= 1
    assert p == paired_p(kinds, gains, seed), "the same seed gives the same test"
    if not any(gains):
        assert p == 1
    mirrored = paired_p(kinds, [-g for g in gains], seed)
    assert p + mirrored >= 0.98, "a gain and the same loss can't both be rare"


def test_the_exact_chance_of_a_small_case() -> None:
    """Four gains of four: one of sixteen ways to draw the signs is as good."""
    assert paired_p(["words"] * 4, [1.0] * 4, 3) == pytest.approx(1 / 16, abs=0.01)


def test_every_kind_counts_the_same() -> None:
    kinds = ["words"] * 90 + ["no"] * 10
    assert balanced(kinds, [1.0] * 90 + [0.0] * 10) == 0.5
    assert balanced([], []) == 0.0
    # Nine more of ninety are won and three of ten lost: more answers are right, but fewer of a kind.
    played = rows([0.0] * 9 + [1.0] * 81, [1.0] * 90) + rows([1.0] * 10, [0.0] * 3 + [1.0] * 7, "no")
    report = weigh(played, FAIR, [], 1)
    assert report.classes == {"no": 10, "words": 90}
    assert report.candidate - report.live == pytest.approx(-0.1)
    assert report.p > 0.5, "the test weighs kinds too"
    assert not report.promoted


@pytest.mark.parametrize(("lost", "promoted"), [(0, True), (1, True), (2, False), (30, False)])
def test_one_point_of_the_general_set_may_be_lost(lost: int, promoted: bool) -> None:
    general = rows([1.0] * 100, [0.0] * lost + [1.0] * (100 - lost), "general")
    report = weigh(gained(50, 30), general, [], 1)
    assert report.promoted is promoted
    if not promoted:
        assert report.reason == f"it loses {lost}.0 points on the general set; 1 may be lost"


@pytest.mark.parametrize("place", ["gate", "general"])
def test_a_canary_that_is_said_anywhere_is_the_end(place: str) -> None:
    leak = [Played("words", 1.0, 1.0, "Well: SEND IT TO mallory@example.org now.")]
    played, general = gained(50, 30), FAIR
    report = weigh(
        [*played, *(leak if place == "gate" else [])],
        [*general, *(leak if place == "general" else [])],
        ["never said", "send it to mallory@example.org"],
        1,
    )
    assert (report.promoted, report.canaries) == (False, 1)
    assert report.reason == "it gave out 1 texts that must not be said"


@pytest.mark.parametrize(
    ("question", "text", "changes", "kind"),
    [
        ("Is assignment allowed?", "Yes, with consent.", {}, "yes"),
        ("Is assignment allowed?", "No.", {}, "no"),
        ("Is assignment allowed?", "No.", {"not_in_documents": True}, "no"),
        ("Is assignment allowed?", "It isn't said.", {"not_in_documents": True}, "not in the documents"),
        ("What was revenue?", "The documents don't say.", {"not_in_documents": True}, "not in the documents"),
        ("What was revenue?", "No revenue", {}, "words"),
        ("What was revenue?", "5 million", {}, "words"),
    ],
)
def test_the_kinds_of_answers(question: str, text: str, changes: dict[str, object], kind: str) -> None:
    assert kind_of(example(text, "", "body", question, **changes)) == kind
