"""Suite `deferral`: curves by hand, the promise on simulated outcomes, the books, and cases from outcomes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from understudy.agents.deferral.derive import GRID
from understudy.apps.bench.curves import area, areas, curve, group_draws, quality_by_share, saved_at
from understudy.apps.bench.data import Question
from understudy.apps.bench.deferral import Case, case_of, crossfitted
from understudy.apps.bench.promises import (
    copies,
    estimate_coverage,
    kept,
    never_exceeded,
    passed,
    possible,
    sampled,
    tried,
)
from understudy.apps.bench.replay import EXPERTS, replayed, verdicts
from understudy.apps.bench.routing import neighbours
from understudy.apps.metrics import interval
from understudy.apps.picture import draw_strategies
from understudy.core.errors import UserError
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
    noise = np.random.default_rng(7).random(600)
    rows = tried({"ours": (confidence, GRID), "noise": (noise, GRID)}, loss, groups, seed=6)
    allowed = {0.9: 39, 0.95: 21, 0.99: 6}
    for row in rows:
        assert row["ours_exceeded_of_300"] <= allowed[row["confidence"]], row
        assert row["audited_exceeded_of_300"] <= allowed[row["confidence"]], row
        assert row["ours_saves"] <= row["ours_could_save"] + 0.1
    at_ten = next(row for row in rows if (row["max_loss"], row["confidence"]) == (0.1, 0.9))
    assert at_ten["ours_saves"] > 0.2 > at_ten["noise_saves"]


def test_a_promise_that_breaks_is_counted() -> None:
    lucky = sampled(np.full(300, 0.9), np.zeros(300), np.arange(300))
    score, loss = np.array([0.9, 0.9, 0.1, 0.1]), np.array([1.0, 0.0, 0.0, 0.0])
    assert kept([lucky, lucky], score, [0.5], loss, 0.1, 0.9) == (2, 0.5)
    assert kept([lucky], score, [0.5], np.zeros(4), 0.1, 0.9) == (0, 0.5)


def test_what_could_be_saved_by_hand() -> None:
    score, loss = np.array([0.9, 0.8, 0.8, 0.1, -1.0]), np.array([0.0, 1.0, 0.0, 0.0, 0.0])
    assert possible(score, loss, 0.0) == 0.2, "questions of one score are accepted together"
    assert possible(score, loss, 0.2) == 0.8, "what was not drafted can't be accepted"


def test_a_document_drawn_twice_counts_as_two() -> None:
    assert copies(np.array([0, 1, 0, 1, 2]), ["a", "a", "b"]).tolist() == [0, 0, 1, 1, 2]
    assert copies(np.array([2, 2, 0, 1]), ["a", "a", "b"]).tolist() == [0, 1, 2, 2]


def test_quality_by_share_from_none_to_all() -> None:
    rows = quality_by_share({"ours": KNOWS}, LOCAL, EXPERT, steps=2)
    assert [(r["consulted"], r["random_mix"], r["ours"], r["oracle"]) for r in rows] == [
        (0.0, 0.5, 0.5, 0.5), (0.5, 0.75, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0),
    ]  # fmt: skip


def test_accuracy_is_estimated_from_the_labels_there_are() -> None:
    confidence, loss, groups = population(np.random.default_rng(8), 1500)
    assert estimate_coverage(confidence, 1 - loss, groups, seed=9)["share_inside"] > 0.9


def test_a_schedule_that_passed_a_limit_is_seen() -> None:
    assert not passed([("a", 0.05, 0.05), ("b", 0.05, 0.05)])
    assert passed([("a", 0.05, 0.05), ("b", 0.06, 0.06)])
    assert passed([("a", 0.05, 0.05), ("a", 0.02, 0.02)]), "per question"
    assert passed([("a", 0.0, 0.0)] * 6), "calls"
    assert not passed([("a", 0.05, 0.09)]), "an estimate that was wrong"


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
    assert case_of("squad", asked, noted) == Case("squad", "d", {"support": 1.0, "collection:squad": 1.0}, True)
    none = Question(id="2", text="When?", document="d", answers=(), answerable=False)
    assert not case_of("squad", none, noted).right
    assert case_of("squad", none, noted.model_copy(update={"draft": None})) == Case("squad", "d", {}, True)
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


def test_a_replayed_expert_brings_its_own_errors(tmp_path: Path) -> None:
    judgements = [("Correct Answer", "Refusal"), ("Incorrect Answer", "Correct Answer")] * 20
    results = [{EXPERTS[0]: {"label": a}, EXPERTS[1]: {"label": b}, EXPERTS[2]: {"label": b}} for a, b in judgements]
    (tmp_path / "financebench").mkdir()
    with gzip.open(tmp_path / "financebench" / "questions.open.jsonl.gz", "wt") as file:
        for at, found in enumerate(results):
            record = {"id": at, "question": "?", "answers": ["1"], "doc_ids": ["p"], "answerable": True}
            file.write(json.dumps(record | {"meta": {"model_results": found}}) + "\n")
    judged = verdicts(tmp_path)
    local = np.array([0.0, 1.0] * 20)
    rows = replayed(
        list(judged), [str(at) for at in range(40)], {"ours": local, "plain_threshold": 1 - local}, local, judged,
        lambda values: interval(values.tolist(), 1), seed=2,
    )  # fmt: skip
    assert [row["always_expert"]["value"] for row in rows] == [0.5, 0.5, 0.5]
    assert [row["best_of_both"]["value"] for row in rows] == [1.0, 0.5, 0.5]
    assert rows[0]["ours"] > rows[0]["random_mix"] > rows[0]["plain_threshold"]
    assert rows[0]["expert"] == f"{EXPERTS[0]} (replayed)"


def test_the_picture_has_a_panel_for_every_domain(tmp_path: Path) -> None:
    rows = [{"domain": d, **r} for d in ("law", "all") for r in quality_by_share(
        {"ours": KNOWS, "plain_threshold": -KNOWS}, LOCAL, EXPERT)]  # fmt: skip
    draw_strategies(rows, tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    assert drawn.count('id="axes_') == 2
    with pytest.raises(UserError, match="can't be written"):
        draw_strategies(rows, tmp_path / "plot.nonsense")


def test_neighbours_vote() -> None:
    known = np.eye(2)
    assert neighbours(known, np.array([1.0, 0.0]), np.array([[1.0, 0.0]]))[0] > 0.99
