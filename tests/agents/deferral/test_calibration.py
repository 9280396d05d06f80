"""Signals become probabilities that mean what they say, on questions that weren't fitted on."""

from __future__ import annotations

import itertools
import math
import random

from understudy.agents.deferral.calibration import COLLECTION, Calibrator, fit


def drafts(count: int, seed: int) -> tuple[list[dict[str, float]], list[bool], list[str]]:
    """Two signals of which one tells, in a way that isn't logistic; noise; documents of four."""
    rng = random.Random(seed)
    rows, good, groups = [], [], []
    for at in range(count):
        tells = rng.random()
        rows.append({"tells": tells, "noise": rng.gauss(50, 9), "always": 1.0})
        good.append(rng.random() < (0.15 if tells < 0.5 else 0.9 * tells))
        groups.append(f"d{at // 4}")
    return rows, good, groups


def test_a_probability_is_right_as_often_as_it_says() -> None:
    rows, good, groups = drafts(2000, 1)
    calibrator = fit(rows, good, groups=groups)
    assert calibrator is not None
    rows, good, _ = drafts(4000, 2)
    said = [calibrator.probability(row) for row in rows]
    for low in (0.0, 0.3, 0.6):
        inside = [(p, g) for p, g in zip(said, good, strict=True) if low <= p < low + 0.3]
        assert math.isclose(
            sum(p for p, _ in inside) / len(inside), sum(g for _, g in inside) / len(inside), abs_tol=0.06
        )
    assert 0 < min(said) < 0.2 < 0.7 < max(said) < 1


def test_a_higher_signal_never_lowers_the_probability() -> None:
    rows, good, _ = drafts(600, 3)
    calibrator = fit(rows, good)
    assert calibrator is not None
    said = [calibrator.probability({"tells": i / 100, "noise": 50.0, "always": 1.0}) for i in range(101)]
    assert said == sorted(said)


def test_no_ranking_is_lost_beyond_what_was_seen() -> None:
    rows, good, _ = drafts(600, 3)
    calibrator = fit(rows, good)
    assert calibrator is not None
    said = [calibrator.probability({"tells": tells, "noise": 50.0, "always": 1.0}) for tells in (-3, -1, 2, 4)]
    assert all(low < high for low, high in itertools.pairwise(said))
    assert 0 < said[0] < said[-1] < 1
    assert 0 <= calibrator.probability({"tells": -1e9}) < calibrator.probability({"tells": 1e9}) <= 1


def test_a_collection_has_its_own_level_and_a_new_one_that_of_none() -> None:
    rng = random.Random(9)
    rows, good = [], []
    for at in range(600):
        easy = at % 2 == 0
        rows.append({"tells": rng.random(), f"{COLLECTION}{'easy' if easy else 'hard'}": 1.0})
        good.append(rng.random() < (0.8 if easy else 0.2))
    calibrator = fit(rows, good)
    assert calibrator is not None
    hard, new, easy = [
        calibrator.probability({"tells": 0.5, f"{COLLECTION}{name}": 1.0}) for name in ("hard", "new", "easy")
    ]
    assert hard < 0.3 < new < 0.7 < easy


def test_noise_is_held_down() -> None:
    """Thirty signals without meaning on 150 drafts: the penalty is chosen so that they hardly count."""
    rng = random.Random(10)
    rows = [{f"noise{i}": rng.gauss(0, 1) for i in range(30)} for _ in range(150)]
    calibrator = fit(rows, [rng.random() < 0.5 for _ in rows])
    assert calibrator is not None
    assert max(map(abs, calibrator.weights)) < 0.2  # 0.5 without


def test_too_few_of_one_kind_teach_nothing() -> None:
    rows, _, _ = drafts(100, 4)
    assert fit(rows, [True] * 95 + [False] * 5) is None


def test_it_is_plain_data_and_a_missing_signal_is_an_average_one() -> None:
    rows, good, groups = drafts(400, 5)
    calibrator = fit(rows, good, groups=groups)
    assert calibrator is not None
    again = Calibrator.model_validate_json(calibrator.model_dump_json())
    assert again.probability(rows[0]) == calibrator.probability(rows[0])
    typical = dict(zip(calibrator.signals, calibrator.means, strict=True))
    assert again.probability({}) == calibrator.probability(typical)


def test_labels_that_were_drawn_rarely_weigh_more() -> None:
    """Of the sure drafts every tenth was labelled: weighted by that, they are seen as often as they come."""
    rng = random.Random(6)
    rows, good, weights = [], [], []
    for _ in range(4000):
        sure, right = rng.random() < 0.5, rng.random() < 0.5
        drawn = 0.1 if right else 1.0
        if rng.random() < drawn:
            rows.append({"sure": float(sure)})
            good.append(right)
            weights.append(1 / drawn)
    weighted, plain = fit(rows, good, weights=weights), fit(rows, good)
    assert weighted is not None
    assert plain is not None
    assert abs(weighted.probability({"sure": 1.0}) - 0.5) < 0.08
    assert plain.probability({"sure": 1.0}) < 0.2
