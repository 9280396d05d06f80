"""What is kept of consultations to answer with again: the exact answer cache, in the workspace's SQLite file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from sqlalchemy import Column, MetaData, String, Table, Text, delete, func, insert, select, text

from understudy.core.access import Principal, grounds_of, grounds_text
from understudy.core.protocols import Basis, Cached, CacheKey, folded
from understudy.core.sqlite import add_columns, now, open_sqlite, workspace_errors
from understudy.core.types import Answer

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
)


class Records:
    """What an `AnswerCache` keeps. Errors of the database become `WorkspaceError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = open_sqlite(path)
        with workspace_errors(self.path):
            metadata.create_all(self.engine)
            with self.engine.begin() as db:  # of before answers said what they rest on: they could never hit again
                db.execute(text("DROP TABLE IF EXISTS cache"))
                add_columns(db, cache)

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()

    def recall(self, key: CacheKey) -> Cached | None:
        """What is stored under exactly this key (questions compared up to case and white space), stale or not."""
        return self.held(digest(key))

    def held(self, key: str) -> Cached | None:
        """What is stored under the hash of a key."""
        query = select(cache.c.answer, cache.c.cited, cache.c.versions, cache.c.grounds).where(cache.c.key == key)
        with workspace_errors(self.path), self.engine.connect() as db:
            found = db.execute(query).one_or_none()
            if found is None:
                return None
            basis = Basis(json.loads(found.cited), found.versions)
            return Cached(Answer.model_validate_json(found.answer), basis, grounds_of(found.grounds))

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
        }
        with workspace_errors(self.path), self.engine.begin() as db:
            db.execute(delete(cache).where(cache.c.key == values["key"]))
            db.execute(insert(cache).values(values))

    def count(self, by: Principal | None = None) -> int:
        """How many answers are kept: all, or those that a principal may be given again."""
        with workspace_errors(self.path), self.engine.connect() as db:
            if by is None or not by.restricted:
                return db.execute(select(func.count()).select_from(cache)).scalar() or 0
            own = db.scalars(select(cache.c.grounds).where(cache.c.principal == by.name)).all()
            return sum(by.may_use(grounds_of(held)) for held in own)


def digest(key: CacheKey) -> str:
    """The hash of everything that must be equal for a hit."""
    parts = [folded(key.question), key.scope.model_dump_json(), key.principal]
    return hashlib.sha256(json.dumps([*parts, *map(folded, key.history)]).encode()).hexdigest()
