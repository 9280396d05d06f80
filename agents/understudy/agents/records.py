"""What is kept of consultations: the exact answer cache and the example store, in one SQLite file."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path

from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
)

from understudy.agents.deferral.outcomes import role_of
from understudy.core.protocols import Basis, Cached, CacheKey, folded
from understudy.core.sqlite import now, open_sqlite, workspace_errors
from understudy.core.types import Answer, Example

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
)
examples = Table(
    "examples",
    metadata,
    Column("id", String, primary_key=True),
    Column("role", String, index=True),
    Column("collection", String, index=True),
    Column("expert", String),
    Column("body", Text),
    Column("created", String),
)


class Records:
    """An `AnswerCache` and an `ExampleStore`. Errors of the database become `WorkspaceError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = open_sqlite(path)
        with workspace_errors(self.path):
            metadata.create_all(self.engine)
            with self.engine.begin() as db:  # of before answers said what they rest on: they could never hit again
                db.execute(text("DROP TABLE IF EXISTS cache"))

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()

    def recall(self, key: CacheKey) -> Cached | None:
        """What is stored under exactly this key (questions compared up to case and white space), stale or not."""
        return self.held(digest(key))

    def held(self, key: str) -> Cached | None:
        """What is stored under the hash of a key."""
        query = select(cache.c.answer, cache.c.cited, cache.c.versions).where(cache.c.key == key)
        with workspace_errors(self.path), self.engine.connect() as db:
            found = db.execute(query).one_or_none()
            if found is None:
                return None
            return Cached(Answer.model_validate_json(found.answer), Basis(json.loads(found.cited), found.versions))

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
        }
        with workspace_errors(self.path), self.engine.begin() as db:
            db.execute(delete(cache).where(cache.c.key == values["key"]))
            db.execute(insert(cache).values(values))

    def add(self, example: Example) -> str:
        """Store one example, and give its id."""
        values = {
            "id": uuid.uuid4().hex,
            "role": role_of(example.question, example.scope),
            "collection": example.scope.collection,
            "expert": example.expert.expert,
            "body": example.model_dump_json(),
            "created": now(),
        }
        with workspace_errors(self.path), self.engine.begin() as db:
            db.execute(insert(examples).values(values))
        return values["id"]

    def examples(self) -> dict[str, Example]:
        """All examples by id, oldest first."""
        with workspace_errors(self.path), self.engine.connect() as db:
            rows = db.execute(select(examples.c.id, examples.c.body).order_by(examples.c.created)).all()
            return {row.id: Example.model_validate_json(row.body) for row in rows}

    def later(self, collection: str, after: int) -> list[tuple[int, Example]]:
        """A collection's examples after a number, each with its own, in the order that they came."""
        place = literal_column("rowid", Integer)
        query = select(place.label("place"), examples.c.body).where(examples.c.collection == collection, place > after)
        with workspace_errors(self.path), self.engine.connect() as db:
            rows = db.execute(query.order_by(place)).all()
            return [(int(row.place), Example.model_validate_json(row.body)) for row in rows]

    def questions(self, collection: str) -> list[str]:
        """The questions of a collection that an expert has answered, oldest first."""
        query = select(examples.c.body).where(examples.c.collection == collection).order_by(examples.c.created)
        with workspace_errors(self.path), self.engine.connect() as db:
            return [str(json.loads(body)["question"]) for body in db.scalars(query).all()]

    def counts(self) -> dict[str, int]:
        """How many answers and examples are kept."""
        with workspace_errors(self.path), self.engine.connect() as db:
            return {
                "cached_answers": db.execute(select(func.count()).select_from(cache)).scalar() or 0,
                "examples": db.execute(select(func.count()).select_from(examples)).scalar() or 0,
            }


def digest(key: CacheKey) -> str:
    """The hash of everything that must be equal for a hit."""
    parts = [folded(key.question), key.scope.model_dump_json(), key.principal]
    return hashlib.sha256(json.dumps([*parts, *map(folded, key.history)]).encode()).hexdigest()
