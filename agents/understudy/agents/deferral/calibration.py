"""Signals of a draft turned into the probability that it is as good as the expert's answer.

A logistic regression on standardised signals, and an isotonic regression on top, fitted on predictions that the
logistic one made for questions it hadn't seen (five folds, whole groups apart). Between the steps of the isotonic fit
the probability rises in straight lines (centred isotonic regression, Oron and Flournoy 2017), and beyond the outermost
it goes on as the logistic does, so that no ranking is lost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Calibrator", "fit"]

Floats = NDArray[np.float64]

COLLECTION = "collection:"
"""What the signal begins with that says where a question was asked: 1 there, and 0 for every other collection."""
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Inverse strengths of the L2 penalty; that of the least loss on unseen folds is taken."""
FOLDS = 5
FARTHEST = 50.0
"""Log odds beyond the outermost step, from which on all are alike."""
LEAST_OF_A_CLASS = 10
"""Fewer right or wrong drafts than this teach nothing."""


class Calibrator(BaseModel):
    """The fitted numbers: plain data, so that they can be stored, read, and compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    signals: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    logits: Annotated[tuple[float, ...], Field(min_length=1)]
    """Centres of the isotonic steps, rising."""
    probabilities: tuple[float, ...]
    """Their heights."""

    @model_validator(mode="after")
    def of_one_length(self) -> Self:
        """A file that was edited by hand must not fail at every question."""
        if not len(self.signals) == len(self.means) == len(self.scales) == len(self.weights):
            raise ValueError("signals, means, scales and weights differ in length")
        if len(self.logits) != len(self.probabilities):
            raise ValueError("logits and probabilities differ in length")
        return self

    def probability(self, signals: Mapping[str, float]) -> float:
        """That a draft with these signals is as good as the expert's answer. A signal it lacks counts as its mean."""
        row = [signals.get(name, absent(name, mean)) for name, mean in zip(self.signals, self.means, strict=True)]
        scaled = (np.array(row) - np.array(self.means)) / np.array(self.scales)
        logit = float(scaled @ np.array(self.weights)) + self.intercept
        within = float(np.interp(logit, self.logits, self.probabilities))
        beyond = min(max(logit - min(max(logit, self.logits[0]), self.logits[-1]), -FARTHEST), FARTHEST)
        return within if beyond == 0 else 1 / (1 + (1 / within - 1) * math.exp(-beyond))


def absent(name: str, mean: float) -> float:
    """What stands for a signal that a draft doesn't have."""
    return 0.0 if name.startswith(COLLECTION) else mean


def fit(
    rows: Sequence[Mapping[str, float]],
    good: Sequence[bool],
    *,
    weights: Sequence[float] | None = None,
    groups: Sequence[str] | None = None,
    seed: int = 17,
) -> Calibrator | None:
    """A calibrator from labelled drafts; `None` where there are too few that are right, or that are wrong.

    Args:
        rows: the signals of each.
        good: whether it was as good as the expert's answer.
        weights: inverse probabilities of the labels.
        groups: what answers cluster by; a group is in one fold.
        seed: of the folds.
    """
    if min(sum(good), len(good) - sum(good)) < LEAST_OF_A_CLASS:
        return None
    from sklearn.isotonic import IsotonicRegression  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    names = tuple(sorted({name for row in rows for name in row}))
    matrix = filled(rows, names)
    means, scales = matrix.mean(axis=0), matrix.std(axis=0)
    scales[scales < 1e-9] = 1.0
    scaled, truth = (matrix - means) / scales, np.array(good, dtype=np.int64)
    weight = np.ones(len(good)) if weights is None else np.array(weights, dtype=np.float64)

    def logistic(part: NDArray[np.intp], penalty: float) -> tuple[Floats, float]:
        model = LogisticRegression(C=penalty, max_iter=2000).fit(scaled[part], truth[part], sample_weight=weight[part])
        return model.coef_[0], float(model.intercept_[0])

    parts = folds(truth, groups, seed)
    trials: list[tuple[float, float, Floats]] = []
    for penalty in PENALTIES:
        unseen = np.zeros(len(good))
        for train, test in parts:
            coefficients, intercept = logistic(train, penalty)
            unseen[test] = scaled[test] @ coefficients + intercept
        trials.append((log_loss(unseen, truth, weight), penalty, unseen))
    _, penalty, unseen = min(trials, key=lambda trial: trial[0])
    coefficients, intercept = logistic(np.arange(len(good)), penalty)
    steps = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(unseen, truth, sample_weight=weight)
    logits, probabilities = centred(unseen, steps, weight)
    return Calibrator(
        signals=names, means=tuple(means), scales=tuple(scales), weights=tuple(coefficients), intercept=intercept,
        logits=tuple(logits), probabilities=tuple(probabilities),
    )  # fmt: skip


def filled(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    """Signals as a matrix `[drafts, signals]`; one that is absent takes the mean of its column."""
    matrix = np.array([[row.get(name, absent(name, np.nan)) for name in names] for row in rows], dtype=np.float64)
    return np.where(np.isnan(matrix), np.nanmean(matrix, axis=0), matrix)


def log_loss(logits: Floats, truth: NDArray[np.int64], weight: Floats) -> float:
    """Mean negative log-likelihood."""
    return float(np.average(np.logaddexp(0, np.where(truth == 1, -logits, logits)), weights=weight))


def folds(truth: NDArray[np.int64], groups: Sequence[str] | None, seed: int) -> list[tuple[NDArray[np.intp], ...]]:
    """Training and test indices, classes spread evenly and groups kept whole where there are enough."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # type: ignore[import-untyped]

    count = len(truth)
    if groups is not None and len(set(groups)) >= 4 * FOLDS:
        return list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(np.zeros(count), truth, groups))
    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(np.zeros(count), truth))


def centred(logits: Floats, steps: Floats, weight: Floats) -> tuple[list[float], list[float]]:
    """The middle of every step of an isotonic fit, and its height; certainty is never reached from a finite sample."""
    heights = np.unique(steps)
    centres = [float(np.average(logits[steps == height], weights=weight[steps == height])) for height in heights]
    least = 1 / (len(logits) + 2)
    return centres, [float(height) for height in np.clip(heights, least, 1 - least)]
