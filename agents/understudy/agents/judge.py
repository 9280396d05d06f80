"""A first judge: one threshold on the log-probability of what the small model said, or pointed at."""

from __future__ import annotations

import math
from collections.abc import Mapping

from understudy.core.protocols import Judgement
from understudy.core.types import Draft, Evidence

__all__ = ["ThresholdJudge"]


class ThresholdJudge:
    """Accepts a verified draft whose mean token log-probability, plus the log of its support, reaches a threshold.

    Args:
        min_mean_logprob: natural logarithm, per token; `deferral.min_mean_logprob` in the settings.

    The confidence it gives is the geometric mean token probability times the score of the finding that was pointed
    at: a ranking, not yet a calibrated probability.
    """

    def __init__(self, min_mean_logprob: float) -> None:
        self.min_mean_logprob = min_mean_logprob

    def judge(self, draft: Draft, evidence: Evidence, signals: Mapping[str, float]) -> Judgement:
        """Accept or defer."""
        confidence = min(1.0, math.exp(draft.mean_logprob) * draft.support)
        if draft.problems:
            return Judgement(False, 0.0, f"not verified: {draft.problems[0]}")
        if confidence < math.exp(self.min_mean_logprob):
            return Judgement(False, confidence, f"confidence {confidence:.2f} is too low")
        return Judgement(True, confidence, f"confidence {confidence:.2f} is enough")
