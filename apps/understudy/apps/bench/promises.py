"""Whether the promise holds: calibration sets drawn again and again from outcomes that are taken as the population."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from understudy.agents.deferral.budget import Ledger
from understudy.agents.deferral.derive import GRID
from understudy.agents.deferral.promise import Label, promise
from understudy.apps.bench.curves import group_draws
from understudy.core.errors import BudgetError
from understudy.core.protocols import Account
from understudy.core.settings import BudgetSettings
from understudy.core.types import Spend

__all__ = ["estimate_coverage", "never_exceeded", "tried"]

Floats = NDArray[np.float64]
DRAWS = 300


def tried(
    confidence: Floats, loss: Floats, groups: Sequence[str], max_loss: float, level: float, seed: int
) -> dict[str, float | int]:
    """Thresholds derived from 300 draws of whole groups: how often their true loss exceeds the bound, and consults.

    Every draw of a group counts as a group of its own, as another document of its kind would.
    """
    exceeded, accepted = 0, []
    for drawn in group_draws(groups, DRAWS, seed):
        copies = np.cumsum(np.concatenate([[0], (np.diff(drawn) <= 0).astype(int)]))
        labels = [
            Label(float(confidence[at]), float(loss[at]), group=f"{groups[at]}#{copy}")
            for at, copy in zip(drawn, copies, strict=True)
        ]
        threshold = promise(labels, GRID, max_loss=max_loss, confidence=level).threshold
        taken = confidence >= (2.0 if threshold is None else threshold)
        exceeded += bool((loss * taken).mean() > max_loss)
        accepted.append(float(taken.mean()))
    return {
        "draws": DRAWS,
        "exceeded": exceeded,
        "consults_saved_mean": round(float(np.mean(accepted)), 4),
        "draws_that_save_something": int(np.sum(np.array(accepted) > 0)),
    }


def estimate_coverage(confidence: Floats, right: Floats, seed: int, audit_rate: float = 0.1) -> dict[str, float | int]:
    """How often the accuracy of all drafts lies in the 95% interval that deferred and audited labels alone give.

    Half of the drafts (those of most confidence) are accepted; of them `audit_rate` are labelled. The estimate weights
    by inverse probability (Horvitz and Thompson 1952), with a normal interval over the sample.
    """
    rng = np.random.default_rng(seed)
    accepted = confidence >= np.median(confidence)
    probability = np.where(accepted, audit_rate, 1.0)
    truth, inside, count = float(right.mean()), 0, len(right)
    for _ in range(DRAWS):
        drawn = rng.integers(0, count, count)
        labelled = rng.random(count) < probability[drawn]
        weight = labelled / probability[drawn]
        estimate = float((weight * right[drawn]).sum() / weight.sum())
        spread = float(np.sqrt((weight**2 * (right[drawn] - estimate) ** 2).sum()) / weight.sum())
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
