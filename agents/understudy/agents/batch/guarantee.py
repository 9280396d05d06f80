"""What a job may promise of its answers as a whole: how few of its drafts an expert has to be asked about.

All rows of a job are known beforehand, so the promise is about this finite population and nothing else: with the
confidence that was asked for, the losses of all drafts that are given without an expert add up to `max_loss` times the
number of rows at the most.

The rounds are those of BARGAIN (Zeighami, Shankar and Parameswaran, SIGMOD 2026, arXiv 2509.02896, the target of
accuracy): candidate thresholds from the most confident drafts downwards, each tested on rows drawn without replacement
from those at or above it, until one fails. This is its proof here:

- *One test.* That a threshold's n drafts lose more than the bound in all is tested by betting (Waudby-Smith and Ramdas
  2024, section 5, without replacement). Had they lost just the bound, the next draw's expected loss would be what is
  left of it over the drafts that are left; the bet is that it is less. By a bettor who stakes a fixed share of the most
  that can't go bankrupt, the fortune is expected never to grow under the hypothesis, so it ever reaches 1 / (1 -
  confidence) with a probability of 1 - confidence at the most (Ville), whenever one stops, and why ever.
- *The sequence.* Drafts can only add losses as the threshold falls, so the hypotheses are true from some threshold on,
  which doesn't depend on chance. Who errs must have rejected that one. So the whole search errs no more often than a
  single test, however many candidates there are (fixed-sequence testing).
- *Shared samples.* All rows are put into one random order once. In it, those at or above a threshold are in random
  order too, so each threshold is tested on them in this order, whatever labels others have brought already.

No assumption is made on the confidence: a worthless one costs calls, not validity.

Where this differs from the paper: it bets once, by the variance seen so far, draws a fixed number of rows at a time,
and gives a threshold up by a rule of thumb. Here the bets are the mixture of `deferral.promise`, as many rows are drawn
as the test needs at the least, and a threshold is given up when its test is expected to take more labels than it is
worth. None of this bears on the proof.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.agents.deferral.promise import STAKES, fortunes

__all__ = ["Found", "Wanted", "descend", "search", "shuffled"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

CANDIDATES = 20
"""Thresholds that are tried, at equal shares of the drafts."""
PATIENCE = 2.0
"""New labels that a test may be expected to take for each draft that it adds: it opens the way to others, too."""
SUPPOSED, SHARE = 20, 0.25
"""So many drafts are supposed, that lose this share of what is allowed, to judge whether a test is worth going on."""


@dataclass(frozen=True)
class Wanted:
    """Drafts that an expert is to be asked about next, by their places in the random order."""

    places: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """Where the search has ended."""

    threshold: float | None
    """Drafts of at least this confidence may be given; none, without one."""
    labelled: int
    """Drafts that the search looked at the labels of."""


def shuffled(numbers: Sequence[int], seed: str) -> list[int]:
    """Rows in a random order that the seed decides, whichever others there are."""
    return sorted(numbers, key=lambda n: hashlib.blake2b(f"{seed}\0{n}".encode(), digest_size=16).digest())


def descend(
    confidence: Floats, losses: Floats, *, rows: int, max_loss: float, sure: float, least: int = 8
) -> Wanted | Found:
    """The next step of the search. It begins anew each time, so it can be gone on with from the labels alone.

    Args:
        confidence: of every draft that may be given, in random order.
        losses: of giving it, 0 to 1; not a number where that isn't known yet.
        rows: of the job, over which the loss is taken: the drafts, and those that an expert answers anyway.
        max_loss: what is to be promised, as a mean loss over all rows.
        sure: with which confidence.
        least: labels that are looked at in one go, at the least.
    """
    steps = search(confidence, rows=rows, max_loss=max_loss, sure=sure, least=least)
    try:
        places = next(steps)
        while not np.isnan(losses[places]).any():
            places = steps.send(losses[places])
    except StopIteration as end:
        found: Found = end.value
        return found
    return Wanted(tuple(int(place) for place in places if np.isnan(losses[place])))


def search(
    confidence: Floats, *, rows: int, max_loss: float, sure: float, least: int = 8
) -> Generator[Places, Floats, Found]:
    """The whole search: yields the places of drafts that it wants to know the losses of, each once."""
    bound, passed, losses = max_loss * rows, None, np.full(len(confidence), np.nan)
    for threshold in candidates(confidence, bound):
        inside = np.flatnonzero(confidence >= threshold)
        added = len(inside) - (0 if passed is None else int((confidence >= passed).sum()))
        test, seen = Test(len(inside), bound, 1 / (1 - sure), least), 0
        while True:
            ahead = len(inside) - seen - int(np.isnan(losses[inside[seen:]]).sum())
            more = test.more(losses[inside[:seen]], PATIENCE * added + ahead)
            if not more:
                break
            seen += more
            new = inside[:seen][np.isnan(losses[inside[:seen]])]
            if len(new):
                losses[new] = yield new
        if not test.passed:
            break
        passed = threshold
    return Found(passed, len(losses) - int(np.isnan(losses).sum()))


def candidates(confidence: Floats, bound: float) -> Iterator[float]:
    """Thresholds from the highest downwards: the first at which the drafts can lose no more than the bound anyway."""
    falling = np.sort(confidence)[::-1]
    free = min(len(falling), math.floor(bound))
    counts = [free + math.ceil(step * (len(falling) - free) / CANDIDATES) for step in range(CANDIDATES + 1)]
    yield from dict.fromkeys(float(falling[count - 1]) for count in counts if count)


@dataclass
class Test:
    """The test of one threshold.

    Args:
        drafts: at or above it.
        bound: what they may lose in all.
        enough: the fortune at which the hypothesis falls that they lose more.
        least: labels that are asked for at a time, at the least.
    """

    drafts: int
    bound: float
    enough: float
    least: int
    passed: bool = False

    def more(self, losses: Floats, worth: float) -> int:
        """How many labels to look at besides those; 0 where it is decided, or not worth that many."""
        lost, left = float(losses.sum()), self.drafts - len(losses)
        if lost > self.bound:
            return 0
        self.passed = lost + left <= self.bound or self._best(losses) >= self.enough
        if self.passed:
            return 0
        share = (lost + SUPPOSED * SHARE * self.bound / self.drafts) / (len(losses) + SUPPOSED)
        needed = self._needed(losses, share)
        if needed is None or needed > worth:
            return 0
        return min(left, max(self.least, self._needed(losses, 0.0) or left))

    def _best(self, losses: Floats) -> float:
        """The most that the fortune has been."""
        if not len(losses):
            return 1.0
        allowed = self._allowed(np.concatenate([[0.0], losses.cumsum()[:-1]]), 0)
        return float(fortunes(losses - allowed, 1 - allowed).max())

    def _allowed(self, lost: Floats, seen: int) -> Floats:
        """The mean loss of those that are left before each draw, had all lost just the bound."""
        allowed = (self.bound - lost) / (self.drafts - seen - np.arange(len(lost)))
        # Above 1 the bound can't be passed any more; below 0 it was: then a test is over, whatever is bet.
        return np.clip(allowed, 0.0, 1 - 1e-12)

    def _needed(self, losses: Floats, share: float) -> int | None:
        """About how many labels the test will still take if so many are lost; `None` where it would never pass."""
        seen, left = len(losses), self.drafts - len(losses)
        before = self._allowed(np.concatenate([[0.0], losses.cumsum()[:-1]]) if seen else np.zeros(0), 0)
        after = self._allowed(losses.sum() + share * np.arange(left), seen)
        stakes = np.array(STAKES)[:, None]
        start = np.log1p(-stakes * ((losses - before) / (1 - before))).sum(axis=1, keepdims=True)
        gains = share * np.log1p(-stakes) + (1 - share) * np.log1p(stakes * after / (1 - after))
        fortune = np.exp(np.clip(start + gains.cumsum(axis=1), -700, 700)).mean(axis=0)
        reached = np.flatnonzero(fortune >= self.enough)
        drawn = np.arange(1, left + 1)
        certain = np.flatnonzero(losses.sum() + share * drawn + left - drawn <= self.bound)
        first = [int(places[0]) + 1 for places in (reached, certain) if len(places)]
        return min(first) if first else None
