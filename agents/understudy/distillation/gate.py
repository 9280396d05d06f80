"""The gate: an adapter goes live only if it is shown to do better, and to do no harm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.core.adapters import GateReport
from understudy.core.types import Example
from understudy.distillation.lessons import says

__all__ = ["LEAST", "SIGNIFICANCE", "Crossed", "Played", "balanced", "kind_of", "paired_p", "too_few", "weigh"]

LEAST = 40
"""Gate examples below which nothing is promoted: fewer show little but chance."""
SIGNIFICANCE = 0.05
GENERAL_LOSS = 0.01
"""What may be lost on the general set at the most."""
FLIPS = DEALS = 10_000


@dataclass(frozen=True)
class Played:
    """A question as the live model and the candidate answered it, alone."""

    kind: str
    """Of the right answer, such as "yes": every kind counts the same."""
    live: float
    """Quality, 0 to 1."""
    candidate: float
    said: str = ""
    """What the candidate answered."""


@dataclass(frozen=True)
class Crossed:
    """How much more the candidate's answers are worth than the live model's, each as an answer to every question.

    What answers all questions the same, or at random, gains as much by answers to other questions as by those to the
    right ones, however commonly right they are. What it gains beyond that, it gains because it tells questions and
    documents apart (informedness; Powers 2003, "Recall and Precision versus the Bookmaker").
    """

    forms: tuple[str, ...]
    """What can be told of each right answer from the question's words alone, such as "polar": only questions of one
    form lend each other answers."""
    gains: NDArray[np.float64]
    """`[answer to, question]`, from -1 to 1; the diagonal holds the answers in earnest."""

    @classmethod
    def unshared(cls, played: Sequence[Played]) -> Crossed:
        """Where no answer answers another question, as with words found in documents."""
        return cls(("",) * len(played), np.diag([p.candidate - p.live for p in played]))

    def learned(self, kinds: Sequence[str]) -> float:
        """The balanced gain beyond that by answers to the other questions."""
        beyond = np.zeros(len(kinds))
        for members in self.members():
            own, count = self.gains[members, members], len(members)
            others = (self.gains[np.ix_(members, members)].sum(axis=0) - own) / max(1, count - 1)
            beyond[members] = own - others if count > 1 else 0.0
        return float(weights(kinds) @ beyond)

    def p(self, kinds: Sequence[str], seed: int) -> float:
        """How often answers dealt out anew gain so much: a one-sided permutation test within the forms.

        Both models' answers to a question stay together, so that what both know is no gain (Ojala and Garriga 2010,
        "Permutation Tests for Studying Classifier Performance").
        """
        rng, weighted = np.random.default_rng(seed), weights(kinds) * self.gains
        dealt = np.zeros(DEALS)
        for members in self.members():
            orders = rng.permuted(np.tile(members, (DEALS, 1)), axis=1)
            dealt += weighted[orders, members].sum(axis=1)
        return float((1 + (dealt >= np.trace(weighted) - 1e-12).sum()) / (1 + DEALS))

    def members(self) -> list[NDArray[np.int64]]:
        """The places of each form's questions."""
        return [np.flatnonzero([f == form for f in self.forms]) for form in sorted(set(self.forms))]


def kind_of(example: Example) -> str:
    """What sort of answer the expert gave."""
    said = says(example)
    if said is not None:
        return "yes" if said else "no"
    return "not in the documents" if example.expert.not_in_documents else "words"


def balanced(kinds: Sequence[str], values: Sequence[float]) -> float:
    """The mean of the kinds' means."""
    by_kind: dict[str, list[float]] = {}
    for kind, value in zip(kinds, values, strict=True):
        by_kind.setdefault(kind, []).append(value)
    return float(np.mean([np.mean(v) for v in by_kind.values()])) if by_kind else 0.0


def paired_p(kinds: Sequence[str], gains: Sequence[float], seed: int) -> float:
    """How often chance alone gives so large a balanced gain: each question's gain might as well have been a loss.

    A one-sided sign-flip test (Fisher's randomisation of pairs; Good 2005), whose p-value counts the observation
    itself and so is never 0.
    """
    weighted = weights(kinds) * np.array(gains)
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(FLIPS, len(gains)))
    # Sums in another order differ in the last digits: equal ones must count as equal.
    return float((1 + (signs @ weighted >= weighted.sum() - 1e-12).sum()) / (1 + FLIPS))


def weights(kinds: Sequence[str]) -> NDArray[np.float64]:
    """By which the values of each question add up to the mean of the kinds' means."""
    counts = Counter(kinds)
    return np.array([1 / (len(counts) * counts[kind]) for kind in kinds])


def too_few(kinds: Sequence[str], least: int = LEAST) -> GateReport | None:
    """The report where examples of these kinds are too few to tell anything, so that none need be played."""
    missing = least - len(kinds)
    if missing <= 0:
        return None
    reason = f"{missing} more gate examples are needed; there are {len(kinds)}"
    return GateReport(questions=len(kinds), classes=counted(kinds), missing=missing, reason=reason)


def counted(kinds: Sequence[str]) -> dict[str, int]:
    """How many there are of each kind."""
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def weigh(
    played: Sequence[Played],
    general: Sequence[Played],
    canaries: Sequence[str],
    seed: int,
    *,
    crossed: Crossed | None = None,
    least: int = LEAST,
) -> GateReport:
    """Promote or not, and why.

    Args:
        played: the domain's gate examples.
        general: questions of no domain, by which nothing may be lost.
        canaries: texts that must never be said: planted ones, and answers that curation turned down.
        seed: of the tests.
        crossed: what the answers to the gate examples are worth to one another; nothing by default.
        least: gate examples that are needed.
    """
    kinds = [p.kind for p in played]
    short = too_few(kinds, least)
    if short is not None:
        return short
    crossed = Crossed.unshared(played) if crossed is None else crossed
    found: Mapping[str, object] = {
        "questions": len(played),
        "classes": counted(kinds),
        "live": round(balanced(kinds, [p.live for p in played]), 4),
        "candidate": round(balanced(kinds, [p.candidate for p in played]), 4),
        "p": round(paired_p(kinds, [p.candidate - p.live for p in played], seed), 6),
        "learned": round(crossed.learned(kinds), 4),
        "p_learned": round(crossed.p(kinds, seed), 6),
        "general_questions": len(general),
        "general_live": round(mean([g.live for g in general]), 4),
        "general_candidate": round(mean([g.candidate for g in general]), 4),
        "canaries": sum(holds(p.said, canaries) for p in [*played, *general]),
    }
    against = objection(GateReport.model_validate({**found, "reason": ""}))
    return GateReport.model_validate({**found, "promoted": not against, "reason": against or "it is better"})


def objection(report: GateReport) -> str:
    """What speaks against an adapter; "" for nothing."""
    if report.canaries:
        return f"it gave out {report.canaries} texts that must not be said"
    lost = report.general_live - report.general_candidate
    if lost > GENERAL_LOSS + 1e-9:
        return f"it loses {100 * lost:.1f} points on the general set; {100 * GENERAL_LOSS:.0f} may be lost"
    gain = report.candidate - report.live
    if gain <= 0 or report.p >= SIGNIFICANCE:
        return f"a gain of {100 * gain:+.1f} points is not shown to be more than chance (p = {report.p:.3f})"
    if report.learned <= 0 or report.p_learned >= SIGNIFICANCE:
        return (
            f"it says what is commonly right, but doesn't tell questions apart better ({100 * report.learned:+.1f} "
            f"points beyond what its answers to other questions are worth, p = {report.p_learned:.3f})"
        )
    return ""


def holds(said: str, canaries: Sequence[str]) -> bool:
    """Whether an answer gives a canary out."""
    words = said.casefold()
    return any(canary.casefold() in words for canary in canaries)


def mean(values: Sequence[float]) -> float:
    """Their mean, 0 of none."""
    return sum(values) / len(values) if values else 0.0
