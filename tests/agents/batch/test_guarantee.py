"""The search for a job's threshold: it errs no more often than it says, whatever the confidence, and saves calls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from understudy.agents.batch.guarantee import Found, Wanted, descend, search, shuffled

Floats = NDArray[np.float64]


def searched(confidence: Floats, losses: Floats, bound: float, sure: float, seed: int) -> tuple[Floats, Found]:
    """The losses of the drafts that are given unasked, and where the search ended."""
    order = np.random.default_rng(seed).permutation(len(losses))
    confidence, losses = confidence[order], losses[order]
    asked, found = run_through(confidence, losses, bound, sure)
    assert found.labelled == asked.sum()
    return losses[~asked & (confidence >= (np.inf if found.threshold is None else found.threshold))], found


def run_through(confidence: Floats, losses: Floats, bound: float, sure: float) -> tuple[NDArray[np.bool_], Found]:
    """Which drafts the search asks about, and where it ends."""
    asked = np.zeros(len(losses), dtype=bool)
    steps = search(confidence, rows=len(losses), max_loss=bound, sure=sure)
    try:
        places = next(steps)
        while True:
            assert not asked[places].any(), "no label is asked for twice"
            asked[places] = True
            places = steps.send(losses[places])
    except StopIteration as end:
        return asked, end.value


def honest(rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    chance = rng.beta(4, 1, size)
    return chance, (rng.random(size) > chance).astype(float)


def worthless(rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    return rng.random(size), (rng.random(size) < 0.1).astype(float)


def upside_down(rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    chance, losses = honest(rng, size)
    return 1 - chance, losses


def on_the_edge(rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    """The losses stand just where a threshold comes to lose a little more than is allowed."""
    confidence, losses = np.linspace(1, 0, size), np.zeros(size)
    losses[rng.choice(size // 2, int(0.05 * size) + 1, replace=False)] = 1.0
    return confidence, losses


def a_cliff(rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    """Faultless above, wrong below."""
    confidence = np.linspace(1, 0, size)
    return confidence, (confidence < 0.6).astype(float)


def partial_losses(rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    chance = rng.beta(4, 1, size)
    return np.round(chance, 1), rng.beta(0.3, 3, size)


JOBS = [honest, worthless, upside_down, on_the_edge, a_cliff, partial_losses]


@pytest.mark.parametrize("made", JOBS)
@pytest.mark.parametrize(("size", "bound", "sure"), [(300, 0.05, 0.9), (300, 0.05, 0.7)])
def test_the_loss_passes_the_bound_no_more_often_than_is_said(
    made: Callable[[np.random.Generator, int], tuple[Floats, Floats]], size: int, bound: float, sure: float
) -> None:
    draws = 200
    broken = 0
    for draw in range(draws):
        given, _ = searched(*made(np.random.default_rng(draw), size), bound, sure, seed=draw + 10_000)
        broken += given.sum() > bound * size
    slack = 3 * np.sqrt(draws * sure * (1 - sure))
    assert broken <= draws * (1 - sure) + slack


def test_a_test_that_is_too_bold_would_be_noticed() -> None:
    """With a bound that is tested at twice its size, the promise breaks far more often than it may."""
    broken = 0
    for draw in range(100):
        given, _ = searched(*on_the_edge(np.random.default_rng(draw), 300), 0.1, 0.9, seed=draw)
        broken += given.sum() > 0.04 * 300
    assert broken > 30


@pytest.mark.parametrize(
    ("size", "bound", "saved"), [(300, 0.1, 0.6), (1000, 0.1, 0.7), (4000, 0.05, 0.7), (2000, 0.02, 0.45)]
)
def test_a_good_ranking_saves_most_calls_that_can_be_saved(size: int, bound: float, saved: float) -> None:
    shares = []
    for draw in range(5):
        rng = np.random.default_rng(draw)
        chance = rng.beta(8, 0.5, size)
        given, _ = searched(chance, (rng.random(size) > chance).astype(float), bound, 0.9, draw)
        shares.append(len(given) / size)
    assert np.mean(shares) >= saved


def test_faultless_drafts_take_few_labels() -> None:
    given, found = searched(np.linspace(0, 1, 2000), np.zeros(2000), 0.05, 0.9, 1)
    assert found.threshold == 0.0
    assert found.labelled <= 100
    assert len(given) == 2000 - found.labelled


def test_a_ranking_that_says_nothing_costs_calls_and_no_more() -> None:
    rng = np.random.default_rng(3)
    given, found = searched(rng.random(500), (rng.random(500) < 0.5).astype(float), 0.02, 0.9, 3)
    assert len(given) <= 0.02 * 500
    assert found.labelled < 250


def test_what_can_lose_no_more_than_the_bound_is_given_without_a_question() -> None:
    confidence, losses = np.array([0.9, 0.8, 0.1]), np.ones(3)
    step = descend(confidence, np.full(3, np.nan), rows=100, max_loss=0.03, sure=0.9)
    assert step == Found(0.1, 0)
    assert searched(confidence, losses, 1.0, 0.9, 0)[1] == Found(0.1, 0)
    assert descend(np.zeros(0), np.zeros(0), rows=4, max_loss=0.5, sure=0.9) == Found(None, 0)


def test_no_loss_at_all_is_allowed_only_to_what_was_compared() -> None:
    given, _ = searched(np.linspace(0, 1, 40), np.zeros(40), 0.0, 0.9, 0)
    assert len(given) == 0


def test_drafts_of_one_confidence_are_given_together_or_not() -> None:
    confidence = np.array([0.5] * 30 + [0.4] * 30)
    step = descend(confidence, np.full(60, np.nan), rows=60, max_loss=0.1, sure=0.9)
    assert isinstance(step, Wanted)
    assert max(step.places) < 30, "a threshold is one of the confidences that there are"


def test_the_search_goes_on_the_same_way_from_its_labels_alone() -> None:
    confidence, losses = honest(np.random.default_rng(5), 400)
    known, times = np.full(400, np.nan), 0
    while isinstance(step := descend(confidence, known, rows=400, max_loss=0.1, sure=0.9), Wanted):
        half = list(step.places[: len(step.places) // 2])  # killed meanwhile
        known[half] = losses[half]
        again = descend(confidence, known, rows=400, max_loss=0.1, sure=0.9)
        assert again == Wanted(step.places[len(half) :])
        known[list(again.places)] = losses[list(again.places)]
        times += 1
    assert times > 2
    assert step == run_through(confidence, losses, 0.1, 0.9)[1]
    assert step.labelled == (~np.isnan(known)).sum()


def test_rows_are_drawn_in_an_order_that_the_seed_decides() -> None:
    first = shuffled(range(50), "job\0now")
    assert sorted(first) == list(range(50)) != first
    assert shuffled(range(50), "job\0then") != first
    assert shuffled([n for n in range(50) if n % 7], "job\0now") == [n for n in first if n % 7], "whoever else is there"


def test_a_threshold_that_is_seen_to_lose_too_much_never_passes() -> None:
    """Not even where its test had passed before those losses came."""
    confidence, losses = np.full(400, 0.5), np.zeros(400)
    wanted = descend(confidence, np.full(400, np.nan), rows=400, max_loss=0.1, sure=0.9, least=200)
    assert isinstance(wanted, Wanted)
    losses[150:200] = 1.0
    assert descend(confidence, losses, rows=400, max_loss=0.1, sure=0.9, least=200) == Found(None, len(wanted.places))
