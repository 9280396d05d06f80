"""The promise: the lowest threshold whose loss is proven to stay under a bound.

Learn-then-Test (Angelopoulos, Bates, Candès, Jordan and Lei 2021, arXiv 2110.01052) with fixed-sequence testing: the
thresholds are tried from "defer everything" downwards, each by a test of "the loss is above the bound" at level
1 - confidence, and the search ends at the first that isn't rejected. So the whole search errs no more often than one
test does; taking the lowest threshold that passes on its own would be uncorrected multiple testing.

The loss of a question is that of accepting its draft, max(0, expert's quality - local quality), and nothing if it is
deferred; the risk of a threshold is the mean loss over all questions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Label", "Promise", "labels_needed", "p_value", "promise"]

STAKES = (0.05, 0.1, 0.2, 0.35, 0.55, 0.8, 0.97)
"""Bets of the mixture, as shares of the largest that can't go bankrupt."""


@dataclass(frozen=True)
class Label:
    """A question that was, or might have been, compared with the expert."""

    confidence: float
    loss: float | None
    """Of accepting the draft, 0 to 1; `None` where the draw left it without a label."""
    probability: float = 1.0
    """With which it was drawn to be labelled."""
    in_force: float = 1.0
    """With which an accepted draft was drawn at that time, whether this one was accepted or not. It decides how much is
    bet on a question, and must not depend on the question: bets that did would not be fair."""
    group: str = ""
    """What answers cluster by, such as the document; labels without one stand alone."""


@dataclass(frozen=True)
class Promise:
    """A threshold with what it was derived from."""

    threshold: float | None
    """Drafts of at least this confidence are accepted; `None` defers everything."""
    max_loss: float
    confidence: float
    labels: int
    """Those that were tested on."""
    missing: int
    """How many more labels are needed before any threshold can pass, at the least."""
    accepted: float
    """Expected share of questions answered without the expert."""


def promise(labels: Sequence[Label], thresholds: Sequence[float], *, max_loss: float, confidence: float) -> Promise:
    """The lowest of the thresholds that passes.

    Args:
        labels: of questions that neither the confidence nor the thresholds were fitted on.
        thresholds: chosen without these labels; tried from the highest downwards.
        max_loss: what is promised, as a mean loss over all questions.
        confidence: with which it is promised.
    """
    labelled = sum(label.loss is not None for label in labels)
    passed = None
    if max_loss >= 1:
        passed = min(thresholds, default=None)
    else:
        for threshold in sorted(set(thresholds), reverse=True):
            if p_value(labels, threshold, max_loss) > 1 - confidence:
                break
            passed = threshold
    return Promise(
        threshold=passed,
        max_loss=max_loss,
        confidence=confidence,
        labels=labelled,
        missing=max(0, labels_needed(max_loss, confidence) - labelled),
        accepted=0.0 if passed is None else accepted_share(labels, passed),
    )


def labels_needed(max_loss: float, confidence: float) -> int:
    """The fewest labels, all without loss, with which a threshold can pass; 114 at 2% and 0.9."""
    if max_loss <= 0:
        return 10**9
    return 0 if max_loss >= 1 else math.ceil(math.log(1 - confidence) / math.log(1 - max_loss))


def accepted_share(labels: Sequence[Label], threshold: float) -> float:
    """The share of questions with at least this confidence."""
    return sum(label.confidence >= threshold for label in labels) / len(labels) if labels else 0.0


def p_value(labels: Sequence[Label], threshold: float, max_loss: float) -> float:
    """How surprising these labels are if the risk at a threshold is above `max_loss`.

    Exact (binomial) where every question has a label of 0 or 1 and stands alone. Otherwise by betting against it
    (Waudby-Smith and Ramdas 2024): a mixture of bets whose fortune, expected never to grow under the hypothesis,
    bounds the probability by its inverse (Markov). Losses are weighted by the inverse of their probability to be drawn
    (Horvitz and Thompson 1952), and summed over a group before anything is bet on it.
    """
    if not labels or max_loss <= 0:
        return 1.0
    grouped = any(label.group for label in labels)
    losses = [0.0 if label.confidence < threshold else label.loss for label in labels]
    if not grouped and all(loss in (0.0, 1.0) for loss in losses) and all_certain(labels, threshold):
        from scipy.special import bdtr

        return float(bdtr(sum(loss or 0.0 for loss in losses), len(losses), max_loss))
    return min(1.0, 1.0 / fortune(*surpluses(labels, threshold, max_loss)))


def all_certain(labels: Sequence[Label], threshold: float) -> bool:
    """Whether every accepted question was sure to be labelled."""
    return all(label.probability >= 1.0 for label in labels if label.confidence >= threshold)


def surpluses(
    labels: Sequence[Label], threshold: float, max_loss: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per group, weighted losses less what the bound allows (their mean is above 0 under the hypothesis), and the most.

    The most that any group may come to is the same for all where groups are drawn; a question that stands alone has
    its own, by the probability in force when it was asked.
    """
    sums: dict[str, float] = defaultdict(float)
    most: dict[str, float] = defaultdict(float)
    for at, label in enumerate(labels):
        loss = 0.0 if label.confidence < threshold or label.loss is None else label.loss / label.probability
        name = label.group or f"\0{at}"
        sums[name] += loss - max_loss
        most[name] += 1 / min(label.probability, label.in_force) - max_loss
    worst = np.array(list(most.values()))
    if any(label.group for label in labels):
        worst = np.full_like(worst, worst.max())
    return np.array(list(sums.values())), worst


def fortune(surplus: NDArray[np.float64], worst: NDArray[np.float64]) -> float:
    """What betting against a positive mean brings, from a stake of 1: the mean over the mixture's bets."""
    logs = np.log1p(-np.outer(np.array(STAKES), surplus / worst)).sum(axis=1)
    return float(np.exp(np.clip(logs, -700, 700)).mean())
