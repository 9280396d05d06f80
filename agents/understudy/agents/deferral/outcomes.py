"""What became of questions: signals, losses, sampling probabilities and permanent roles. No text is kept here."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Boolean, Column, Connection, Float, MetaData, String, Table, Text, func, insert, select

from understudy.agents.deferral.agreement import NAME, agreement
from understudy.agents.deferral.pool import Record
from understudy.core.protocols import folded
from understudy.core.sqlite import now, open_sqlite, workspace_errors
from understudy.core.types import Outcome, Scope

__all__ = ["OutcomeStore", "Row", "role_of"]

TRAIN, GATE = 102, 141
"""Of 256: two fifths train, three twentieths gate, the rest (45%) calibrates, since a promise takes over 100 labels."""

metadata = MetaData()
outcomes = Table(
    "outcomes",
    metadata,
    Column("id", String, primary_key=True),
    Column("collection", String, index=True),
    Column("role", String),
    Column("family", String),
    Column("small_model", String, index=True),
    Column("signals", Text),
    Column("drafted", Boolean),
    Column("probability", Float),
    Column("in_force", Float),
    Column("quality", Float),
    Column("measure", String),
    Column("expert", String),
    Column("created", String),
)
calls = Table(
    "expert_calls",
    metadata,
    Column("id", String, primary_key=True),
    Column("expert", String, index=True),
    Column("domain", String, index=True),
    Column("usable", Boolean),
    Column("created", String),
)


@dataclass(frozen=True)
class Row:
    """One question as the promise sees it."""

    role: str
    drafted: bool
    """Whether there was anything to accept; nothing is lost on other questions."""
    signals: dict[str, float]
    probability: float
    quality: float | None
    """Agreement with the expert; `None` where the draw left the draft without a label.

    0 where an accepted draft was drawn and no expert answered: what is missing for a reason must not count as chance.
    """
    in_force: float = 1.0
    """With which any accepted draft was drawn at that time."""


def role_of(question: str, scope: Scope) -> str:
    """A question's permanent role (train, gate or calibrate) by a hash of its words and its document."""
    bucket = hashlib.sha256(family_of(question, scope).encode()).digest()[0]
    return "train" if bucket < TRAIN else "gate" if bucket < GATE else "calibrate"


def family_of(question: str, scope: Scope) -> str:
    """What is the same question of the same document, whoever asks it."""
    return f"{folded(question)}\0{scope.document or ''}"


class OutcomeStore:
    """Outcomes on SQLite.

    Args:
        path: of the database.
        permitted: whether a collection's questions may go to an expert; of others nothing is kept.
        experts: the configured ones; what others said is no label, since the promise is against these.
    """

    def __init__(self, path: Path, permitted: Callable[[str], bool], experts: Sequence[str]) -> None:
        self._path = path
        self._experts = set(experts)
        self._permitted = permitted
        self._engine = open_sqlite(path)
        with self._begun():
            metadata.create_all(self._engine)

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def note(self, outcome: Outcome, in_force: float) -> None:
        """Keep what a question teaches; `in_force` is the probability to be compared of any draft accepted then.

        A deferred question that no expert answered is left out. An accepted draft that was drawn and could not be
        compared counts as lost: leaving it out while those that weren't drawn stay would make the loss look smaller.
        """
        expert, draft = outcome.expert, outcome.draft
        accepted = outcome.probability < 1.0
        if not self._permitted(outcome.scope.collection) or (outcome.drawn and expert is None and not accepted):
            return
        quality = None if draft is None or expert is None else agreement(draft, expert)
        if outcome.drawn and expert is None:
            quality = 0.0
        family = f"{outcome.scope.collection}\0{family_of(outcome.question, outcome.scope)}"
        with self._begun() as db:
            db.execute(
                insert(outcomes).values(
                    id=uuid.uuid4().hex,
                    collection=outcome.scope.collection,
                    role=role_of(outcome.question, outcome.scope),
                    family=hashlib.sha256(family.encode()).hexdigest(),
                    small_model=outcome.small_model,
                    signals=json.dumps(outcome.signals if draft is not None else {}),
                    drafted=draft is not None,
                    probability=outcome.probability,
                    in_force=in_force,
                    quality=quality,
                    measure=NAME,
                    expert=None if expert is None else expert.expert,
                    created=now(),
                )
            )

    def rows(self, small_model: str) -> list[Row]:
        """What is known of one small model, oldest first; a question asked again is no second label."""
        query = (
            select(outcomes)
            .where(outcomes.c.small_model == small_model, outcomes.c.measure == NAME)
            .order_by(outcomes.c.created)
        )
        found: dict[str, Row] = {}
        with self._begun() as db:
            for r in db.execute(query).all():
                if r.expert is not None and r.expert.removesuffix(" (recorded)") not in self._experts:
                    continue
                row = Row(r.role, r.drafted, json.loads(r.signals), r.probability, r.quality, r.in_force)
                found.setdefault(r.family, row)
        return list(found.values())

    def labels(self, small_model: str) -> int:
        """How many drafts of a small model were compared with an expert, each question once."""
        return sum(row.quality is not None for row in self.rows(small_model))

    def note_call(self, expert: str, domain: str, *, usable: bool) -> None:
        """Keep whether an expert's reply could be used."""
        with self._begun() as db:
            db.execute(
                insert(calls).values(id=uuid.uuid4().hex, expert=expert, domain=domain, usable=usable, created=now())
            )

    def records(self) -> dict[tuple[str, str], Record]:
        """`record` of every expert and domain that was asked."""
        query = select(calls.c.expert, calls.c.domain, func.count(), func.sum(calls.c.usable)).group_by(
            calls.c.expert, calls.c.domain
        )
        with self._begun() as db:
            return {(e, d): Record(usable=int(usable), asked=int(asked)) for e, d, asked, usable in db.execute(query)}

    def record(self, expert: str, domain: str) -> Record:
        """How often an expert's replies in a domain could be used."""
        query = select(func.count(), func.coalesce(func.sum(calls.c.usable), 0)).where(
            calls.c.expert == expert, calls.c.domain == domain
        )
        with self._begun() as db:
            asked, usable = db.execute(query).one()
            return Record(usable=int(usable), asked=int(asked))

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with workspace_errors(self._path), self._engine.begin() as db:
            yield db
