"""Averages, quantiles and areas, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from understudy.agents.deferral.reliability import auroc as area

__all__ = ["auroc", "interval", "quantile", "recall_at", "reciprocal_rank"]

RESAMPLES = 2000


def recall_at(ranks: Sequence[int | None], k: int) -> float:
    """Share of questions whose gold stands among the first `k`; ranks count from 1, `None` is not found."""
    return sum(r is not None and r <= k for r in ranks) / len(ranks) if ranks else 0.0


def reciprocal_rank(rank: int | None) -> float:
    """1 / rank, or 0 when not found; its mean over questions is MRR."""
    return 0.0 if rank is None else 1 / rank


def quantile(values: Sequence[float], q: float) -> float:
    """A quantile by linear interpolation; 0 of nothing."""
    return float(np.quantile(np.asarray(values, dtype=float), q)) if values else 0.0


def interval(values: Sequence[float], seed: int, resamples: int = RESAMPLES) -> dict[str, float | int]:
    """The mean of some per-question scores with its 95% percentile bootstrap interval."""
    if not values:
        return {"value": 0.0, "low": 0.0, "high": 0.0, "n": 0}
    scores = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(scores), size=(resamples, len(scores)))
    means = scores[drawn].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "value": round(float(scores.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "n": len(scores),
    }


def auroc(
    positive: Sequence[float], negative: Sequence[float], seed: int, resamples: int = RESAMPLES
) -> dict[str, float | int] | None:
    """How often a positive case scores above a negative one (a tie counts half): area under the ROC curve.

    With its 95% percentile bootstrap interval, both sides drawn anew; `None` where one side is empty.
    """
    if not positive or not negative:
        return None
    scores = np.asarray([*positive, *negative], dtype=float)
    labels = np.repeat([True, False], [len(positive), len(negative)])
    even = np.ones(len(scores))
    rng = np.random.default_rng(seed)
    above = rng.integers(0, len(positive), size=(resamples, len(positive)))
    below = rng.integers(len(positive), len(scores), size=(resamples, len(negative)))
    areas = [area(labels, scores[drawn], even) for drawn in np.hstack([above, below])]
    low, high = np.quantile(areas, [0.025, 0.975])
    return {
        "value": round(area(labels, scores, even), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "n": len(scores),
    }
