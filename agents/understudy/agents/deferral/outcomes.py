"""What became of questions: signals, losses, sampling probabilities and permanent roles. No text is kept here."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from understudy.agents.deferral.agreement import NAME, agreement
from understudy.agents.deferral.pool import Record
from understudy.core.access import Principal, grounds_of, grounds_text
from understudy.core.history import Compared, Step, start
from understudy.core.matching import normalised
from understudy.core.protocols import folded
from understudy.core.provenance import fingerprints
from understudy.core.sqlite import add_columns, leads_to, now, open_sqlite, workspace_errors
from understudy.core.types import Outcome, Scope

__all__ = ["OutcomeStore", "Peers", "Row", "role_of"]

TOLD = "told"
"""The role of what a person said: they chose what to look at, so it helps to fit and never to test."""
TRAIN, GATE = 102, 141
"""Of 256: two fifths train, three twentieths gate, the rest (45%) calibrates, since a promise takes over 100 labels."""

metadata = MetaData()
outcomes = Table(
    "judged",
    metadata,
    Column("id", String, primary_key=True),
    Column("collection", String, index=True),
    Column("role", String),
    Column("family", String),
    Column("asked", String, index=True),
    Column("said", String),
    Column("small_model", String, index=True),
    Column("signals", Text),
    Column("drafted", Boolean),
    Column("probability", Float),
    Column("in_force", Float),
    Column("quality", Float),
    Column("failed", Boolean),
    Column("measure", String),
    Column("experts", String),
    Column("expert", String),
    Column("created", String),
    Column("grounds", Text),
    Column("rests_on", Text),
    Column("said_by", String),
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
class Peers:
    """How drafts did on the same question asked of other documents, as counts of the compared and of the right."""

    compared: int
    right: float
    same_compared: int
    """Those that said what the present draft says."""
    same_right: float


@dataclass(frozen=True)
class Row:
    """One question as the promise sees it."""

    role: str
    drafted: bool
    """Whether there was anything to accept; nothing is lost on other questions."""
    signals: dict[str, float]
    probability: float
    quality: float | None
    """Agreement with the expert; `None` where there is no label."""
    in_force: float = 1.0
    """With which any accepted draft was drawn at that time."""
    failed: bool = False
    """Whether an accepted draft was drawn and no expert answered. It counts as lost where a threshold is tested, since
    what is missing for a reason must not pass for chance; nothing else is learned from it."""


def role_of(question: str, scope: Scope) -> str:
    """A question's permanent role (train, gate or calibrate) by a hash of its words and its document."""
    bucket = hashlib.sha256(family_of(question, scope).encode()).digest()[0]
    return "train" if bucket < TRAIN else "gate" if bucket < GATE else "calibrate"


def hashed(*parts: str) -> str:
    """What stands for words that are not kept."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def family_of(question: str, scope: Scope) -> str:
    """What is the same question of the same document, whoever asks it."""
    return f"{folded(question)}\0{scope.document or ''}"


def told_of(question: str, scope: Scope, by: str) -> tuple[ColumnElement[bool], ...]:
    """The rows of what a person said of a question; of before names were kept, what anybody said."""
    family = outcomes.c.family == hashed(scope.collection, family_of(question, scope))
    return family, outcomes.c.role == TOLD, (outcomes.c.said_by == by) | outcomes.c.said_by.is_(None)


def agreed(said: Sequence[tuple[str | None, Row]]) -> Row:
    """What people said of the latest draft of a question, as one label: the middle of it, the lower one of two."""
    latest = said[-1][0]
    rows = [row for draft, row in said if draft == latest]
    found = [row.quality for row in rows if row.quality is not None]
    return replace(rows[-1], quality=median_low(found) if found else None)


def trace_old(db: Connection) -> None:
    """Outcomes of before it was noted what they rest on may rest on anything of their collection."""
    old = outcomes.c.rests_on.is_(None)
    for collection in db.scalars(select(outcomes.c.collection).where(old).distinct()).all():
        trace = fingerprints([Scope(collection=collection)])
        db.execute(update(outcomes).where(old, outcomes.c.collection == collection).values(rests_on=trace))


class OutcomeStore:
    """Outcomes on SQLite.

    Args:
        path: of the database.
        permitted: whether a collection's questions may go to an expert; of others nothing is kept.
        experts: the configured ones. What was noted while there were others is left out, with a label or without one:
            the promise is against these.
    """

    kind = "outcomes"

    def __init__(self, path: Path, permitted: Callable[[str], bool], experts: Sequence[str]) -> None:
        self._path = path
        self._experts = json.dumps(sorted(experts))
        self._permitted = permitted
        self._engine = open_sqlite(path)
        with self._begun() as db:
            metadata.create_all(db)
            add_columns(db, outcomes)
            trace_old(db)

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def note(self, outcome: Outcome, in_force: float) -> None:
        """Keep what a question teaches; `in_force` is the probability to be compared of any draft accepted then.

        Left out are: all questions of a time when nothing was compared, whatever became of them; and deferred ones that
        no expert answered.
        """
        expert, draft = outcome.expert, outcome.draft
        failed = outcome.drawn and expert is None
        if in_force <= 0 or not self._permitted(outcome.scope.collection) or (failed and outcome.probability >= 1):
            return
        quality = None if draft is None or expert is None else agreement(draft, expert)
        known = {
            "role": role_of(outcome.question, outcome.scope),
            "signals": json.dumps(outcome.signals if draft is not None else {}),
            "probability": outcome.probability,
            "in_force": in_force,
            "quality": quality,
            "failed": failed,
        }
        with self._begun() as db:
            db.execute(insert(outcomes).values(self._row(outcome) | known))

    def tell(self, outcome: Outcome, quality: float | None, by: str) -> None:
        """Keep what a person said of a draft, in the place of what they said before; others' words stay.

        Nothing is kept of questions that the promise is tested on: who is looked at must not change what is found.

        Args:
            outcome: with what they say is right, if they do.
            quality: where they only say how good the draft is.
            by: the principal who says it.
        """
        if role_of(outcome.question, outcome.scope) == "calibrate":
            return
        draft, right = outcome.draft, outcome.expert
        if quality is None and draft is not None and right is not None:
            quality = agreement(draft, right)
        said = {
            "role": TOLD,
            "signals": json.dumps(outcome.signals),
            "quality": quality,
            "failed": False,
            "said_by": by,
        }
        row = self._row(outcome) | said | {"probability": 1.0, "in_force": 1.0}
        with self._begun() as db:
            db.execute(delete(outcomes).where(*told_of(outcome.question, outcome.scope, by)))
            db.execute(insert(outcomes).values(row))

    def untell(self, question: str, scope: Scope, by: str) -> None:
        """Forget what a person said of the drafts of a question."""
        with self._begun() as db:
            db.execute(delete(outcomes).where(*told_of(question, scope, by)))

    def _row(self, outcome: Outcome) -> dict[str, Any]:
        """What every row keeps of a question, its draft and its expert."""
        draft, collection = outcome.draft, outcome.scope.collection
        return {
            "id": uuid.uuid4().hex,
            "collection": collection,
            "family": hashed(collection, family_of(outcome.question, outcome.scope)),
            "asked": hashed(collection, folded(outcome.question)),
            "said": None if draft is None else hashed(normalised(draft.text)),
            "small_model": outcome.small_model,
            "drafted": draft is not None,
            "measure": NAME,
            "experts": self._experts,
            "expert": None if outcome.expert is None else outcome.expert.expert,
            "created": now(),
            "grounds": grounds_text(outcome.grounds),
            "rests_on": fingerprints(outcome.rests_on),
        }

    def found(self, document: Scope) -> list[str]:
        """The outcomes that rest on a document."""
        with self._begun() as db:
            return list(db.scalars(select(outcomes.c.id).where(leads_to(outcomes.c.rests_on, document))))

    def forget(self, document: Scope) -> None:
        """Take them out."""
        with self._begun() as db:
            db.execute(delete(outcomes).where(leads_to(outcomes.c.rests_on, document)))

    def rows(self, small_model: Callable[[str], str]) -> list[Row]:
        """What is known of the small models in force, oldest first; a question asked again is no second label.

        What several people said of a question counts once, see `agreed`.

        Args:
            small_model: by collection, the name of the one that answers there.
        """
        query = (
            select(outcomes)
            .where(outcomes.c.measure == NAME)
            .where((outcomes.c.experts == self._experts) | (outcomes.c.role == TOLD))
            .order_by(outcomes.c.created)
        )
        found: dict[tuple[str, bool], list[tuple[str | None, Row]]] = {}
        with self._begun() as db:
            for r in db.execute(query).all():
                if r.small_model == small_model(r.collection):
                    row = Row(r.role, r.drafted, json.loads(r.signals), r.probability, r.quality, r.in_force, r.failed)
                    found.setdefault((r.family, r.role == TOLD), []).append((r.said, row))
        return [agreed(rows) if told else rows[0][1] for (_, told), rows in found.items()]

    def labels(self, small_model: Callable[[str], str]) -> int:
        """How many drafts were compared with an expert, or judged by a person, each question once."""
        return sum(row.quality is not None for row in self.rows(small_model))

    def compared(self, by: Step, principal: Principal) -> list[Compared]:
        """The drafts that were compared with experts, of all small models, as far as somebody may read behind them."""
        columns = (outcomes.c.created, outcomes.c.quality, outcomes.c.probability, outcomes.c.grounds)
        query = select(*columns).where(
            outcomes.c.measure == NAME, outcomes.c.role != TOLD, outcomes.c.quality.is_not(None)
        )
        with self._begun() as db:
            rows = [r for r in db.execute(query).all() if principal.may_use(grounds_of(r.grounds))]
        return [Compared(r.created[: start(by)], r.quality, 1 / r.probability) for r in rows]

    def has(self, small_model: str, question: str, scope: Scope) -> bool:
        """Whether a question's outcome with a small model is known."""
        family = hashed(scope.collection, family_of(question, scope))
        query = select(func.count()).where(
            outcomes.c.small_model == small_model,
            outcomes.c.family == family,
            outcomes.c.measure == NAME,
            outcomes.c.role != TOLD,
        )
        with self._begun() as db:
            return bool(db.scalar(query))

    def peers(
        self,
        small_model: str,
        question: str,
        scope: Scope,
        text: str,
        by: Principal | None = None,
        before: str | None = None,
    ) -> Peers:
        """How earlier drafts did on the same question of other documents, and those among them that said the same.

        Counted are all, or those that rest on what `by` may read, and that were known before a moment.
        """
        query = select(outcomes.c.quality, outcomes.c.said, outcomes.c.grounds).where(
            outcomes.c.asked == hashed(scope.collection, folded(question)),
            outcomes.c.small_model == small_model,
            outcomes.c.measure == NAME,
            outcomes.c.experts == self._experts,
            outcomes.c.quality.is_not(None),
            outcomes.c.family != hashed(scope.collection, family_of(question, scope)),
        )
        if before is not None:
            query = query.where(outcomes.c.created < before)
        said = hashed(normalised(text))
        with self._begun() as db:
            rows = [r for r in db.execute(query).all() if by is None or by.may_use(grounds_of(r.grounds))]
        found = [(float(r.quality), r.said == said) for r in rows]
        same = [quality for quality, alike in found if alike]
        return Peers(len(found), sum(quality for quality, _ in found), len(same), sum(same))

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
