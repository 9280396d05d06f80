"""Hybrid ranking: dense (Chroma) and lexical (BM25) ranks, fused by reciprocal rank."""

from __future__ import annotations

import copy
import difflib
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
from numpy.typing import NDArray

from understudy.core.errors import ScopeError
from understudy.core.types import Passage, Scope
from understudy.core.workspace import Workspace
from understudy.retrieval.embed import Encoder
from understudy.retrieval.heads import Heads
from understudy.retrieval.ranking import CANDIDATES, Mode, bm25_index, body, fuse, nearest, rank
from understudy.retrieval.readable import Documents, no_documents

__all__ = ["HybridRetriever"]


@dataclass(frozen=True)
class Opened:
    """A document with all that searching it takes."""

    scope: Scope
    passages: Mapping[int, Passage]
    """By key, in their order."""
    vectors: NDArray[np.float32]
    """`[passages, 384]`."""
    index: Any
    """Of BM25."""
    versions: Mapping[str, str]
    """Of all that is in scope, by id."""

    def by_keys(self, keys: Sequence[int]) -> Mapping[int, Passage]:
        """Some of its passages."""
        return {key: self.passages[key] for key in keys}

    def vectors_of(self, keys: Sequence[int]) -> NDArray[np.float32]:
        """The vectors of some passages, in their order."""
        places = {key: place for place, key in enumerate(self.passages)}
        return self.vectors[[places[key] for key in keys]]


@dataclass(frozen=True)
class Whole:
    """A collection, of which only what is asked for is read."""

    store: Documents
    collection: str

    def by_keys(self, keys: Sequence[int]) -> Mapping[int, Passage]:
        """Some of its passages."""
        return self.store.by_keys(self.collection, keys)

    def vectors_of(self, keys: Sequence[int]) -> NDArray[np.float32]:
        """The vectors of some passages, in their order."""
        return self.store.vectors_of(self.collection, keys)


Pieces = Opened | Whole
"""Where passages are taken from."""


class HybridRetriever:
    """Passages of a collection, or of one of its documents, for a query.

    Args:
        workspace: where a collection's index of words is kept for the next start; `None` keeps none.
        store: the documents.
        encoder: of queries.
    """

    def __init__(self, workspace: Workspace | None, store: Documents, encoder: Encoder) -> None:
        self._folder = None if workspace is None else workspace.index / "bm25"
        self._store = store
        self.encoder = encoder
        self._lexical: dict[str, tuple[int, Any, list[int]]] = {}
        self._heads: Heads | None = None
        self._opened: Opened | None = None

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

    def embedding(self, encoder: Encoder) -> HybridRetriever:
        """The same, with another encoder, such as one that remembers."""
        other = copy.copy(self)
        other.encoder = encoder
        return other

    def opened(self, scope: Scope) -> HybridRetriever:
        """The same, with a document read once for many questions, as it is now; others are read as ever.

        Raises `NoDocumentsError`, `ScopeError`.
        """
        self.check(scope)
        other = copy.copy(self)
        other._opened = self._read(scope)
        return other

    @property
    def reading(self) -> Opened | None:
        """The document that was opened."""
        return self._opened

    def current(self, scope: Scope) -> bool:
        """Whether the document that was opened is there still, as it was read."""
        held = self._opened
        version = self._store.version(scope.collection, scope.document or "")
        return held is not None and held.scope == scope and held.versions == {scope.document: version}

    def search(self, query: str, scope: Scope, *, limit: int = 5, mode: Mode = "fused") -> list[Passage]:
        """The best passages first; `score` is the cosine similarity to the query, clipped to 0 to 1."""
        self.check(scope)
        vector = self.encoder.embed_query(query)
        if scope.document is None:
            dense = self._store.nearest(scope.collection, vector, CANDIDATES)
            lexical = self._collection_ranking(query, scope.collection)
            pieces: Pieces = Whole(self._store, scope.collection)
        else:
            pieces = held = self._document(scope)
            dense = nearest(vector, list(held.passages), held.vectors)
            lexical = rank(held.index, list(held.passages), query) if held.passages else []
        known = self._known(query, scope) if mode == "fused" else []
        chosen = list(dict.fromkeys([*known[: limit // 2], *fuse([k for k, _ in dense], lexical, mode)]))[:limit]
        return filled(chosen, dense, lexical, vector, pieces)

    def expect(self, question: str, scope: Scope) -> float | None:
        """The probability that a document answers a question; `None` where no expert was asked it of another one."""
        head = self._heads.of(question, scope.document) if self._heads and scope.document else None
        if self._heads is None or head is None:
            return None
        vectors = self._document(scope).vectors
        return self._heads.probability(head, head.logits(vectors)) if len(vectors) else None

    def embed(self, text: str) -> list[float]:
        """The vector of a text."""
        return self.encoder.embed_query(text)

    def document(self, scope: Scope) -> tuple[list[Passage], NDArray[np.float32]]:
        """The passages of a document in their order, with their vectors `[passages, 384]`."""
        held = self._document(scope)
        return list(held.passages.values()), held.vectors

    def _document(self, scope: Scope) -> Opened:
        held = self._opened
        return held if held is not None and held.scope == scope else self._read(scope)

    def _read(self, scope: Scope) -> Opened:
        pool = self._store.passages(scope.collection, scope.document)
        vectors = self._store.vectors_of(scope.collection, list(pool)) if pool else np.zeros((0, 384), np.float32)
        index = bm25_index([body(p) for p in pool.values()]) if pool else None
        return Opened(scope, pool, vectors, index, self._versions_by_id(scope))

    def _known(self, query: str, scope: Scope) -> list[int]:
        """Keys of the passages that most resemble what experts quoted to the same question, best first."""
        head = self._heads.of(query, scope.document) if self._heads and scope.document else None
        if head is None or not head.quoted:
            return []
        held = self._document(scope)
        keys = list(held.passages)
        return [keys[n] for n in np.argsort(-head.logits(held.vectors))]

    def check(self, scope: Scope) -> None:
        """Raise unless the scope holds documents."""
        if self._opened is not None and self._opened.scope == scope:
            return
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

    def _versions_by_id(self, scope: Scope) -> Mapping[str, str]:
        if self._opened is not None and self._opened.scope == scope:
            return self._opened.versions
        return {i: v for i, v, _ in self._store.entries(scope.collection) if scope.document in (None, i)}

    def forget(self, collection: str) -> None:
        """Delete what is kept of a collection's words; the next question makes it anew."""
        self._lexical.pop(collection, None)
        place = self._place(collection)
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)

    def _place(self, collection: str) -> Path | None:
        return None if self._folder is None else self._folder / hashlib.sha256(collection.encode()).hexdigest()[:24]

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
        if folder is not None and kept_at(folder) == str(revision):
            return bm25s.BM25.load(str(folder)), np.load(folder / "keys.npy").tolist()
        pool = self._store.passages(collection)
        index = bm25_index([body(p) for p in pool.values()])
        if folder is not None:
            save(index, list(pool), folder, revision)
        return index, list(pool)


def filled(
    chosen: Sequence[int],
    dense: Sequence[tuple[int, float]],
    lexical: Sequence[int],
    vector: Sequence[float],
    pieces: Pieces,
) -> list[Passage]:
    """The passages of some keys, with their scores and ranks."""
    found = pieces.by_keys(chosen)
    dense_ranks = {k: r for r, (k, _) in enumerate(dense, 1)}
    lexical_ranks = {k: r for r, k in enumerate(lexical, 1)}
    scores = dict(dense)
    missing = [k for k in chosen if k not in scores]
    if missing:
        similar = pieces.vectors_of(missing) @ np.array(vector, dtype=np.float32)
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


def kept_at(folder: Path) -> str | None:
    """The revision that an index was kept at."""
    stamp = folder / "revision"
    return stamp.read_text() if stamp.exists() else None


def save(index: Any, keys: list[int], folder: Path, revision: int) -> None:
    """Keep an index for the next start; the revision is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "revision").unlink(missing_ok=True)
    index.save(str(folder), show_progress=False)
    np.save(folder / "keys.npy", np.array(keys, dtype=np.int64))
    (folder / "revision").write_text(str(revision))
