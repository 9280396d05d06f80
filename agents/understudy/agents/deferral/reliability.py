"""How far a confidence can be believed: reliability diagram, expected calibration error, area under the ROC curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from understudy.agents.deferral.derive import Derivation, label_of
from understudy.agents.deferral.outcomes import Row

__all__ = [
    "Bin",
    "Calibration",
    "Estimate",
    "auroc",
    "bins_of",
    "calibration_of",
    "diagram",
    "expected_error",
    "measured",
    "weighted_mean",
]

BINS = 10
RESAMPLES = 1000
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Figure = Callable[[Indices], float]


class Estimate(BaseModel):
    """A figure with its 95% interval."""

    model_config = ConfigDict(frozen=True)
    value: float
    low: float
    high: float
    n: int


class Bin(BaseModel):
    """Drafts of like confidence."""

    model_config = ConfigDict(frozen=True)
    confidence: float
    """Their mean confidence."""
    right: float
    """The share of them that was as good as the expert's answer."""
    n: int


class Calibration(BaseModel):
    """What `understudy calibrate` shows."""

    model_config = ConfigDict(frozen=True)
    derivation: Derivation
    bins: tuple[Bin, ...] = ()
    ece: Estimate | None = None
    """Expected calibration error on the calibrate role, which the calibrator was not fitted on."""
    auroc: Estimate | None = None
    """How often a right draft has more confidence than a wrong one."""
    accuracy: Estimate | None = None
    """Share of drafts that are as good as the expert's answer, each label weighted by its inverse probability."""


def calibration_of(rows: Sequence[Row], derivation: Derivation, seed: int = 17) -> Calibration:
    """Figures on the labelled drafts of the calibrate role."""
    confidence, right, weight = columns(rows, derivation)
    if not len(right):
        return Calibration(derivation=derivation)
    return measured(confidence, right, weight, derivation, seed)


def diagram(rows: Sequence[Row], derivation: Derivation) -> list[Bin]:
    """The reliability diagram of the same drafts, without figures that take resampling."""
    return bins_of(*columns(rows, derivation))


def columns(rows: Sequence[Row], derivation: Derivation) -> tuple[Floats, Floats, Floats]:
    """Confidence, quality and weight of the labelled drafts of the calibrate role."""
    tested = [r for r in rows if r.role == "calibrate" and r.drafted and r.quality is not None]
    confidence = np.array([label_of(r, derivation.calibrator).confidence for r in tested])
    right = np.array([float(r.quality or 0.0) for r in tested])
    return confidence, right, np.array([1 / r.probability for r in tested])


def measured(confidence: Floats, right: Floats, weight: Floats, derivation: Derivation, seed: int) -> Calibration:
    """All figures, resampled together."""
    drawn = np.random.default_rng(seed).integers(0, len(right), size=(RESAMPLES, len(right)))

    everything, whole = np.arange(len(right)), right >= 1.0
    both = bool(whole.any()) and not whole.all()
    return Calibration(
        derivation=derivation,
        bins=tuple(bins_of(confidence, right, weight)),
        ece=estimate(lambda at: expected_error(confidence[at], right[at], weight[at]), everything, drawn),
        auroc=estimate(lambda at: auroc(whole[at], confidence[at], weight[at]), everything, drawn) if both else None,
        accuracy=weighted_mean(right, weight, everything),
    )


def estimate(figure: Figure, everything: Indices, drawn: Indices) -> Estimate:
    """A figure of all, with its interval over resamples."""
    low, high = np.nanquantile([figure(at) for at in drawn], [0.025, 0.975])
    return Estimate(
        value=round(figure(everything), 4), low=round(float(low), 4), high=round(float(high), 4), n=len(everything)
    )


def auroc(right: Bools, score: Floats, weight: Floats) -> float:
    """How often what is right scores above what is wrong, ties counting half (Hanley and McNeil 1982).

    A thousand resamples take scikit-learn, which checks its arguments anew each time, ten seconds.
    """
    _, rank = np.unique(score, return_inverse=True)
    above, below = (np.bincount(rank, weights=np.where(chosen, weight, 0.0)) for chosen in (right, ~right))
    pairs = float(above.sum() * below.sum())
    return float((above * (below.cumsum() - below / 2)).sum()) / pairs if pairs else float("nan")


def weighted_mean(values: Floats, weight: Floats, group: Indices) -> Estimate:
    """A mean of what was drawn with unequal probabilities, with its 95% normal interval over groups.

    Weights are inverse probabilities and add up to the count (Hájek 1971); the variance is the linearised mean's.
    """
    mean = float(np.average(values, weights=weight))
    off = np.bincount(group, weights=weight * (values - mean))
    spread = float(np.sqrt((off**2).sum() * len(off) / max(1, len(off) - 1)) / weight.sum())
    low, high = max(0.0, mean - 1.96 * spread), min(1.0, mean + 1.96 * spread)
    return Estimate(value=round(mean, 4), low=round(low, 4), high=round(high, 4), n=len(values))


def edges(confidence: Floats) -> list[Indices]:
    """Indices in ten bins of equal count: of equal width, most would be empty where a model is rarely sure."""
    order = np.argsort(confidence, kind="stable")
    if not len(order):
        return []
    return [part for part in np.array_split(order, min(BINS, len(order))) if len(part)]


def bins_of(confidence: Floats, right: Floats, weight: Floats) -> list[Bin]:
    """The reliability diagram, lowest confidence first."""
    return [
        Bin(
            confidence=round(float(np.average(confidence[part], weights=weight[part])), 4),
            right=round(float(np.average(right[part], weights=weight[part])), 4),
            n=len(part),
        )
        for part in edges(confidence)
    ]


def expected_error(confidence: Floats, right: Floats, weight: Floats) -> float:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015), over bins of equal count."""
    total = float(weight.sum())
    return sum(
        abs(float(np.average(confidence[p] - right[p], weights=weight[p]))) * float(weight[p].sum()) / total
        for p in edges(confidence)
    )
