"""Whether promise, estimate and budget hold: tried again and again on outcomes that are taken as the population."""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.agents.deferral.budget import Ledger
from understudy.agents.deferral.promise import Sample, lowest
from understudy.agents.deferral.reliability import weighted_mean
from understudy.apps.bench.curves import group_draws
from understudy.core.errors import BudgetError
from understudy.core.protocols import Account
from understudy.core.settings import BudgetSettings
from understudy.core.usage import Spend

__all__ = ["estimate_coverage", "never_exceeded", "possible", "tried"]

Floats = NDArray[np.float64]
DRAWS = 300
LIMITS = BudgetSettings(per_job_usd=0.1, per_job_calls=5, per_question_usd=0.06)
AUDITED = 0.25
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
                samples = (sampled(score[drawn], loss[drawn], group) for drawn, group in draws)
                exceeded, saves = kept(samples, score, thresholds, loss, max_loss, level)
                row |= {
                    f"{name}_exceeded_of_{DRAWS}": exceeded,
                    f"{name}_saves": saves,
                    f"{name}_could_save": possible(score, loss, max_loss),
                }
            score, thresholds = strategies["ours"]
            rows.append(row | audited(score, thresholds, loss, max_loss, level, seed))
    return rows


def audited(
    score: Floats, thresholds: Sequence[float], loss: Floats, max_loss: float, level: float, seed: int
) -> dict[str, Any]:
    """The same as in use later on: single questions come, and of the surer half a quarter are labelled."""
    rng = np.random.default_rng(seed)
    probability = np.where(score >= np.median(score[score >= 0]), AUDITED, 1.0)

    def draw() -> Sample:
        drawn = rng.integers(0, len(score), len(score))
        labelled = rng.random(len(drawn)) < probability[drawn]
        return Sample(
            confidence=score[drawn], loss=loss[drawn] * labelled / probability[drawn], probability=probability[drawn],
            most=np.full(len(drawn), 1 / AUDITED), group=np.arange(len(drawn)), binary=False,
        )  # fmt: skip

    exceeded, saves = kept((draw() for _ in range(DRAWS)), score, thresholds, loss, max_loss, level)
    return {f"audited_exceeded_of_{DRAWS}": exceeded, "audited_saves": saves}


def kept(
    samples: Iterable[Sample], score: Floats, thresholds: Sequence[float], loss: Floats, max_loss: float, level: float
) -> tuple[int, float]:
    """How often the threshold of a sample loses more on the whole population than was promised, and its mean saving."""
    exceeded, accepted = 0, []
    for sample in samples:
        threshold = lowest(sample, thresholds, max_loss=max_loss, confidence=level)
        taken = score >= (np.inf if threshold is None else threshold)
        exceeded += bool((loss * taken).mean() > max_loss)
        accepted.append(float(taken.mean()))
    return exceeded, round(float(np.mean(accepted)), 4)


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

    Half of the drafts (those of most confidence) are accepted; of them `audit_rate` are labelled. The estimate is that
    of `understudy calibrate`, over whole documents here.
    """
    rng = np.random.default_rng(seed)
    accepted = confidence >= np.median(confidence)
    probability = np.where(accepted, audit_rate, 1.0)
    truth, inside = float(right.mean()), 0
    for drawn in group_draws(groups, DRAWS, seed):
        at = np.flatnonzero(rng.random(len(drawn)) < probability[drawn])
        found = weighted_mean(right[drawn[at]], 1 / probability[drawn[at]], copies(drawn, groups)[at])
        inside += found.low <= truth <= found.high
    return {"simulations": DRAWS, "inside": int(inside), "share_inside": round(inside / DRAWS, 4)}


def never_exceeded(schedules: int, seed: int) -> dict[str, int]:
    """Random schedules of two callers at once, with crashes and wrong estimates: how often a limit was passed.

    A bill may be above the worst case that was reserved, which no ledger can foresee: dollars may pass a limit by no
    more than these excesses, calls never.
    """
    rng = random.Random(seed)
    exceeded = refused = made = 0
    with tempfile.TemporaryDirectory() as folder:
        ledgers = [Ledger(Path(folder) / "ledger.sqlite", LIMITS) for _ in range(2)]
        for schedule in range(schedules):
            callers = [Caller(ledger, f"{schedule}", random.Random(rng.random())) for ledger in ledgers]
            threads = [threading.Thread(target=caller.run) for caller in callers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            refused += sum(caller.refused for caller in callers)
            bills = [bill for caller in callers for bill in caller.bills]
            made += len(bills)
            exceeded += passed(bills)
        for ledger in ledgers:
            ledger.close()
    return {"schedules": schedules, "calls_made": made, "calls_refused": refused, "exceeded": exceeded}


class Caller:
    """Makes up to eight calls; half of them are settled at once, the others after a later one, or never.

    Args:
        ledger: a connection of its own.
        job: whose budget it shares with the other caller.
        rng: decides everything.
    """

    def __init__(self, ledger: Ledger, job: str, rng: random.Random) -> None:
        self._ledger = ledger
        self._job = job
        self._rng = rng
        self.refused = 0
        self.bills: list[tuple[str, float, float]] = []
        """Question, worst case, and what it did cost."""

    def run(self) -> None:
        """One schedule."""
        opened: list[tuple[str, float]] = []
        for _ in range(self._rng.randint(1, 8)):
            worst, question = self._rng.random() * 0.05, self._rng.choice("ab")
            account = Account(f"{self._job}{question}", self._job, self._job, self._job)
            try:
                reservation = self._ledger.reserve(account, "e", Spend(usd=worst, calls=1, tokens=1))
            except BudgetError:
                self.refused += 1
                continue
            bill = worst * (1 + self._rng.random() if self._rng.random() < 0.1 else self._rng.random())
            self.bills.append((question, worst, bill))
            opened.append((reservation, bill))
            if self._rng.random() < 0.5:
                at, cost = opened.pop(self._rng.randrange(len(opened)))
                self._ledger.settle(at, Spend(usd=cost, calls=1, tokens=1))


def passed(bills: Sequence[tuple[str, float, float]]) -> bool:
    """Whether a schedule passed a limit, what nobody could foresee apart."""

    def over(some: Sequence[tuple[str, float, float]], most: float | None) -> bool:
        excess = sum(max(0.0, bill - worst) for _, worst, bill in some)
        return sum(bill for _, _, bill in some) > (most or 0.0) + excess + 1e-9

    by_question = [[b for b in bills if b[0] == question] for question in "ab"]
    return (
        len(bills) > (LIMITS.per_job_calls or 0)
        or over(bills, LIMITS.per_job_usd)
        or any(over(some, LIMITS.per_question_usd) for some in by_question)
    )
