"""How alike two questions with equal facts must be: learned from comparisons, so that few hits are wrong.

Learn-then-Test with a fixed sequence (`understudy.agents.deferral.promise`). What is bounded here is the share of wrong
answers among those given again, so a threshold is tested on the pairs above it alone. The sequence goes downwards from
the first threshold that has enough pairs above it; how many there are is told by the similarities, not by the outcomes.

A workspace begins with pairs made from public questions (`prior.json`, by `python -m
understudy.apps.bench.cache_prior`). Their threshold holds until the workspace's own comparisons allow one, unless these
speak against it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from understudy.agents.cache.facts import VERSION
from understudy.agents.deferral.promise import Label, Sample, labels_needed, lowest

__all__ = ["GRID", "PRIOR", "Threshold", "binned", "learned", "prior_threshold"]

GRID = tuple(i / 100 for i in range(100, 29, -1))
"""Thresholds that are tried, highest first; fixed beforehand. Similarities count rounded to hundredths."""
PRIOR = Path(__file__).with_name("prior.json")


@dataclass(frozen=True)
class Threshold:
    """What is in force, and on what grounds."""

    cosine: float | None
    """Questions with equal facts are the same from here on; `None`: none are."""
    own: int
    """Comparisons of the workspace's own."""
    wrong: int
    """Those whose answers differed."""
    source: str
    """own, prior, or why there is none."""

    def allows(self, similarity: float) -> bool:
        """Whether a question is alike enough."""
        return self.cosine is not None and similarity >= self.cosine - 0.005


def learned(own: Sequence[Label], known: float | None, *, max_error: float, confidence: float) -> Threshold:
    """The threshold in force.

    Args:
        own: comparisons of the workspace; `confidence` is the cosine, `loss` 1 where the answers differed, `None` where
            an answer was given again without being compared.
        known: the threshold that the program comes with (`prior_threshold`).
        max_error: bound of the share of wrong ones among answers given again.
        confidence: with which it is kept.
    """
    labels = [label for label in own if label.loss is not None]
    wrong = sum(bool(label.loss) for label in labels)
    proven = lowest_of(own, max_error, confidence)
    if proven is not None:
        return Threshold(proven, len(labels), wrong, "own")
    if known is None:
        return Threshold(None, len(labels), wrong, f"no threshold keeps errors under {max_error:g}")
    above = [label for label in labels if label.confidence >= known - 0.005]
    if contradicts(sum(bool(label.loss) for label in above), len(above), max_error, confidence):
        return Threshold(None, len(labels), wrong, f"own comparisons speak against errors under {max_error:g}")
    return Threshold(known, len(labels), wrong, "prior")


def lowest_of(labels: Sequence[Label], max_error: float, confidence: float) -> float | None:
    """The lowest threshold that passes on the labels above it."""
    needed = labels_needed(max_error, confidence)
    labelled = [label.confidence for label in labels if label.loss is not None]
    least = max(needed, len(labelled) / 4)  # the top quarter at first: one error among the very first is no verdict
    passed = None
    for threshold in GRID:
        if labelled and threshold < min(labelled) - 0.005:  # of what is less alike nothing is known
            break
        if sum(cosine >= threshold - 0.005 for cosine in labelled) < least:
            continue
        above = Sample.of([label for label in labels if label.confidence >= threshold - 0.005])
        if lowest(above, (-1.0,), max_loss=max_error, confidence=confidence) is None:
            break
        passed = threshold
    return passed


def contradicts(wrong: int, compared: int, max_error: float, confidence: float) -> bool:
    """Whether so many wrong ones would be a surprise if errors were under the bound (exact binomial)."""
    if wrong == 0 or max_error >= 1:
        return False
    below = sum(math.comb(compared, k) * max_error**k * (1 - max_error) ** (compared - k) for k in range(wrong))
    return 1 - below <= 1 - confidence


@cache
def prior_threshold(max_error: float, confidence: float) -> float | None:
    """The threshold by the pairs that the program comes with; none where they were made under other rules."""
    held = json.loads(PRIOR.read_text(encoding="utf-8"))
    if held["facts"] != VERSION:
        return None
    rows = [(row["cosine"], row["pairs"], row["wrong"]) for row in held["bins"]]
    labels = [Label(cosine, float(at < wrong)) for cosine, pairs, wrong in rows for at in range(pairs)]
    return lowest_of(labels, max_error, confidence)


def binned(similarities: Sequence[float], wrong: Sequence[bool]) -> list[dict[str, float | int]]:
    """Counts a cosine of `GRID`, rounded to the nearest."""
    rows = []
    for cosine in GRID:
        inside = [w for s, w in zip(similarities, wrong, strict=True) if round(s, 2) == cosine]
        if inside:
            rows.append({"cosine": cosine, "pairs": len(inside), "wrong": sum(inside)})
    return rows
