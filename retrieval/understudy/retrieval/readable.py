"""The documents of a workspace as one principal sees them: a collection that they may not read is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from understudy.core.errors import NoDocumentsError
from understudy.core.types import Document, Passage
from understudy.retrieval.store import DocumentStore, Entry

__all__ = ["Documents", "ReadableDocuments", "no_documents"]


class Documents(Protocol):
    """What is read of a document store."""

    def listing(self) -> dict[str, dict[str, Any]]:
        """For every collection its sensitivity, revision, and number of documents."""
        ...

    def revision(self, collection: str) -> int:
        """A number that grows with every change of a collection; -1 where there is none."""
        ...

    def entries(self, collection: str) -> list[Entry]:
        """The complete documents of a collection."""
        ...

    def version(self, collection: str, document: str) -> str | None:
        """The version of a complete document; `None` where there is none."""
        ...

    def document(self, collection: str, document: str) -> Document | None:
        """One document with its text."""
        ...

    def passages(self, collection: str, document: str | None = None, *, tables: bool = False) -> dict[int, Passage]:
        """Passages by key: of a collection or of one document, all or the tables alone."""
        ...

    def by_keys(self, collection: str, keys: Sequence[int]) -> dict[int, Passage]:
        """Those passages of a collection that have some keys."""
        ...

    def table_passages(self, collection: str, ids: Sequence[str]) -> list[Passage]:
        """All tables of some documents."""
        ...

    def nearest(self, collection: str, vector: list[float], count: int) -> list[tuple[int, float]]:
        """Keys and cosine similarities of the passages nearest to a vector, best first."""
        ...

    def vectors_of(self, collection: str, keys: Sequence[int]) -> NDArray[np.float32]:
        """The vectors of some passages, in their order, `[keys, 384]`."""
        ...


class ReadableDocuments:
    """A view of a store. What it says of a collection out of bounds is what the store says of one that isn't there.

    Args:
        store: with everything.
        may_read: whether a collection may be read.
    """

    def __init__(self, store: DocumentStore, may_read: Callable[[str], bool]) -> None:
        self._store, self._may_read = store, may_read

    def listing(self) -> dict[str, dict[str, Any]]:
        """For every collection in bounds its sensitivity, revision, and number of documents."""
        return {name: held for name, held in self._store.listing().items() if self._may_read(name)}

    def revision(self, collection: str) -> int:
        """A number that grows with every change of a collection; -1 where there is none."""
        return self._store.revision(collection) if self._may_read(collection) else -1

    def entries(self, collection: str) -> list[Entry]:
        """The complete documents of a collection."""
        return self._store.entries(collection) if self._may_read(collection) else []

    def version(self, collection: str, document: str) -> str | None:
        """The version of a complete document; `None` where there is none in bounds."""
        return self._store.version(collection, document) if self._may_read(collection) else None

    def document(self, collection: str, document: str) -> Document | None:
        """One document with its text."""
        return self._store.document(collection, document) if self._may_read(collection) else None

    def passages(self, collection: str, document: str | None = None, *, tables: bool = False) -> dict[int, Passage]:
        """Passages by key: of a collection or of one document, all or the tables alone."""
        return self._store.passages(collection, document, tables=tables) if self._may_read(collection) else {}

    def by_keys(self, collection: str, keys: Sequence[int]) -> dict[int, Passage]:
        """Those passages of a collection that have some keys."""
        return self._store.by_keys(collection, keys) if self._may_read(collection) else {}

    def table_passages(self, collection: str, ids: Sequence[str]) -> list[Passage]:
        """All tables of some documents."""
        return self._store.table_passages(collection, ids) if self._may_read(collection) else []

    def nearest(self, collection: str, vector: list[float], count: int) -> list[tuple[int, float]]:
        """Keys and cosine similarities of the passages nearest to a vector, best first."""
        return self._store.nearest(collection, vector, count) if self._may_read(collection) else []

    def vectors_of(self, collection: str, keys: Sequence[int]) -> NDArray[np.float32]:
        """The vectors of some passages, in their order, `[keys, 384]`. Raises `NoDocumentsError`."""
        if not self._may_read(collection):
            raise no_documents(collection, self.listing())
        return self._store.vectors_of(collection, keys)


def no_documents(collection: str, known: Iterable[str]) -> NoDocumentsError:
    """Nothing of this name can be read; named are the collections that can."""
    others = ", ".join(sorted(set(known) - {collection}))
    hint = f" (others do: {others})" if others else ""
    return NoDocumentsError(
        f"collection {collection!r} holds no documents yet{hint}; add some with: understudy ingest PATH"
    )
