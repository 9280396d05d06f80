"""What is kept of consultations to answer with again: the exact answer cache, in the workspace's SQLite file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from sqlalchemy import Column, MetaData, String, Table, Text, delete, func, insert, select, text, update

from understudy.core.access import Principal, grounds_of, grounds_text
from understudy.core.protocols import Basis, Cached, CacheKey, folded
from understudy.core.provenance import dumped, loaded, touched
from understudy.core.sqlite import add_columns, now, open_sqlite, workspace_errors
from understudy.core.types import Answer, Scope

__all__ = ["Records", "digest"]

metadata = MetaData()
cache = Table(
    "answers",
    metadata,
    Column("key", String, primary_key=True),
    Column("question", Text),
    Column("principal", String),
    Column("collection", String),
    Column("answer", Text),
    Column("cited", Text),
    Column("versions", String),
    Column("created", String),
    Column("grounds", Text),
    Column("rests_on", Text),
)


class Records:
    """What an `AnswerCache` keeps. Errors of the database become `WorkspaceError`."""

    kind = "cache_entries"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = open_sqlite(path)
        with workspace_errors(self.path):
            metadata.create_all(self.engine)
            with self.engine.begin() as db:  # of before answers said what they rest on: they could never hit again
                db.execute(text("DROP TABLE IF EXISTS cache"))
                add_columns(db, cache)
                # Of before it was noted: they rest on anything of their collection.
                whole = func.json_array(func.json_array(cache.c.collection, None))
                db.execute(update(cache).where(cache.c.rests_on.is_(None)).values(rests_on=whole))

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()

    def recall(self, key: CacheKey) -> Cached | None:
        """What is stored under exactly this key (questions compared up to case and white space), stale or not."""
        return self.held(digest(key))

    def held(self, key: str) -> Cached | None:
        """What is stored under the hash of a key."""
        query = select(cache).where(cache.c.key == key)
        with workspace_errors(self.path), self.engine.connect() as db:
            found = db.execute(query).one_or_none()
            if found is None:
                return None
            basis = Basis(json.loads(found.cited), found.versions, loaded(found.rests_on))
            return Cached(Answer.model_validate_json(found.answer), basis, grounds_of(found.grounds), found.created)

    def remember(self, key: CacheKey, cached: Cached) -> None:
        """Store or replace."""
        values = {
            "key": digest(key),
            "question": key.question,
            "principal": key.principal,
            "collection": key.scope.collection,
            "answer": cached.answer.model_dump_json(),
            "cited": json.dumps(dict(cached.basis.cited)),
            "versions": cached.basis.versions,
            "created": now(),
            "grounds": grounds_text(cached.grounds),
            "rests_on": dumped(cached.basis.rests_on),
        }
        with workspace_errors(self.path), self.engine.begin() as db:
            db.execute(delete(cache).where(cache.c.key == values["key"]))
            db.execute(insert(cache).values(values))

    def withdraw(self, principal: str, collection: str, said: str) -> None:
        """Take out a principal's answers that say just this, to whichever question of a collection."""
        own = (cache.c.principal == principal) & (cache.c.collection == collection)
        with workspace_errors(self.path), self.engine.begin() as db:
            for row in db.execute(select(cache.c.key, cache.c.answer).where(own)).all():
                if Answer.model_validate_json(row.answer).text == said:
                    db.execute(delete(cache).where(cache.c.key == row.key))

    def retract(self, key: CacheKey, by: str) -> None:
        """Take out what is stored under a key, if it is by somebody whose name begins so."""
        with workspace_errors(self.path), self.engine.begin() as db:
            row = db.execute(select(cache.c.answer).where(cache.c.key == digest(key))).one_or_none()
            if row is not None and (Answer.model_validate_json(row.answer).expert or "").startswith(by):
                db.execute(delete(cache).where(cache.c.key == digest(key)))

    def count(self, by: Principal | None = None) -> int:
        """How many answers are kept: all, or those that a principal may be given again."""
        with workspace_errors(self.path), self.engine.connect() as db:
            if by is None or not by.restricted:
                return db.execute(select(func.count()).select_from(cache)).scalar() or 0
            own = db.scalars(select(cache.c.grounds).where(cache.c.principal == by.name)).all()
            return sum(by.may_use(grounds_of(held)) for held in own)

    def traces(self) -> dict[str, tuple[Scope, ...]]:
        """What every answer rests on, by the hash of its key."""
        with workspace_errors(self.path), self.engine.connect() as db:
            return {row.key: loaded(row.rests_on) for row in db.execute(select(cache.c.key, cache.c.rests_on))}

    def found(self, document: Scope) -> list[str]:
        """The answers that rest on a document."""
        return [key for key, rests_on in self.traces().items() if touched(rests_on, document)]

    def forget(self, document: Scope) -> None:
        """Take them out."""
        keys = self.found(document)
        with workspace_errors(self.path), self.engine.begin() as db:
            for key in keys:
                db.execute(delete(cache).where(cache.c.key == key))


def digest(key: CacheKey) -> str:
    """The hash of everything that must be equal for a hit."""
    parts = [folded(key.question), key.scope.model_dump_json(), key.principal]
    return hashlib.sha256(json.dumps([*parts, *map(folded, key.history), *key.asked_of]).encode()).hexdigest()
