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

__all__ = ["LEAST", "SIGNIFICANCE", "Played", "balanced", "kind_of", "paired_p", "too_few", "weigh"]

LEAST = 40
"""Gate examples below which nothing is promoted: fewer show little but chance."""
SIGNIFICANCE = 0.05
GENERAL_LOSS = 0.01
"""What may be lost on the general set at the most."""
FLIPS = 10_000
SAYINGS = ("yes", "no", "not in the documents")
"""Kinds of answers that can be given without reading."""


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
    form: str = ""
    """What can be told of the right answer from the question's words alone, such as "polar"."""


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


def unlearned(played: Sequence[Played]) -> list[float]:
    """How well each question would be answered without learning anything about documents.

    In each form of question the live model, or one and the same answer always, whichever does best on these very
    questions: a candidate that merely learned which answer is commonest must not pass for a better one.
    """
    counts = Counter(p.kind for p in played)
    best: dict[str, list[float]] = {}
    for form in {p.form for p in played}:
        members = [p for p in played if p.form == form]
        rules = [[float(p.kind == said) for p in members] for said in SAYINGS]
        ways = [[p.live for p in members], *rules]
        best[form] = max(ways, key=lambda way: sum(v / counts[p.kind] for v, p in zip(way, members, strict=True)))
    values = {form: iter(way) for form, way in best.items()}
    return [next(values[p.form]) for p in played]


def paired_p(kinds: Sequence[str], gains: Sequence[float], seed: int) -> float:
    """How often chance alone gives so large a balanced gain: each question's gain might as well have been a loss.

    A one-sided sign-flip test (Fisher's randomisation of pairs; Good 2005), whose p-value counts the observation
    itself and so is never 0.
    """
    weights = np.zeros(len(gains))
    for kind in set(kinds):
        members = np.array([k == kind for k in kinds])
        weights[members] = 1 / members.sum()
    weighted: NDArray[np.float64] = weights * np.array(gains)
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(FLIPS, len(gains)))
    # Sums in another order differ in the last digits: equal ones must count as equal.
    return float((1 + (signs @ weighted >= weighted.sum() - 1e-12).sum()) / (1 + FLIPS))


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
    played: Sequence[Played], general: Sequence[Played], canaries: Sequence[str], seed: int, least: int = LEAST
) -> GateReport:
    """Promote or not, and why.

    Args:
        played: the domain's gate examples.
        general: questions of no domain, by which nothing may be lost.
        canaries: texts that must never be said: planted ones, and answers that curation turned down.
        seed: of the test.
        least: gate examples that are needed.
    """
    kinds = [p.kind for p in played]
    short = too_few(kinds, least)
    if short is not None:
        return short
    rule = unlearned(played)
    found: Mapping[str, object] = {
        "questions": len(played),
        "classes": counted(kinds),
        "live": round(balanced(kinds, [p.live for p in played]), 4),
        "candidate": round(balanced(kinds, [p.candidate for p in played]), 4),
        "p": round(paired_p(kinds, [p.candidate - p.live for p in played], seed), 6),
        "unlearned": round(balanced(kinds, rule), 4),
        "p_unlearned": round(paired_p(kinds, [p.candidate - r for p, r in zip(played, rule, strict=True)], seed), 6),
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
    over = report.candidate - report.unlearned
    if over <= 0 or report.p_unlearned >= SIGNIFICANCE:
        return (
            f"{100 * over:+.1f} points against always giving the commonest answer "
            f"are not shown to be more than chance (p = {report.p_unlearned:.3f})"
        )
    return ""


def holds(said: str, canaries: Sequence[str]) -> bool:
    """Whether an answer gives a canary out."""
    words = said.casefold()
    return any(canary.casefold() in words for canary in canaries)


def mean(values: Sequence[float]) -> float:
    """Their mean, 0 of none."""
    return sum(values) / len(values) if values else 0.0
