"""Heads: what experts' quotes have taught about questions that recur, one linear classifier a question.

A head scores every passage of a document by its vector, so it sees all of it, where a search brings a few passages and
a reader takes a second for those. It needs some dozen answers of its question and trains in milliseconds: a linear
probe (Alain and Bengio 2016, arXiv 1610.01644) on the sentence encoder.

Heads are cross-fitted (Chernozhukov et al. 2018, arXiv 1608.00060): documents fall into five folds, and a document is
scored by heads that no answer about a document of its fold has shaped. So answers of every role may teach them, and
what they say of a document that was asked about before is worth as much as of a new one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from understudy.core.errors import ModelFileError
from understudy.core.protocols import folded

__all__ = ["FOLDS", "Head", "Heads", "fold_of", "key_of"]

Floats = NDArray[np.float32]
FOLDS = 5
NEAREST = 3
UNKNOWN = -2.0
"""Log odds of a passage where no quote was seen yet: below what most passages get from a head."""
PRIOR = (1.0, 3.0)
"""Answers found, and asked for, that are added to those that were seen: most of what is asked for isn't there."""


def fold_of(document: str) -> int:
    """The fold of a document, for good."""
    return hashlib.sha256(f"fold {document}".encode()).digest()[0] % FOLDS


def key_of(question: str) -> str:
    """What stands for a question's words, which are not kept."""
    return hashlib.sha256(folded(question).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Head:
    """A question's classifier, and what it was made from.

    Args:
        weights: `[dimensions + 1]`, the intercept last; all zero without quotes.
        quoted: passages that hold a quote.
        found: documents that answer the question.
        asked: documents that it was asked of.
    """

    weights: Floats
    quoted: int
    found: int
    asked: int

    def logits(self, vectors: Floats) -> Floats:
        """Log odds of passages `[passages, dimensions]` that they hold what is asked for (classes balanced)."""
        if not self.quoted:
            return np.full(len(vectors), UNKNOWN, dtype=np.float32)
        return np.asarray(vectors @ self.weights[:-1] + self.weights[-1], dtype=np.float32)

    def features(self, logits: Floats) -> list[float]:
        """What tells whether a document answers: its likeliest passages, its length, and how often others do."""
        highest = np.sort(logits)[::-1][:NEAREST]
        prior = (self.found + PRIOR[0]) / (self.asked + PRIOR[1])
        odds = math.log(prior / (1 - prior))
        return [float(highest[0]), float(highest.mean()), math.log(len(logits)), odds, math.log1p(self.quoted)]


@dataclass(frozen=True)
class Heads:
    """The heads of a domain.

    Args:
        by_question: by `key_of` the question and fold of the document that is asked about.
        weights: of a logistic regression on a head's features, the intercept last: does the document answer?
    """

    by_question: Mapping[tuple[str, int], Head]
    weights: Floats

    def of(self, question: str, document: str) -> Head | None:
        """The head that a document is scored by."""
        return self.by_question.get((key_of(question), fold_of(document)))

    def probability(self, head: Head, logits: Floats) -> float:
        """That a document with such passages answers the question."""
        value = float(np.array([*head.features(logits), 1.0]) @ self.weights)
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, value))))

    def save(self, path: Path) -> None:
        """Write them to a file, all or nothing."""
        names = list(self.by_question)
        heads = [self.by_question[name] for name in names]
        made = [[*name, head.quoted, head.found, head.asked] for name, head in zip(names, heads, strict=True)]
        tensors = {"heads": np.array([head.weights for head in heads], dtype=np.float32), "document": self.weights}
        partial = path.with_suffix(".tmp")
        save_file(tensors, partial, {"heads": json.dumps(made)})
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Heads:
        """Those of a file. Raises `ModelFileError`."""
        try:
            with safe_open(path, "numpy") as file:
                made = json.loads(file.metadata()["heads"])
                rows, weights = file.get_tensor("heads"), file.get_tensor("document")
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"{path} holds no heads that can be read: {error}; refine anew") from error
        named = {(str(key), int(fold)): counts for key, fold, *counts in made}
        heads = (Head(row, *counts) for row, counts in zip(rows, named.values(), strict=True))
        return cls(dict(zip(named, heads, strict=True)), weights)
