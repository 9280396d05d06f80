"""How likely a span is the right answer, and a passage answers at all: a logistic regression on a few signals.

The reader's raw scores are too sure of themselves (it has seen its training passages many times), and know nothing of
question words that a passage lacks. The weights are fitted on articles the reader never saw, by `starter train reader`,
and lie beside the reader's own (Platt 1999).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from understudy.core.errors import ModelFileError

__all__ = ["CALIBRATION", "SIGNALS", "Confidence", "missing_share", "stop_ids"]

CALIBRATION = "calibration"
"""Name of the tensor `[2, signals + 1]` in the reader's file: for a right span, and for a passage that answers."""
SIGNALS = ("span over no answer", "answerable", "span over other spans", "words missing")
STOP_WORDS = (
    "a an the of in on at by for to from with and or as is was were are be been has have had do does did what which "
    "who whom whose when where why how many much that this it its their his her there than not no into about ? . , ' "
    "s"
)


@dataclass(frozen=True)
class Confidence:
    """The fitted weights."""

    weights: NDArray[np.float32]

    @classmethod
    def load(cls, path: Path) -> Confidence:
        """The weights in a reader's file. Raises `ModelFileError`."""
        weights = load_file(path).get(CALIBRATION)
        if weights is None or weights.shape != (2, len(SIGNALS) + 1):
            raise ModelFileError(f"{path} is no calibrated reader of this version; train it by `starter train reader`")
        return cls(weights.astype(np.float32))

    def of(self, signals: Sequence[float]) -> tuple[float, float]:
        """The probability that a span is right, and that its passage answers."""
        logits = self.weights @ np.array([*signals, 1.0], dtype=np.float32)
        right, answers = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        return float(right), float(answers)


def stop_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Token ids of words that a passage may lack without answering less."""
    return frozenset(tokenizer.encode(STOP_WORDS, add_special_tokens=False).ids)


def missing_share(question: Sequence[int], passage: Sequence[int], stop: frozenset[int]) -> float:
    """Share of the question's tokens, little words apart, that a passage doesn't have."""
    asked = set(question) - stop
    return len(asked - set(passage)) / len(asked) if asked else 0.0
