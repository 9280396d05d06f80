"""The gate: what is better passes, and nothing else does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from example_parts import example
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.refining import compared
from understudy.core.adapters import GateReport
from understudy.core.types import Draft
from understudy.distillation.gate import LEAST, SIGNIFICANCE, Crossed, Played, balanced, kind_of, paired_p, weigh

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


def polar(
    kinds: Sequence[str], live: Sequence[str], candidate: Sequence[str], forms: Sequence[str] = ()
) -> tuple[list[Played], Crossed]:
    """Questions as two players answered them, each with the name of a kind."""
    before, after = (np.array([[float(s == k) for k in kinds] for s in said]) for said in (live, candidate))
    rows = zip(kinds, before.diagonal(), after.diagonal(), strict=True)
    crossed = Crossed(tuple(forms or ["polar"] * len(kinds)), after - before)
    return [Played(k, float(b), float(a)) for k, b, a in rows], crossed


def verdict(played: list[Played], crossed: Crossed, seed: int = 1) -> GateReport:
    return weigh(played, FAIR, [], seed, crossed=crossed)


MUTE = ["what it says to everything"] * 54
POLAR = ["yes"] * 16 + ["no"] * 38


@pytest.mark.parametrize("often", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_what_says_yes_at_random_is_turned_down_however_often_it_does(often: float) -> None:
    """Better than a live model that says neither it is all the same: that one is never right."""
    passed = 0
    for seed in range(100):
        rng = random.Random(seed)
        report = verdict(*polar(POLAR, MUTE, ["yes" if rng.random() < often else "no" for _ in POLAR]), seed)
        assert report.p < SIGNIFICANCE
        passed += report.promoted
        if not report.promoted:
            assert "doesn't tell questions apart" in report.reason
    assert passed <= 10, "a test at 5 % may err so often"


def test_what_learned_shuffled_answers_gains_nothing_beside_what_it_kept() -> None:
    """Words it finds as well as before, and for yes or no it guesses as often as they come."""
    words = [f"words {n}" for n in range(30)]
    kinds, forms = [*POLAR, *words], ["polar"] * len(POLAR) + ["open"] * len(words)
    passed = 0
    for seed in range(100):
        rng = random.Random(seed)
        found = [w if rng.random() < 0.4 else "" for w in words]
        dealt = rng.sample(POLAR, len(POLAR))
        played, crossed = polar(kinds, [*MUTE, *found], [*dealt, *found], forms)
        played = [replace(p, kind="words" if p.kind.startswith("words") else p.kind) for p in played]
        passed += verdict(played, crossed, seed).promoted
    assert passed <= 10


def test_what_tells_questions_apart_passes_though_saying_no_alone_is_right_nearly_as_often() -> None:
    """Balanced, always "no" is worth 0.5."""
    said = ["yes"] * 6 + ["no"] * 10 + ["yes"] * 2 + ["no"] * 36
    report = verdict(*polar(POLAR, MUTE, said))
    assert report.candidate < 0.67
    assert report.promoted
    assert report.learned == pytest.approx(0.165, abs=0.005)


def test_what_is_learned_is_the_gain_beyond_answers_to_other_questions() -> None:
    gains = np.array([[1, 1, 0], [0, 0, 0], [0.5, 0, 1.0]])
    crossed = Crossed(("a", "a", "b"), gains)
    # the first gains 1, and by the second's answer 0; the second 0, and by the first's answer 1; the third has no other
    assert crossed.learned(["x", "y", "z"]) == pytest.approx((1 - 1 + 0) / 3)
    assert crossed.p(["x", "y", "z"], 1) == pytest.approx(1.0)
    assert Crossed((), np.zeros((0, 0))).learned([]) == 0


def test_a_reader_of_spans_is_measured_by_what_it_finds() -> None:
    """Nobody finds the right words by answering another question."""
    report = weigh(gained(LEAST, 15, 2), FAIR, [], 1)
    assert report.learned == pytest.approx(13 / 40)
    assert report.p_learned < 0.01


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


def test_drafts_are_compared_as_answers_to_every_question_of_the_gate() -> None:
    absent = {"not_in_documents": True}
    examples = [
        example("No.", "", "body", "Is assignment allowed?"),
        example("Yes.", "", "body", "Is there a warranty?"),
        example("Nothing is said.", "", "body", "What was revenue?", **absent),
        example("5 million", "", "body", "What was profit?"),
    ]
    said = lambda text: Draft(text=text, citations=(), mean_logprob=0, min_logprob=0, removed_mass=0)  # noqa: E731
    played, crossed = compared(examples, [None] * 4, [said("No"), said("No"), None, said("5 million")])
    assert [(p.kind, p.live, p.candidate, p.said) for p in played] == [
        ("no", 0, 1, "No"),
        ("yes", 0, 0, "No"),
        ("not in the documents", 1, 1, ""),
        ("words", 0, 1, "5 million"),
    ]
    assert crossed.forms == ("polar", "polar", "open", "open")
    # a row an answer, a column a question: both "No" fit the first; silence was as good before
    assert crossed.gains.tolist() == [[1, 0, -1, 0], [1, 0, -1, 0], [0, 0, 0, 0], [0, 0, -1, 1]]
    assert crossed.learned([p.kind for p in played]) == pytest.approx((0 + 0 + 1 + 1) / 4)
