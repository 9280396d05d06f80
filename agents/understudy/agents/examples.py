"""The example store: what experts taught, in the workspace's own SQLite file or in a Postgres database."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Index,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
)

from understudy.agents.deferral.outcomes import role_of
from understudy.core.access import Ground, Principal
from understudy.core.errors import SettingsError
from understudy.core.postgres import open_postgres, postgres_errors, postgres_url, secret_url, shown
from understudy.core.provenance import behind, touched
from understudy.core.settings import ExamplesSettings
from understudy.core.sqlite import now, open_sqlite, workspace_errors
from understudy.core.types import Example, Scope
from understudy.core.workspace import Workspace

__all__ = ["ExampleDatabase", "open_examples"]

OWN = ""
"""Whose the examples of a workspace's own file are: there are no others in it."""
SET_UP = 7_220_117_431
"""Number of the lock that those who set a Postgres database up take turns by."""
NEXT = text(
    "INSERT INTO example_numbers (workspace, latest) VALUES (:workspace, 1) "
    "ON CONFLICT (workspace) DO UPDATE SET latest = example_numbers.latest + 1 RETURNING latest"
)

metadata = MetaData()
examples = Table(
    "examples",
    metadata,
    Column("id", String, primary_key=True),
    Column("role", String, index=True),
    Column("collection", String, index=True),
    Column("expert", String),
    Column("body", Text),
    Column("created", String),
    Column("workspace", String),
    Column("number", BigInteger),
    Column("label", String),
    Index("examples_in_order", "workspace", "number", unique=True),
)
numbers = Table(
    "example_numbers",
    metadata,
    Column("workspace", String, primary_key=True),
    Column("latest", BigInteger, nullable=False),
)


class ExampleDatabase:
    """An `ExampleStore` on SQLite or Postgres.

    Every example has a number in its workspace. A writer holds the row that counts them until its example is stored, so
    whoever has seen a number has seen all before it.

    Args:
        engine: to the database, which is set up if need be.
        name: the database as people may see it.
        workspace: whose examples these are; those of other workspaces in the same database are never read.
        errors: gives a context in which the database's errors become `WorkspaceError`.
    """

    kind = "examples"

    def __init__(
        self, engine: Engine, name: str, workspace: str, errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self.engine, self.name, self.workspace = engine, name, workspace
        self._errors = errors
        with self._begun() as db:
            set_up(db, workspace)

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()

    def add(self, example: Example) -> str:
        """Store one example, and give its id."""
        values = {
            "id": uuid.uuid4().hex,
            "role": role_of(example.question, example.scope),
            "collection": example.scope.collection,
            "label": example.label,
            "expert": example.expert.expert,
            "body": example.model_dump_json(),
            "created": now(),
            "workspace": self.workspace,
        }
        with self._begun() as db:
            db.execute(insert(examples).values(**values, number=next_number(db, self.workspace)))
        return str(values["id"])

    def examples(self, by: Principal | None = None) -> dict[str, Example]:
        """The examples by id, oldest first: all, or those that rest on what `by` may read."""
        query = select(examples.c.id, examples.c.body).where(examples.c.workspace == self.workspace)
        with self._begun() as db:
            rows = db.execute(query.order_by(examples.c.number)).all()
            found = {str(row.id): Example.model_validate_json(row.body) for row in rows}
        return {name: example for name, example in found.items() if by is None or by.may_use(example.grounds)}

    def later(self, collection: str, after: int, before: str | None = None) -> list[tuple[int, Example]]:
        """A collection's examples after a number, and of before a moment, each with its number, in their order."""
        query = select(examples.c.number, examples.c.body).where(*self._of(collection, before))
        query = query.where(examples.c.number > after)
        with self._begun() as db:
            rows = db.execute(query.order_by(examples.c.number)).all()
            return [(int(row.number), Example.model_validate_json(row.body)) for row in rows]

    def questions(self, collection: str, before: str | None = None) -> list[tuple[str, tuple[Ground, ...]]]:
        """The questions of a collection that an expert has answered, oldest first, each with what it rests on."""
        query = select(examples.c.body).where(*self._of(collection, before))
        with self._begun() as db:
            rows = db.scalars(query.order_by(examples.c.number)).all()
        found = map(json.loads, rows)
        return [(str(b["question"]), tuple(Ground.model_validate(g) for g in b.get("grounds", ()))) for b in found]

    def _of(self, collection: str, before: str | None) -> Sequence[ColumnElement[bool]]:
        """What tells a collection's examples, or those of before a moment."""
        own = [examples.c.workspace == self.workspace, examples.c.collection == collection]
        return own if before is None else [*own, examples.c.created < before]

    def found(self, document: Scope) -> list[str]:
        """The ids of those that rest on a document."""
        return [name for name, example in self.examples().items() if touched(behind(example), document)]

    def forget(self, document: Scope) -> None:
        """Take them out."""
        names = self.found(document)
        with self._begun() as db:
            for name in names:
                db.execute(delete(examples).where(examples.c.id == name, examples.c.workspace == self.workspace))

    def withdraw(self, wrong: Callable[[Example], bool]) -> bool:
        """Take out those that were found wrong; gives whether there were any."""
        names = [name for name, example in self.examples().items() if wrong(example)]
        with self._begun() as db:
            for name in names:
                db.execute(delete(examples).where(examples.c.id == name, examples.c.workspace == self.workspace))
        return bool(names)

    def scrub(self) -> None:
        """Leave no byte of what was deleted in the database's tables; a workspace's own file is scrubbed with it.

        The server's own logs and backups are its owner's to clean.
        """
        if self.engine.dialect.name == "postgresql":
            with self._errors(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
                db.execute(text("VACUUM (FULL) examples"))

    def count(self, by: Principal | None = None) -> int:
        """How many there are: all, or those that rest on what `by` may read."""
        if by is not None and by.restricted:
            return len(self.examples(by))
        query = select(func.count()).select_from(examples).where(examples.c.workspace == self.workspace)
        with self._begun() as db:
            return db.scalar(query) or 0

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with self._errors(), self.engine.begin() as db:
            yield db


def open_examples(settings: ExamplesSettings, workspace: Workspace) -> ExampleDatabase:
    """The store that the settings name, the workspace's own file by default.

    Raises `SettingsError`, `MissingExtraError`, `WorkspaceError`.
    """
    found = url_of(settings)
    if found is None:
        return own_examples(workspace.records)
    url = postgres_url(*found)
    whose = settings.workspace or workspace.identity()
    return ExampleDatabase(open_postgres(url), shown(url), whose, lambda: postgres_errors(url))


def own_examples(path: Path) -> ExampleDatabase:
    """The store in a workspace's own file."""
    return ExampleDatabase(open_sqlite(path), str(path), OWN, lambda: workspace_errors(path))


def url_of(settings: ExamplesSettings) -> tuple[str, str] | None:
    """The URL, and where it was set. Raises `SettingsError`."""
    found = secret_url(settings.url, settings.url_env, "examples.url")
    if found is None and settings.workspace is not None:
        raise SettingsError("examples.workspace needs examples.url: a workspace's own file holds no others' examples")
    return found


def set_up(db: Connection, workspace: str) -> None:
    """Create what is missing. Files of before examples had a number, a workspace and a label get these."""
    if db.dialect.name == "postgresql":
        db.execute(select(func.pg_advisory_xact_lock(SET_UP)))
    metadata.create_all(db)
    if db.dialect.name != "sqlite":
        return
    held = {column["name"] for column in inspect(db).get_columns("examples")}
    for name, kind in (("workspace", "VARCHAR"), ("number", "BIGINT"), ("label", "VARCHAR")):
        if name not in held:
            db.execute(text(f"ALTER TABLE examples ADD COLUMN {name} {kind}"))
    for (example,) in db.execute(text("SELECT id FROM examples WHERE number IS NULL ORDER BY rowid")).all():
        values = {"workspace": workspace, "number": next_number(db, workspace)}
        db.execute(examples.update().where(examples.c.id == example).values(values))
    for index in examples.indexes:
        index.create(db, checkfirst=True)


def next_number(db: Connection, workspace: str) -> int:
    """One more than any example of a workspace has; other writers wait until this transaction ends."""
    return int(db.execute(NEXT, {"workspace": workspace}).scalar_one())
