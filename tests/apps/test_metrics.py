"""Scores worked by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from understudy.apps.metrics import auroc, interval, quantile, recall_at, reciprocal_rank
from understudy.core.matching import contains_answer, exact_match, normalised, numbers_in, numeric_match, token_f1


def test_normalised_as_squad_does() -> None:
    assert normalised("  The  U.S. Army, an  institution ") == "us army institution"
    assert normalised("theatre") == "theatre"


@pytest.mark.parametrize(
    ("predicted", "gold", "exact", "f1"),
    [
        ("The Normans.", ["normans"], 1.0, 1.0),
        ("in October 1973", ["October 1973", "1973"], 0.0, 0.8),
        ("red red blue", ["red green"], 0.0, 0.4),
        ("", [], 1.0, 1.0),
        ("something", [], 0.0, 0.0),
        ("", ["something"], 0.0, 0.0),
        ("a", ["the"], 1.0, 1.0),
    ],
)
def test_exact_match_and_f1(predicted: str, gold: list[str], exact: float, f1: float) -> None:
    assert exact_match(predicted, gold) == exact
    assert token_f1(predicted, gold) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("$1,496.5 million", ["1496500000"]),
        ("(12.6)", ["-12.6"]),
        ("$(12.6) million", ["-12600000"]),
        ("(12.6)%", ["-0.126"]),
        ("(12.6%)", ["-0.126"]),
        ("-$3", ["-3"]),
        ("−5.14 percent", ["-0.0514"]),
        ("22.22%", ["0.2222"]),
        ("2018-2019", ["2018", "2019"]),
        ("FY18 and 1.2m", []),
        (".5", ["0.5"]),
        ("3 thousand, 4 billions", ["3000", "4000000000"]),
    ],
)
def test_numbers_with_sign_and_scale(text: str, values: list[str]) -> None:
    assert [n.value for n in numbers_in(text)] == [Decimal(v) for v in values]


@pytest.mark.parametrize(
    ("predicted", "gold", "matches"),
    [
        ("$1,496.5 million", ["1496.5", "1496.5 million"], True),
        ("1,496.5", ["1496.5", "1496.5 million"], True),
        ("1,496,500,000", ["1496.5 million"], True),
        ("1,496.5 thousand", ["1496.5", "1496.5 million"], False),
        ("12.6", ["(12.6)"], False),
        ("-12.60", ["(12.6)"], True),
        ("22.2222%", ["22.22", "22.22%"], True),
        ("22.2%", ["22.22", "22.22%"], False),
        ("0.2222", ["22.22%"], True),
        ("The increase was 24.5 million.", ["24.5 million"], True),
        ("from 24.5 to 30", ["24.5"], False),
        ("18", ["FY18"], False),
        ("nothing", ["5"], False),
    ],
)
def test_numeric_match(predicted: str, gold: list[str], matches: bool) -> None:
    assert numeric_match(predicted, gold) is matches


def test_ranking_scores() -> None:
    ranks = [1, 5, 6, None]
    assert recall_at(ranks, 5) == 0.5
    assert recall_at([], 5) == 0.0
    assert sum(map(reciprocal_rank, ranks)) == pytest.approx(1 + 0.2 + 1 / 6)


def test_quantile_interpolates() -> None:
    assert quantile([1, 2, 3, 4], 0.5) == 2.5
    assert quantile([], 0.5) == 0.0


def test_interval_covers_the_mean_and_is_seeded() -> None:
    scores = [1.0] * 60 + [0.0] * 40
    found = interval(scores, 7)
    assert found == interval(scores, 7)
    assert found["value"] == 0.6
    # the normal approximation gives 0.6 ± 1.96 · sqrt(0.24 / 100) = 0.504 to 0.696
    assert found["low"] == pytest.approx(0.504, abs=0.02)
    assert found["high"] == pytest.approx(0.696, abs=0.02)
    assert interval([], 7)["n"] == 0


@pytest.mark.parametrize(
    ("text", "gold", "held"),
    [
        ("It was founded in (1974).", ["in 1974"], True),
        ("Part 19745", ["1974"], False),
        ("the red fox", ["blue fox", "Red Fox"], True),
        ("anything", ["the", ""], False),
        ("anything", [], False),
    ],
)
def test_an_answer_is_contained_word_by_word(text: str, gold: list[str], held: bool) -> None:
    assert contains_answer(text, gold) is held


@pytest.mark.parametrize(
    ("positive", "negative", "area"),
    [
        ([0.9, 0.4], [0.5, 0.1], 0.75),  # three of four pairs are in order
        ([0.5, 0.2], [0.5, 0.2], 0.5),  # one in order, two ties, one out of order
        ([1.0], [0.0, 0.0], 1.0),
        ([0.0], [0.0], 0.5),
        ([0.1], [0.9], 0.0),
    ],
)
def test_auroc_counts_ties_half(positive: list[float], negative: list[float], area: float) -> None:
    found = auroc(positive, negative, 17, resamples=50)
    assert found is not None
    assert found["value"] == area
    assert found["n"] == len(positive) + len(negative)


def test_auroc_has_an_interval_and_needs_both_sides() -> None:
    positive, negative = [i / 20 + 0.3 for i in range(20)], [i / 20 for i in range(20)]
    found = auroc(positive, negative, 17, resamples=400)
    assert found is not None
    assert 0.5 < found["low"] < found["value"] < found["high"] < 1.0
    assert found == auroc(positive, negative, 17, resamples=400)
    assert auroc([], negative, 17) is None
    assert auroc(positive, [], 17) is None
