"""How passages are ranked: by their words (BM25), by their vectors, and by both ranks fused."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any, Literal

import bm25s
import numpy as np
from numpy.typing import NDArray

from understudy.core.types import Passage

__all__ = ["CANDIDATES", "Mode", "bm25_index", "body", "fuse", "nearest", "rank"]

logging.getLogger("bm25s").setLevel(logging.WARNING)  # it turns its own debug messages on

Mode = Literal["fused", "dense", "lexical"]
CANDIDATES = 50
FUSION = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009)."""
WORD = re.compile(r"\w+", re.UNICODE)
STOPWORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "for",
        "from",
        "in",
        "is",
        "it",
        "of",
        "on",
        "or",
        "that",
        "the",
        "this",
        "to",
        "was",
        "were",
        "with",
    ]
)


def words(text: str) -> list[str]:
    """Tokens of BM25: folded words, without the commonest and without a plural s."""
    found = (w.casefold() for w in WORD.findall(text))
    return [
        w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in found if w not in STOPWORDS
    ]


def body(passage: Passage) -> str:
    """What of a passage is searched: its title, its context and its text."""
    return f"{passage.title}\n{passage.context}\n{passage.text}"


def nearest(vector: Sequence[float], keys: Sequence[int], vectors: NDArray[np.float32]) -> list[tuple[int, float]]:
    """Keys and cosine similarities of a document's passages, best first."""
    if not keys:
        return []
    scores = vectors @ np.array(vector, dtype=np.float32)
    return [(keys[i], float(scores[i])) for i in np.argsort(-scores)[:CANDIDATES]]


def bm25_index(texts: list[str]) -> Any:
    """A BM25 index of some texts."""
    index = bm25s.BM25()
    index.index([words(t) or ["\0"] for t in texts], show_progress=False)
    return index


def rank(index: Any, keys: list[int], query: str) -> list[int]:
    """Keys by BM25 score, best first, those without a common word left out."""
    tokens = [w for w in words(query) if w in index.vocab_dict]
    if not tokens or not keys:
        return []
    scores = index.get_scores(tokens)
    order = np.argsort(-scores, kind="stable")[:CANDIDATES]
    return [keys[i] for i in order if scores[i] > 0]


def fuse(dense: list[int], lexical: list[int], mode: Mode) -> list[int]:
    """Reciprocal rank fusion of two rankings, or one of them."""
    if mode == "dense":
        return dense
    if mode == "lexical":
        return lexical
    scores: dict[int, float] = {}
    for ranking in (dense, lexical):
        for place, key in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + 1 / (FUSION + place)
    return sorted(scores, key=lambda k: -scores[k])
