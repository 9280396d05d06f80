"""Documents, passages and vectors: rows in SQLite or Postgres and an index of Chroma, kept in step.

A document counts once its vectors are in: its row is marked complete last (and incomplete first, when it goes), and
incomplete ones are cleared when the store opens. A lost index is made again from the passages. Errors of the databases
become `WorkspaceError` here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, insert, select, update

from understudy.core.cluster_settings import StoresSettings
from understudy.core.errors import WorkspaceError
from understudy.core.types import Document, Mark, Passage
from understudy.core.workspace import Workspace
from understudy.retrieval.stores import Index, Rows, stores_of
from understudy.retrieval.tables import collections, documents, metadata, passages

__all__ = ["DocumentStore", "Entry"]

OWN_FILES = StoresSettings()
Entry = tuple[str, str, str]
"""A document's id, version and source."""


class DocumentStore:
    """What has been ingested into a workspace.

    Args:
        rows: texts and passages.
        index: vectors.
    """

    def __init__(self, rows: Rows, index: Index) -> None:
        self._rows, self._engine, self._index = rows, rows.engine, index
        with self._guard():
            if not rows.reads:
                rows.set_up()
                metadata.create_all(self._engine)
            self._chroma: Any = index.client()
            if not rows.reads:
                self._clear_incomplete()

    @classmethod
    def of(cls, workspace: Workspace, settings: StoresSettings = OWN_FILES) -> DocumentStore:
        """The store that a workspace's settings name, its own files by default.

        Raises `SettingsError`, `MissingExtraError`, `WorkspaceError`.
        """
        return cls(*stores_of(settings, workspace))

    def close(self) -> None:
        """Close the database and the index; once is enough, twice does no harm."""
        self._engine.dispose()
        self._index.close()

    def _guard(self) -> AbstractContextManager[None]:
        return self._rows.errors()

    def _vectors(self, collection: str) -> Any:
        name = "c-" + hashlib.sha256(f"{self._index.prefix}{collection}".encode()).hexdigest()[:24]
        if self._rows.reads:
            return self._chroma.get_collection(name, embedding_function=None)
        return self._chroma.get_or_create_collection(
            name, metadata={"name": collection}, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
        )

    def _clear_incomplete(self) -> None:
        query = select(documents.c.collection, documents.c.id).where(documents.c.complete.is_(False))
        with self._engine.connect() as db:
            broken = [(str(c), str(i)) for c, i in db.execute(query)]
        for collection, document in broken:
            self.remove(collection, document)

    def ensure(self, collection: str, sensitivity: str | None) -> None:
        """Create a collection, or change its sensitivity when one is given."""
        with self._guard(), self._engine.begin() as db:
            found = db.execute(select(collections.c.sensitivity).where(collections.c.name == collection)).scalar()
            if found is None:
                values = {"name": collection, "sensitivity": sensitivity or "redacted", "revision": 0}
                db.execute(insert(collections).values(values))
            elif sensitivity is not None and sensitivity != found:
                db.execute(update(collections).where(collections.c.name == collection).values(sensitivity=sensitivity))

    def listing(self) -> dict[str, dict[str, Any]]:
        """For every collection its sensitivity, revision, and number of documents."""
        with self._guard(), self._engine.connect() as db:
            rows = db.execute(select(collections)).all()
            counts: dict[Any, int] = dict(
                db.execute(select(documents.c.collection, func.count()).group_by(documents.c.collection)).tuples().all()
            )
        return {
            r.name: {"sensitivity": r.sensitivity, "revision": r.revision, "documents": counts.get(r.name, 0)}
            for r in rows
        }

    def sensitivity(self, collection: str) -> str | None:
        """What a collection was ingested as; `None` where there is none."""
        with self._guard(), self._engine.connect() as db:
            found = db.execute(select(collections.c.sensitivity).where(collections.c.name == collection)).scalar()
        return None if found is None else str(found)

    def revision(self, collection: str) -> int:
        """A number that grows with every change of a collection; -1 where there is none."""
        with self._guard(), self._engine.connect() as db:
            found = db.execute(select(collections.c.revision).where(collections.c.name == collection)).scalar()
        return -1 if found is None else int(found)

    def entries(self, collection: str) -> list[Entry]:
        """The complete documents of a collection."""
        query = select(documents.c.id, documents.c.version, documents.c.source)
        query = query.where(documents.c.collection == collection, documents.c.complete.is_(True))
        with self._guard(), self._engine.connect() as db:
            return sorted((str(i), str(v), str(s)) for i, v, s in db.execute(query))  # databases sort in their own ways

    def version(self, collection: str, document: str) -> str | None:
        """The version of a complete document; `None` where there is none."""
        query = select(documents.c.version).where(
            documents.c.collection == collection, documents.c.id == document, documents.c.complete
        )
        with self._guard(), self._engine.connect() as db:
            return db.scalar(query)

    def document(self, collection: str, document: str) -> Document | None:
        """One document with its text."""
        query = select(documents).where(documents.c.collection == collection, documents.c.id == document)
        with self._guard(), self._engine.connect() as db:
            row = db.execute(query).one_or_none()
            if row is None:
                return None
            marks = tuple(Mark(start=s, location=where) for s, where in json.loads(row.marks))
        return Document(id=row.id, title=row.title, text=row.text, version=row.version, marks=marks)

    def put(self, collection: str, document: Document, source: str, pieces: Sequence[Passage], vectors: Any) -> None:
        """Add or replace a document with its passages and their vectors `[passages, 384]`."""
        self.remove(collection, document.id)
        marks = json.dumps([[m.start, m.location] for m in document.marks])
        with self._guard():
            with self._engine.begin() as db:
                db.execute(
                    insert(documents).values(
                        collection=collection,
                        id=document.id,
                        title=document.title,
                        version=document.version,
                        source=source,
                        text=document.text,
                        marks=marks,
                        complete=False,
                    )
                )
                rows = [
                    {"collection": collection, "document": document.id, "body": p.model_dump_json(), "table": p.table}
                    for p in pieces
                ]
                keys = list(db.scalars(insert(passages).returning(passages.c.row, sort_by_parameter_order=True), rows))
            self._add_vectors(collection, [str(k) for k in keys], vectors)
            with self._engine.begin() as db:
                where = (documents.c.collection == collection) & (documents.c.id == document.id)
                db.execute(update(documents).where(where).values(complete=True))
                self._touch(db, collection)

    def _add_vectors(self, collection: str, keys: list[str], vectors: Any) -> None:
        space = self._vectors(collection)
        for at in range(0, len(keys), 4000):
            space.add(ids=keys[at : at + 4000], embeddings=vectors[at : at + 4000])

    def written(self) -> None:
        """Say that many documents were put, and that nobody puts any more just now."""
        with self._guard():
            self._index.written()

    def _touch(self, db: Any, collection: str) -> None:
        where = collections.c.name == collection
        db.execute(update(collections).where(where).values(revision=collections.c.revision + 1))

    def remove(self, collection: str, document: str) -> bool:
        """Take a document out, vectors first. Whether it was there."""
        where = (passages.c.collection == collection) & (passages.c.document == document)
        with self._guard():
            with self._engine.connect() as db:
                keys = [str(k) for k in db.scalars(select(passages.c.row).where(where))]
            chosen = (documents.c.collection == collection) & (documents.c.id == document)
            if keys:
                with self._engine.begin() as db:
                    db.execute(update(documents).where(chosen).values(complete=False))
                self._vectors(collection).delete(ids=keys)
            with self._engine.begin() as db:
                db.execute(delete(passages).where(where))
                gone = db.execute(delete(documents).where(chosen)).rowcount
                if gone:
                    self._touch(db, collection)
        return bool(gone)

    def passages(self, collection: str, document: str | None = None, *, tables: bool = False) -> dict[int, Passage]:
        """Passages by key: of a collection or of one document, all or the tables alone."""
        query = select(passages.c.row, passages.c.body).where(passages.c.collection == collection)
        if document is not None:
            query = query.where(passages.c.document == document)
        if tables:
            query = query.where(passages.c.table.is_(True))
        with self._guard(), self._engine.connect() as db:
            return {int(k): Passage.model_validate_json(b) for k, b in db.execute(query.order_by(passages.c.row))}

    def by_keys(self, collection: str, keys: Sequence[int]) -> dict[int, Passage]:
        """Those passages of a collection that have some keys."""
        query = select(passages.c.row, passages.c.body).where(
            passages.c.row.in_(list(keys)), passages.c.collection == collection
        )
        with self._guard(), self._engine.connect() as db:
            return {int(k): Passage.model_validate_json(b) for k, b in db.execute(query)}

    def table_passages(self, collection: str, ids: Sequence[str]) -> list[Passage]:
        """All tables of some documents."""
        return [p for i in dict.fromkeys(ids) for p in self.passages(collection, i, tables=True).values()]

    def nearest(self, collection: str, vector: list[float], count: int) -> list[tuple[int, float]]:
        """Keys and cosine similarities of the passages nearest to a vector, best first."""
        with self._guard():
            space = self._vectors(collection)
            size = space.count()
            if size == 0:
                return []
            found = space.query(query_embeddings=[vector], n_results=min(count, size), include=["distances"])
        return [(int(k), 1.0 - float(d)) for k, d in zip(found["ids"][0], found["distances"][0], strict=True)]

    def vectors_of(self, collection: str, keys: Sequence[int]) -> NDArray[np.float32]:
        """The vectors of some passages, in their order, `[keys, 384]`."""
        with self._guard():
            found = self._vectors(collection).get(ids=[str(k) for k in keys], include=["embeddings"])
        rows = dict(zip(found["ids"], found["embeddings"], strict=True))
        if any(str(k) not in rows for k in keys):
            raise WorkspaceError(
                f"the workspace has lost vectors of collection {collection!r}; "
                "ingest anything into that collection again, and they are made anew"
            )
        return np.array([rows[str(k)] for k in keys], dtype=np.float32)

    def repair(self, collection: str, embed: Callable[[list[Passage]], Any]) -> bool:
        """Make the vectors of a collection anew if there are not as many as passages. Whether that was needed.

        Stopped half-way, it starts again the next time: the numbers still differ.
        """
        with self._guard():
            space = self._vectors(collection)
            query = select(func.count()).select_from(passages).where(passages.c.collection == collection)
            with self._engine.connect() as db:
                if space.count() == db.scalar(query):
                    return False
            self._made_anew(collection, embed)
        return True

    def _made_anew(self, collection: str, embed: Callable[[list[Passage]], Any]) -> None:
        self._chroma.delete_collection(self._vectors(collection).name)
        pool = list(self.passages(collection).items())
        for at in range(0, len(pool), 256):
            part = pool[at : at + 256]
            self._add_vectors(collection, [str(k) for k, _ in part], embed([p for _, p in part]))

    def renew(self, collection: str, embed: Callable[[list[Passage]], Any]) -> None:
        """Write the vectors of a collection anew: removed ones stay in Chroma's files, merely marked so.

        Nobody else may be searching. `embed` makes those that are missing, as after a crash half-way.
        """
        keys = list(self.passages(collection))
        with self._guard():
            held: dict[str, Any] = {}
            for at in range(0, len(keys), 4000):
                ids = [str(k) for k in keys[at : at + 4000]]
                found = self._vectors(collection).get(ids=ids, include=["embeddings"])
                held |= zip(found["ids"], found["embeddings"], strict=True)
            if len(held) < len(keys):
                self._made_anew(collection, embed)
            else:
                self._chroma.delete_collection(self._vectors(collection).name)
                self._add_vectors(collection, list(held), list(held.values()))
            self._index.tidied()
            self._chroma = self._index.client()
            self._rows.scrub("documents", "passages")
