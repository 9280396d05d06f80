"""Hybrid ranking: dense (Chroma) and lexical (BM25) ranks, fused by reciprocal rank."""

from __future__ import annotations

import copy
import difflib
import hashlib
import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import bm25s
import numpy as np
from numpy.typing import NDArray

from understudy.core.errors import ScopeError
from understudy.core.types import Passage, Scope
from understudy.core.workspace import Workspace
from understudy.retrieval.embed import MiniLM
from understudy.retrieval.heads import Heads
from understudy.retrieval.readable import Documents, no_documents

__all__ = ["HybridRetriever", "Mode"]

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


class HybridRetriever:
    """Passages of a collection, or of one of its documents, for a query."""

    def __init__(self, workspace: Workspace, store: Documents, encoder: MiniLM) -> None:
        self._folder = workspace.index / "bm25"
        self._store = store
        self._encoder = encoder
        self._lexical: dict[str, tuple[int, Any, list[int]]] = {}
        self._heads: Heads | None = None

    def taught(self, heads: Heads | None) -> HybridRetriever:
        """The same, with what was learned of questions that recur."""
        other = copy.copy(self)
        other._heads = heads
        return other

    def over(self, documents: Documents) -> HybridRetriever:
        """The same, of these documents alone: such as those that who asks may read."""
        other = copy.copy(self)
        other._store = documents
        return other

    def search(self, query: str, scope: Scope, *, limit: int = 5, mode: Mode = "fused") -> list[Passage]:
        """The best passages first; `score` is the cosine similarity to the query, clipped to 0 to 1."""
        self.check(scope)
        vector = self._encoder.embed_query(query)
        if scope.document is None:
            dense = self._store.nearest(scope.collection, vector, CANDIDATES)
            lexical = self._collection_ranking(query, scope.collection)
        else:
            pool = self._store.passages(scope.collection, scope.document)
            dense = self._document_dense(vector, scope.collection, list(pool))
            lexical = rank(bm25_index([body(p) for p in pool.values()]), list(pool), query)
        known = self._known(query, scope) if mode == "fused" else []
        chosen = list(dict.fromkeys([*known[: limit // 2], *fuse([k for k, _ in dense], lexical, mode)]))[:limit]
        return self._filled(chosen, dense, lexical, vector, scope.collection)

    def expect(self, question: str, scope: Scope) -> float | None:
        """The probability that a document answers a question; `None` where no expert was asked it of another one."""
        head = self._heads.of(question, scope.document) if self._heads and scope.document else None
        if self._heads is None or head is None:
            return None
        _, vectors = self.document(scope)
        return self._heads.probability(head, head.logits(vectors)) if len(vectors) else None

    def embed(self, text: str) -> list[float]:
        """The vector of a text."""
        return self._encoder.embed_query(text)

    def document(self, scope: Scope) -> tuple[list[Passage], NDArray[np.float32]]:
        """The passages of a document in their order, with their vectors `[passages, 384]`."""
        pool = self._store.passages(scope.collection, scope.document)
        return list(pool.values()), self._store.vectors_of(scope.collection, list(pool))

    def _known(self, query: str, scope: Scope) -> list[int]:
        """Keys of the passages that most resemble what experts quoted to the same question, best first."""
        head = self._heads.of(query, scope.document) if self._heads and scope.document else None
        if head is None or not head.quoted:
            return []
        keys = list(self._store.passages(scope.collection, scope.document))
        return [keys[n] for n in np.argsort(-head.logits(self._store.vectors_of(scope.collection, keys)))]

    def check(self, scope: Scope) -> None:
        """Raise unless the scope holds documents."""
        ids = [i for i, _, _ in self._store.entries(scope.collection)]
        if not ids:
            raise no_documents(scope.collection, self._store.listing())
        if scope.document is not None and scope.document not in ids:
            near = difflib.get_close_matches(scope.document, ids, n=1, cutoff=0.0)
            raise ScopeError(
                f"no document {scope.document!r} in collection {scope.collection!r}; nearest is {near[0]!r}"
            )

    def versions(self, scope: Scope) -> str:
        """A digest of the ids and versions in scope."""
        held = self._versions_by_id(scope)
        return hashlib.sha256("\n".join(f"{i}\t{v}" for i, v in held.items()).encode()).hexdigest()

    def unchanged(self, scope: Scope, read: Mapping[str, str]) -> bool:
        """Whether some documents (version by id) are in scope still, in these versions."""
        held = self._versions_by_id(scope)
        return all(held.get(document) == version for document, version in read.items())

    def _versions_by_id(self, scope: Scope) -> dict[str, str]:
        return {i: v for i, v, _ in self._store.entries(scope.collection) if scope.document in (None, i)}

    def forget(self, collection: str) -> None:
        """Delete what is kept of a collection's words; the next question makes it anew."""
        self._lexical.pop(collection, None)
        shutil.rmtree(self._place(collection), ignore_errors=True)

    def _place(self, collection: str) -> Path:
        return self._folder / hashlib.sha256(collection.encode()).hexdigest()[:24]

    def _document_dense(self, vector: list[float], collection: str, keys: list[int]) -> list[tuple[int, float]]:
        if not keys:
            return []
        scores = self._store.vectors_of(collection, keys) @ np.array(vector, dtype=np.float32)
        order = np.argsort(-scores)[:CANDIDATES]
        return [(keys[i], float(scores[i])) for i in order]

    def _collection_ranking(self, query: str, collection: str) -> list[int]:
        revision = self._store.revision(collection)
        if revision < 0:
            return []
        held = self._lexical.get(collection)
        if held is None or held[0] != revision:
            held = (revision, *self._load_or_build(collection, revision))
            self._lexical[collection] = held
        return rank(held[1], held[2], query)

    def _load_or_build(self, collection: str, revision: int) -> tuple[Any, list[int]]:
        folder = self._place(collection)
        stamp = folder / "revision"
        if stamp.exists() and stamp.read_text() == str(revision):
            return bm25s.BM25.load(str(folder)), np.load(folder / "keys.npy").tolist()
        pool = self._store.passages(collection)
        index = bm25_index([body(p) for p in pool.values()])
        save(index, list(pool), folder, revision)
        return index, list(pool)

    def _filled(
        self,
        chosen: list[int],
        dense: list[tuple[int, float]],
        lexical: list[int],
        vector: list[float],
        collection: str,
    ) -> list[Passage]:
        found = self._store.by_keys(collection, chosen)
        dense_ranks = {k: r for r, (k, _) in enumerate(dense, 1)}
        lexical_ranks = {k: r for r, k in enumerate(lexical, 1)}
        scores = dict(dense)
        missing = [k for k in chosen if k not in scores]
        if missing:
            similar = self._store.vectors_of(collection, missing) @ np.array(vector, dtype=np.float32)
            scores |= dict(zip(missing, map(float, similar), strict=True))
        return [
            found[k].model_copy(
                update={
                    "score": min(1.0, max(0.0, scores[k])),
                    "dense_rank": dense_ranks.get(k),
                    "lexical_rank": lexical_ranks.get(k),
                }
            )
            for k in chosen
            if k in found
        ]


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


def save(index: Any, keys: list[int], folder: Path, revision: int) -> None:
    """Keep an index for the next start; the revision is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "revision").unlink(missing_ok=True)
    index.save(str(folder), show_progress=False)
    np.save(folder / "keys.npy", np.array(keys, dtype=np.int64))
    (folder / "revision").write_text(str(revision))
