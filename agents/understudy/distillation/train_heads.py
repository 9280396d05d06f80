"""Trains heads: for every question that an expert has answered, what the quoted passages have in common."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.core.types import Example, Passage, Scope
from understudy.distillation.lessons import quote_in, says
from understudy.retrieval.heads import FOLDS, Head, Heads, fold_of, key_of

__all__ = ["train_heads"]

Floats = NDArray[np.float32]
Library = Callable[[Scope], tuple[Sequence[Passage], Floats]]
"""The passages of a document with their vectors `[passages, dimensions]`."""
OTHERS = 20
"""Passages that don't answer and are learned from: so many that are nearest to the question, and so many by chance."""
LEAST_OF_A_CLASS = 8


@dataclass(frozen=True)
class Seen:
    """An answered question of one document."""

    key: str
    document: str
    found: bool
    vectors: Floats
    """Of the whole document."""
    quoted: Floats
    others: Floats


def train_heads(
    examples: Sequence[Example], library: Library, embed: Callable[[str], Sequence[float]], seed: int
) -> Heads | None:
    """The heads that some examples teach; `None` where they are too few to tell a document that answers from others.

    Args:
        examples: verified ones; only those that were asked of one document count.
        library: where the documents are now.
        embed: the vector of a question.
        seed: of the passages that are learned from by chance.
    """
    rng = random.Random(seed)
    seen = [s for e in examples if e.scope.document is not None for s in [seen_of(e, library, embed, rng)] if s]
    by_question: dict[str, list[Seen]] = defaultdict(list)
    for case in seen:
        by_question[case.key].append(case)
    heads = {
        (key, fold): head_of([c for c in cases if fold_of(c.document) != fold])
        for key, cases in by_question.items()
        for fold in range(FOLDS)
    }
    known = {name: head for name, head in heads.items() if head.asked}
    rows, found = [], []
    for case in seen:
        head = known.get((case.key, fold_of(case.document)))
        if head is not None:
            rows.append(head.features(head.logits(case.vectors)))
            found.append(case.found)
    if min(sum(found), len(found) - sum(found)) < LEAST_OF_A_CLASS:
        return None
    return Heads(known, document_weights(rows, found))


def seen_of(
    example: Example, library: Library, embed: Callable[[str], Sequence[float]], rng: random.Random
) -> Seen | None:
    """What an example shows; `None` where nothing is left of its document."""
    passages, vectors = library(example.scope)
    if not len(passages):
        return None
    said = says(example)
    found = not example.expert.not_in_documents if said is None else said
    quoted = [n for n, p in enumerate(passages) if found and quote_in(example.expert, p) is not None]
    near = vectors @ np.array(embed(example.question), dtype=np.float32)
    rest = [int(n) for n in np.argsort(-near) if int(n) not in set(quoted)]
    chosen = rest[:OTHERS] + rng.sample(rest[OTHERS:], min(OTHERS, len(rest[OTHERS:])))
    document = example.scope.document or ""
    return Seen(key_of(example.question), document, found, vectors, vectors[quoted], vectors[chosen])


def head_of(cases: Sequence[Seen]) -> Head:
    """One head, by logistic regression with both classes of passages balanced."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    width = cases[0].vectors.shape[1] + 1 if cases else 1
    quoted = sum(len(c.quoted) for c in cases)
    found, asked = sum(c.found for c in cases), len(cases)
    others = sum(len(c.others) for c in cases)
    if not quoted or not others:
        return Head(np.zeros(width, dtype=np.float32), 0, found, asked)
    rows = np.concatenate([part for c in cases for part in (c.quoted, c.others)])
    truth = np.concatenate([part for c in cases for part in (np.ones(len(c.quoted)), np.zeros(len(c.others)))])
    model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=500).fit(rows, truth)
    return Head(np.array([*model.coef_[0], model.intercept_[0]], dtype=np.float32), quoted, found, asked)


def document_weights(rows: Sequence[Sequence[float]], found: Sequence[bool]) -> Floats:
    """A logistic regression on the features of documents, the intercept last."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, max_iter=2000).fit(np.array(rows), np.array(found))
    return np.array([*model.coef_[0], model.intercept_[0]], dtype=np.float32)
