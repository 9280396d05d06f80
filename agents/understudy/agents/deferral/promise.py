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
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["STAKES", "Label", "Promise", "Sample", "fortunes", "labels_needed", "lowest", "p_value", "promise"]

Floats = NDArray[np.float64]

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


@dataclass(frozen=True)
class Sample:
    """Labels as columns, each `[questions]`."""

    confidence: Floats
    loss: Floats
    """Weighted by the inverse of the probability to be drawn (Horvitz and Thompson 1952); 0 where there is no label."""
    probability: Floats
    most: Floats
    """What a question of its time can lose at the most, weighted."""
    group: NDArray[np.int64]
    """Number of the group, from 0."""
    binary: bool
    """Whether every question has a label, and that is 0 or 1."""

    @classmethod
    def of(cls, labels: Sequence[Label]) -> Sample:
        """The columns of some labels."""
        probability = np.array([label.probability for label in labels])
        names: dict[str, int] = {}
        group = [names.setdefault(label.group or f"\0{at}", len(names)) for at, label in enumerate(labels)]
        return cls(
            confidence=np.array([label.confidence for label in labels]),
            loss=np.array([label.loss or 0.0 for label in labels]) / probability,
            probability=probability,
            most=1 / np.minimum(probability, [label.in_force for label in labels]),
            group=np.array(group, dtype=np.int64),
            binary=all(label.loss in (0.0, 1.0) for label in labels),
        )

    def __len__(self) -> int:
        return len(self.confidence)

    def per_group(self, values: Floats) -> Floats:
        """Sums over groups, `[groups]`."""
        return np.bincount(self.group, weights=values).astype(np.float64)


def promise(labels: Sequence[Label], thresholds: Sequence[float], *, max_loss: float, confidence: float) -> Promise:
    """The lowest of the thresholds that passes.

    Args:
        labels: of questions that neither the confidence nor the thresholds were fitted on.
        thresholds: chosen without these labels; tried from the highest downwards.
        max_loss: what is promised, as a mean loss over all questions.
        confidence: with which it is promised.
    """
    labelled = sum(label.loss is not None for label in labels)
    missing = max(0, labels_needed(max_loss, confidence) - labelled)
    sample = Sample.of(labels)
    passed = None if missing else lowest(sample, thresholds, max_loss=max_loss, confidence=confidence)
    return Promise(
        threshold=passed,
        max_loss=max_loss,
        confidence=confidence,
        labels=labelled,
        missing=missing,
        accepted=0.0 if passed is None else accepted_share(labels, passed),
    )


def lowest(sample: Sample, thresholds: Sequence[float], *, max_loss: float, confidence: float) -> float | None:
    """The last threshold, from the highest downwards, before the first that does not pass."""
    if max_loss >= 1:
        return min(thresholds, default=None)
    passed = None
    for threshold in sorted(set(thresholds), reverse=True):
        if p_value(sample, threshold, max_loss, confidence) > 1 - confidence:
            break
        passed = threshold
    return passed


def labels_needed(max_loss: float, confidence: float) -> int:
    """The fewest labels, all without loss, with which a threshold can pass; 114 at 2% and 0.9."""
    if max_loss <= 0:
        return 10**9
    return 0 if max_loss >= 1 else math.ceil(math.log(1 - confidence) / math.log(1 - max_loss))


def accepted_share(labels: Sequence[Label], threshold: float) -> float:
    """The share of questions with at least this confidence."""
    return sum(label.confidence >= threshold for label in labels) / len(labels) if labels else 0.0


def p_value(sample: Sample, threshold: float, max_loss: float, confidence: float = 0.9) -> float:
    """How surprising these labels are if the risk at a threshold is above `max_loss`.

    Exact (binomial) where every question has a label of 0 or 1 and stands alone. Where such questions cluster, the
    binomial of as many independent questions as they are worth. Otherwise by betting against the hypothesis
    (Waudby-Smith and Ramdas 2024): a mixture of bets whose fortune is expected never to grow under it, so that its
    inverse bounds the probability (Markov).
    """
    if not len(sample) or max_loss <= 0:
        return 1.0
    accepted = sample.confidence >= threshold
    losses = np.where(accepted, sample.loss, 0.0)
    if sample.binary and bool((sample.probability[accepted] >= 1).all()):
        from scipy.special import betainc

        worth = 1 / design_effect(sample, accepted, losses, confidence)
        count, lost = len(sample) * worth, float(losses.sum()) * worth
        return 1.0 if lost >= count else float(betainc(count - lost, lost + 1, 1 - max_loss))
    return min(1.0, 1.0 / fortune(*surpluses(sample, losses, max_loss)))


def design_effect(sample: Sample, accepted: NDArray[np.bool_], losses: Floats, confidence: float) -> float:
    """By how much clustering inflates the variance of the loss (Korn and Graubard 1998); 1 where there is none.

    Few losses tell little of how they cluster, so one more is supposed, in the worst way: with all accepted questions
    of its document. An approximation, unlike the other tests; `bench deferral` and the tests show how it keeps.
    """
    sizes = sample.per_group(np.ones(len(sample)))
    groups = len(sizes)
    if groups == len(sample):
        return 1.0
    if groups == 1:
        return float(len(sample))
    from scipy.special import ndtri, stdtrit

    taken, lost = sample.per_group(accepted.astype(float)), float(losses.sum())
    worst = float((taken**2).sum() / max(1.0, taken.sum()))
    share = lost / len(sample)
    spread = groups / (groups - 1) * float(((sample.per_group(losses) - share * sizes) ** 2).sum())
    seen = spread / (1 - share) if 0 < share < 1 else 0.0  # times the number of losses
    few_groups = float(stdtrit(groups - 1, max(0.9, confidence)) / ndtri(max(0.9, confidence))) ** 2
    return max(1.0, (seen + worst) / (lost + 1)) * few_groups


def surpluses(sample: Sample, losses: Floats, max_loss: float) -> tuple[Floats, Floats]:
    """Per group, weighted losses less what the bound allows (their mean is above 0 under the hypothesis), and the most.

    The most that any group may come to is the same for all where groups are drawn; a question that stands alone has
    its own, by the probability in force when it was asked.
    """
    worst = sample.per_group(sample.most - max_loss)
    if len(worst) < len(sample):
        worst = np.full_like(worst, worst.max())
    return sample.per_group(losses - max_loss), worst


def fortune(surplus: Floats, worst: Floats) -> float:
    """What betting against a positive mean brings, from a stake of 1: the mean over the mixture's bets."""
    return float(fortunes(surplus, worst)[-1])


def fortunes(surplus: Floats, worst: Floats) -> Floats:
    """The same after every bet, `[bets]`."""
    logs = np.log1p(-np.outer(np.array(STAKES), surplus / worst)).cumsum(axis=1)
    found: Floats = np.exp(np.clip(logs, -700, 700)).mean(axis=0)
    return found
