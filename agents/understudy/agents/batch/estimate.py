"""What a whole job would take, from a sample of its questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.core.jobs import Between, Plan

__all__ = ["Sampled", "plan_of"]

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Sampled:
    """What became of one question of the sample."""

    seconds: float
    """That it was in progress, beside others."""
    consulted: bool = False
    call_usd: float = 0.0
    """What asking an expert would cost, whether it is asked or not."""
    most_usd: float = 0.0
    """The same in the worst case."""
    failed: bool = False


def plan_of(sample: Sequence[Sampled], wall_s: float, questions: int, seed: int, priced_by: str) -> Plan:
    """The estimate for all questions.

    Intervals are percentiles of the bootstrap (Efron 1979) over questions; of a share that is 0 or 1 in the sample, of
    which the bootstrap knows no spread, the bound is the rule of three (Hanley and Lippman-Hand 1983).

    Args:
        sample: drawn by chance.
        wall_s: that the sample took.
        questions: of the job.
        seed: of the bootstrap.
        priced_by: what costs were taken from.
    """
    seconds = np.array([s.seconds for s in sample])
    pace = wall_s / max(1e-9, float(seconds.sum()))  # several are in progress at once
    consulted = np.array([float(s.consulted) for s in sample])
    call = np.array([s.call_usd for s in sample])
    drawn = np.random.default_rng(seed).integers(0, len(sample), size=(RESAMPLES, len(sample)))

    def between(values: NDArray[np.float64], times: float) -> Between:
        low, high = np.quantile(values[drawn].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Between(value=float(values.mean()) * times, low=float(low) * times, high=float(high) * times)

    share = between(consulted, 1.0)
    spent = between(call * consulted, questions)
    if share.value in (0.0, 1.0):
        unseen = min(1.0, 3 / len(sample))
        share = Between(
            value=share.value,
            low=share.value - unseen if share.value else 0.0,
            high=share.value if share.value else unseen,
        )
        if not share.value:
            spent = Between(value=0.0, low=0.0, high=unseen * questions * float(call.mean()))
    return Plan(
        questions=questions,
        sampled=len(sample),
        failed=sum(s.failed for s in sample),
        seconds_a_question=between(seconds, pace),
        hours=between(seconds, pace * questions / 3600),
        consulted=share,
        usd=spent,
        most_usd=float(np.mean([s.most_usd * s.consulted for s in sample])) * questions,
        priced_by=priced_by,
    )
