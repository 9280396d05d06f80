"""Suite `deferral`: curves by hand, the promise on simulated outcomes, the books, and cases from outcomes."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.apps.bench.curves import area, areas, curve, group_draws, saved_at
from understudy.apps.bench.data import Question
from understudy.apps.bench.deferral import Case, case_of, crossfitted
from understudy.apps.bench.promises import estimate_coverage, never_exceeded, tried
from understudy.apps.bench.routing import neighbours
from understudy.core.types import Draft, Outcome, Scope

LOCAL = np.array([1.0, 0.0, 1.0, 0.0])
EXPERT = np.ones(4)
KNOWS = np.array([0.9, 0.1, 0.8, 0.2])


def test_a_curve_asks_about_the_least_sure_first() -> None:
    assert curve(KNOWS, LOCAL, EXPERT).tolist() == [0.5, 0.75, 1.0, 1.0, 1.0]
    assert curve(-KNOWS, LOCAL, EXPERT).tolist() == [0.5, 0.5, 0.5, 0.75, 1.0]
    assert curve(np.zeros(4), LOCAL, EXPERT).tolist() == [0.5, 0.625, 0.75, 0.875, 1.0], "ties are a random mix"
    assert area(np.zeros(4), LOCAL, EXPERT) == pytest.approx(0.75)
    assert area(-KNOWS, LOCAL, EXPERT) < 0.75 < area(KNOWS, LOCAL, EXPERT)


def test_calls_that_close_the_gap() -> None:
    assert saved_at(KNOWS, LOCAL, EXPERT, 0.5) == 0.25
    assert saved_at(KNOWS, LOCAL, EXPERT, 1.0) == 0.5
    assert saved_at(-KNOWS, LOCAL, EXPERT, 0.8) == 1.0


def test_areas_are_compared_question_by_question() -> None:
    rng = np.random.default_rng(1)
    score = rng.random(400)
    local = (rng.random(400) < score).astype(float)
    groups = [f"d{i // 4}" for i in range(400)]
    found = areas({"ours": score, "noise": rng.random(400)}, local, np.ones(400), groups, seed=2, resamples=100)
    assert found["ours_minus_noise"]["low"] > 0
    assert found["ours_minus_random_mix"]["low"] > 0
    assert found["ours"] < found["oracle"]


def test_whole_groups_are_drawn() -> None:
    groups = ["a", "a", "b", "c", "c", "c"]
    for drawn in group_draws(groups, 20, seed=3):
        names = [groups[at] for at in drawn]
        assert all(names.count(n) % groups.count(n) == 0 for n in names)


def population(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    confidence = rng.random(count)
    loss = (rng.random(count) > confidence).astype(float)
    return confidence, loss, [f"d{i // 3}" for i in range(count)]


def test_the_promise_is_kept_on_outcomes_whose_confidence_is_honest() -> None:
    confidence, loss, groups = population(np.random.default_rng(5), 600)
    found = tried(confidence, loss, groups, 0.1, 0.9, seed=6)
    assert found["exceeded"] <= 39
    assert found["consults_saved_mean"] > 0.1
    useless = tried(np.random.default_rng(7).random(600), loss, groups, 0.1, 0.9, seed=6)
    assert useless["consults_saved_mean"] < found["consults_saved_mean"]


def test_accuracy_is_estimated_from_the_labels_there_are() -> None:
    confidence, loss, _ = population(np.random.default_rng(8), 1500)
    assert estimate_coverage(confidence, 1 - loss, seed=9)["share_inside"] > 0.9


def test_no_schedule_passes_a_limit() -> None:
    found = never_exceeded(60, seed=4)
    assert found["exceeded"] == 0
    assert min(found["calls_made"], found["calls_refused"]) > 20


def test_cases_are_right_by_what_the_oracle_says() -> None:
    asked = Question(id="1", text="When?", document="d", answers=("May 1961", "1961"), answerable=True)
    draft = Draft(text="1961", citations=(), mean_logprob=-0.1, min_logprob=-0.1, removed_mass=0.0)
    noted = Outcome(
        question="When?", scope=Scope(), draft=draft, signals={"support": 1.0}, small_model="m", expert=None
    )
    assert case_of("squad", asked, noted) == Case("squad", "d", {"support": 1.0}, True)
    none = Question(id="2", text="When?", document="d", answers=(), answerable=False)
    assert not case_of("squad", none, noted).right
    assert case_of("squad", asked, noted.model_copy(update={"draft": None})).signals == {}
    assert case_of("squad", asked, None) == Case("squad", "d", {}, False)


def test_confidence_comes_from_other_documents() -> None:
    rng = np.random.default_rng(10)
    sure = rng.random(300)
    cases = [
        Case("squad", f"d{i // 3}", {"support": float(4 * s - 2)}, bool(rng.random() < s)) for i, s in enumerate(sure)
    ]
    confidence = crossfitted([*cases, Case("squad", "d0", {}, False)], seed=11)
    assert confidence[-1] == -1.0
    right = np.array([c.right for c in cases])
    assert confidence[:-1][right].mean() > confidence[:-1][~right].mean() + 0.1
    assert abs(confidence[:-1].mean() - right.mean()) < 0.05


def test_neighbours_vote() -> None:
    known = np.eye(2)
    assert neighbours(known, np.array([1.0, 0.0]), np.array([[1.0, 0.0]]))[0] > 0.99
