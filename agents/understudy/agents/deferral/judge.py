"""Accept a draft, defer it, or accept it and have it compared with an expert's answer all the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from understudy.agents.deferral.calibration import COLLECTION
from understudy.agents.deferral.derive import Derivation, uncalibrated
from understudy.agents.deferral.outcomes import Peers, role_of
from understudy.agents.deferral.signals import DISTANCE, Nearest, signals_of, track_record
from understudy.core.protocols import Judgement
from understudy.core.settings import DeferralSettings
from understudy.core.types import Draft, Evidence, Scope

__all__ = ["DeferralJudge", "audit_probability"]

WARM_UP = 100
"""After so many labels half of the accepted drafts are still compared; the share decays from there."""


def audit_probability(settings: DeferralSettings, labels: int) -> float:
    """With which an accepted draft is compared with an expert's answer: much at first, `audit_rate` in the end."""
    if settings.audit_rate == 0 or settings.min_confidence is not None:
        return settings.audit_rate
    return max(settings.audit_rate, WARM_UP / (WARM_UP + labels))


def no_peers(_question: str, _scope: Scope, _text: str) -> Peers:
    """Nothing was asked before."""
    return Peers(0, 0.0, 0, 0.0)


class DeferralJudge:
    """A `Judge` by the threshold in force.

    Args:
        settings: a fixed threshold instead, and how many accepted drafts are compared.
        derivation: the one in force.
        labelled: whether drafts of a collection may be compared with an expert's answers.
        nearest: distance to the questions that were answered by an expert.
        draw: a uniform number between 0 and 1.
        peers: how drafts did on the same question of other documents, and saying the same.
    """

    def __init__(
        self,
        settings: DeferralSettings,
        derivation: Derivation,
        labelled: Callable[[str], bool],
        nearest: Nearest,
        draw: Callable[[], float] = random.random,
        peers: Callable[[str, Scope, str], Peers] = no_peers,
    ) -> None:
        self._settings = settings
        self._derivation = derivation
        self._labelled = labelled
        self._nearest = nearest
        self._peers = peers
        self._draw = draw

    def judge(
        self, question: str, scope: Scope, draft: Draft, evidence: Evidence, signals: Mapping[str, float]
    ) -> Judgement:
        """Accept or defer; a draft with problems is never accepted."""
        if draft.problems:
            return Judgement(False, 0.0, f"not verified: {draft.problems[0]}", dict(signals))
        found = signals_of(question, draft, evidence, signals) | {f"{COLLECTION}{scope.collection}": 1.0}
        found |= track_record(self._peers(question, scope, draft.text))
        blind = role_of(question, scope) == "calibrate"
        distance = self._nearest.distance(question, scope)
        if distance is not None:
            found[DISTANCE] = distance
        calibrator = self._derivation.calibrator
        confidence = uncalibrated(found) if calibrator is None else calibrator.probability(found)
        threshold = self.threshold
        if threshold is None:
            why = f"; {self.missing()}" if self._labelled(scope.collection) else ""
            return Judgement(False, confidence, f"confidence {confidence:.2f}{why}", found, blind=blind)
        if not confidence >= threshold:  # what is no number is not enough
            return Judgement(False, confidence, f"confidence {confidence:.2f} is too low", found, blind=blind)
        rate = self.in_force(scope.collection)
        audit = self._draw() < rate
        reason = f"confidence {confidence:.2f} is enough" + ("; drawn to be compared with an expert" if audit else "")
        return Judgement(True, confidence, reason, found, rate, audit, blind=audit)

    def in_force(self, collection: str) -> float:
        """With which a draft that is accepted now is compared; while nothing is accepted, every draft is."""
        if self.threshold is None:
            return 1.0
        return audit_probability(self._settings, self._derivation.labels) if self._labelled(collection) else 0.0

    @property
    def threshold(self) -> float | None:
        """Drafts of at least this confidence are accepted; none is, without one."""
        fixed = self._settings.min_confidence
        return self._derivation.threshold if fixed is None else fixed

    def missing(self) -> str:
        """Why nothing is accepted."""
        if self._derivation.missing:
            return f"nothing is promised yet: {self._derivation.missing} more labels are needed at the least"
        loss, labels = self._derivation.max_quality_loss, self._derivation.labels
        return f"no threshold keeps the loss under {loss:g}, on {labels} labels"
