"""Whether the promise holds: calibration sets drawn again and again from outcomes that are taken as the population."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.agents.deferral.budget import Ledger
from understudy.agents.deferral.promise import Sample, lowest
from understudy.apps.bench.curves import group_draws
from understudy.core.errors import BudgetError
from understudy.core.protocols import Account
from understudy.core.settings import BudgetSettings
from understudy.core.types import Spend

__all__ = ["estimate_coverage", "never_exceeded", "possible", "tried"]

Floats = NDArray[np.float64]
DRAWS = 300
LOSSES, LEVELS = (0.02, 0.05, 0.1), (0.9, 0.95, 0.99)


def tried(
    strategies: Mapping[str, tuple[Floats, Sequence[float]]], loss: Floats, groups: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """Thresholds from 300 draws of whole groups: how often their true loss exceeds the bound, and what they save.

    Args:
        strategies: the score of every question, and the thresholds that are tried.
        loss: of accepting every question's draft.
        groups: what answers cluster by. Every draw of a group counts as a group of its own, as another document of its
            kind would.
        seed: of the draws.
    """
    draws = [(drawn, copies(drawn, groups)) for drawn in group_draws(groups, DRAWS, seed)]
    rows: list[dict[str, Any]] = []
    for max_loss in LOSSES:
        for level in LEVELS:
            row: dict[str, Any] = {"questions": len(loss), "max_loss": max_loss, "confidence": level}
            for name, (score, thresholds) in strategies.items():
                exceeded, accepted = 0, []
                for drawn, group in draws:
                    sample = sampled(score[drawn], loss[drawn], group)
                    threshold = lowest(sample, thresholds, max_loss=max_loss, confidence=level)
                    taken = score >= (np.inf if threshold is None else threshold)
                    exceeded += bool((loss * taken).mean() > max_loss)
                    accepted.append(float(taken.mean()))
                row |= {
                    f"{name}_exceeded_of_{DRAWS}": exceeded,
                    f"{name}_saves": round(float(np.mean(accepted)), 4),
                    f"{name}_could_save": possible(score, loss, max_loss),
                }
            rows.append(row)
    return rows


def sampled(score: Floats, loss: Floats, group: NDArray[np.int64]) -> Sample:
    """Certain labels as the promise wants them."""
    ones = np.ones(len(score))
    return Sample(confidence=score, loss=loss, probability=ones, most=ones, group=group, binary=True)


def copies(drawn: NDArray[np.int64], groups: Sequence[str]) -> NDArray[np.int64]:
    """Numbers of the groups of a draw, in which the same group may come more than once, each time in one piece."""
    new = [
        at == 0 or drawn[at] <= drawn[at - 1] or groups[drawn[at]] != groups[drawn[at - 1]] for at in range(len(drawn))
    ]
    return np.cumsum(new) - 1


def possible(score: Floats, loss: Floats, max_loss: float) -> float:
    """The largest share that could be accepted within a loss by this score, known the losses of all."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=-np.inf) < 0)  # questions of one score go together
    kept = ends[np.cumsum(loss[order])[ends] / len(loss) <= max_loss]
    drafted = float((score >= 0).mean())
    return round(min(drafted, float((kept[-1] + 1) / len(loss))) if len(kept) else 0.0, 4)


def estimate_coverage(
    confidence: Floats, right: Floats, groups: Sequence[str], seed: int, audit_rate: float = 0.1
) -> dict[str, float | int]:
    """How often the accuracy of all drafts lies in the 95% interval that deferred and audited labels alone give.

    Half of the drafts (those of most confidence) are accepted; of them `audit_rate` are labelled. The estimate weights
    by inverse probability (Horvitz and Thompson 1952), with a normal interval over the groups of the sample.
    """
    rng = np.random.default_rng(seed)
    accepted = confidence >= np.median(confidence)
    probability = np.where(accepted, audit_rate, 1.0)
    truth, inside = float(right.mean()), 0
    for drawn in group_draws(groups, DRAWS, seed):
        labelled = rng.random(len(drawn)) < probability[drawn]
        weight = labelled / probability[drawn]
        estimate = float((weight * right[drawn]).sum() / weight.sum())
        off = np.bincount(copies(drawn, groups), weights=weight * (right[drawn] - estimate))
        spread = float(np.sqrt((off**2).sum() * len(off) / (len(off) - 1)) / weight.sum())
        inside += abs(estimate - truth) <= 1.96 * spread
    return {"simulations": DRAWS, "inside": int(inside), "share_inside": round(inside / DRAWS, 4)}


def never_exceeded(schedules: int, seed: int) -> dict[str, int]:
    """Random schedules of calls with crashes and bills at or below their worst case: how often a limit was passed."""
    rng = random.Random(seed)
    exceeded = refused = made = 0
    with tempfile.TemporaryDirectory() as folder:
        limits = BudgetSettings(per_job_usd=0.1, per_job_calls=5, per_question_usd=0.06)
        ledger = Ledger(Path(folder) / "ledger.sqlite", limits)
        for schedule in range(schedules):
            open_calls: list[tuple[str, float]] = []
            paid, calls = 0.0, 0
            per_question = {"a": 0.0, "b": 0.0}
            for _ in range(rng.randint(1, 8)):
                worst, question = rng.random() * 0.05, rng.choice("ab")
                account = Account(f"{schedule}{question}", f"{schedule}", f"{schedule}", f"{schedule}")
                try:
                    reservation = ledger.reserve(account, "e", Spend(usd=worst, calls=1, tokens=1))
                except BudgetError:
                    refused += 1
                    continue
                bill = worst * rng.random()
                paid, calls, made = paid + bill, calls + 1, made + 1
                per_question[question] += bill
                open_calls.append((reservation, bill))
                if rng.random() < 0.5:  # the others crash, or settle later than the next call
                    at, cost = open_calls.pop(rng.randrange(len(open_calls)))
                    ledger.settle(at, Spend(usd=cost, calls=1, tokens=1))
            exceeded += paid > 0.1 + 1e-12 or calls > 5 or max(per_question.values()) > 0.06 + 1e-12
        ledger.close()
    return {"schedules": schedules, "calls_made": made, "calls_refused": refused, "exceeded": exceeded}
