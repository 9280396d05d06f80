"""The threshold: none before a promise can be kept, the lowest that keeps it, and doubt when comparisons speak against it."""

from __future__ import annotations

import random

import pytest

from understudy.agents.cache.threshold import binned, learned, prior_threshold
from understudy.agents.deferral.promise import Label


def right(count: int, cosine: float = 0.9) -> list[Label]:
    return [Label(cosine, 0.0) for _ in range(count)]


def test_nothing_hits_before_the_promise_can_be_kept() -> None:
    assert learned(right(229), None, max_error=0.01, confidence=0.9).cosine is None
    assert learned(right(230), None, max_error=0.01, confidence=0.9).cosine == 0.9
    assert learned(right(10_000), None, max_error=0.0, confidence=0.9).cosine is None


def test_it_ends_above_where_errors_begin_and_where_nothing_is_known() -> None:
    own = [*right(400, 0.9), *[Label(0.7, float(n % 4 == 0)) for n in range(200)]]
    found = learned(own, 0.5, max_error=0.01, confidence=0.9)
    assert (found.cosine, found.source, found.own, found.wrong) == (0.71, "own", 600, 50)
    assert found.allows(0.71)
    assert not found.allows(0.70)


def test_what_is_shipped_holds_until_comparisons_speak_against_it() -> None:
    assert learned(right(20), 0.8, max_error=0.01, confidence=0.9).cosine == 0.8
    doubted = learned([*right(20), Label(0.9, 1.0)], 0.8, max_error=0.01, confidence=0.99)
    assert doubted.cosine == 0.8
    contradicted = learned([*right(20), *[Label(0.9, 1.0)] * 4], 0.8, max_error=0.01, confidence=0.99)
    assert contradicted.cosine is None
    assert "speak against" in contradicted.source


def test_the_bound_is_kept() -> None:
    """At a true error of 1.5 times the bound, a threshold passes no more often than the confidence allows."""
    rng = random.Random(5)
    draws = [[Label(0.9, float(rng.random() < 0.03)) for _ in range(300)] for _ in range(300)]
    passed = sum(learned(d, None, max_error=0.02, confidence=0.9).cosine is not None for d in draws)
    assert passed <= 45


def test_the_shipped_pairs_are_of_the_present_rules() -> None:
    assert prior_threshold(0.01, 0.9) == pytest.approx(0.75, abs=0.2)
    assert prior_threshold(0.0, 0.9) is None


def test_counts_by_cosine() -> None:
    assert binned([0.901, 0.899, 0.5], [False, True, False]) == [
        {"cosine": 0.9, "pairs": 2, "wrong": 1},
        {"cosine": 0.5, "pairs": 1, "wrong": 0},
    ]
