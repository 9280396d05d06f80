"""Yes or no: whether a document holds what is asked for, told by what a reader makes of it and what was expected.

Only an adapter has one, learned from experts' answers: the shipped reader finds spans, and says neither yes nor no.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from understudy.core.errors import ModelFileError

__all__ = ["NO", "VERDICT", "YES", "Verdict", "evidence_of", "polar", "polarity"]

VERDICT = "verdict"
"""Name of the tensor `[4]` in an adapter's file."""
YES, NO = "Yes", "No"
POLAR = re.compile(
    r"(?:is|are|am|was|were|does|do|did|has|have|had|can|could|may|might|must|shall|should|will|would)\b", re.IGNORECASE
)
SAID = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
NEAREST = 3


def polar(question: str) -> bool:
    """Whether a question asks for yes or no: it begins with a verb that can begin nothing else."""
    return POLAR.match(question.strip()) is not None


def polarity(text: str) -> bool | None:
    """Whether an answer says yes or no; `None` where it says neither."""
    said = SAID.match(text)
    return None if said is None else said[1].lower() == "yes"


def evidence_of(logits: Sequence[float], expected: float | None) -> list[float]:
    """What a verdict goes by.

    The answerability logit of the likeliest passage, the mean of the three likeliest, and the log odds that were
    expected: even ones where nothing was.
    """
    highest = sorted(logits, reverse=True)[:NEAREST]
    p = min(max(0.5 if expected is None else expected, 1e-4), 1 - 1e-4)
    return [highest[0], sum(highest) / len(highest), math.log(p / (1 - p))]


@dataclass(frozen=True)
class Verdict:
    """A logistic regression on `evidence_of` the passages."""

    weights: NDArray[np.float32]

    @classmethod
    def load(cls, path: Path) -> Verdict | None:
        """The one in a reader's file, if there is one. Raises `ModelFileError`."""
        weights = load_file(path).get(VERDICT)
        if weights is None:
            return None
        if weights.shape != (4,):
            raise ModelFileError(f"{path} holds a verdict of another version; train the adapter anew")
        return cls(weights.astype(np.float32))

    def of(self, logits: Sequence[float], expected: float | None = None) -> float:
        """The probability of yes, by the answerability logits of the passages and what was expected."""
        logit = float(self.weights @ np.array([*evidence_of(logits, expected), 1.0], dtype=np.float32))
        return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))
