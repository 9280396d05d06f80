"""Drafts of a job that wait for its guarantee: kept in the journal, so that none is made twice.

They hold words of documents, and go with their row when a document behind them is erased.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from understudy.agents.batch.tables import jobs, rows
from understudy.core.jobs import Guarantee, Query
from understudy.core.provenance import fingerprints
from understudy.core.types import Answer, Scope
from understudy.graphs.state import AskState

__all__ = ["ASKED", "NO_DRAFT", "Drafts", "Pending", "Standing", "goes_on", "told"]

ASKED = ("expert", "cache")
"""Routes of answers that are an expert's."""
NO_DRAFT = -1.0
"""The confidence of a row without a draft that may be given."""


@dataclass(frozen=True)
class Pending:
    """A row that is still to be asked, for all that are the same."""

    number: int
    key: str
    basis: str
    query: Query


@dataclass(frozen=True)
class Standing:
    """Where a row stands that was drafted."""

    number: int
    first: int
    """The row that stands for all that are the same."""
    confidence: float
    loss: float | None
    """Of its draft, where it was compared with an expert's answer."""
    route: str | None
    """Of its answer, once there is one."""
    failed: bool

    @property
    def open(self) -> bool:
        """Whether nothing has become of it yet."""
        return self.route is None and not self.failed

    @property
    def asked(self) -> bool:
        """Whether it has an expert's answer."""
        return self.route in ASKED


class Drafts:
    """What the journal of jobs knows of drafts that wait."""

    @abstractmethod
    def _begun(self) -> AbstractContextManager[Connection]:
        """A transaction."""

    @abstractmethod
    def pending(self, job: str) -> Iterator[Pending]:
        """What is still to be asked, one of each row that is the same."""

    def undrafted(self, job: str) -> list[Pending]:
        """What is still to be drafted."""
        drafted = {standing.number for standing in self.standing(job)}
        return [row for row in self.pending(job) if row.number not in drafted]

    def put_down(self, job: str, row: Pending, state: AskState, confidence: float, rests_on: Sequence[Scope]) -> None:
        """Keep a draft for all rows that are the same; not where its document was erased meanwhile."""
        values = {"confidence": confidence, "rests_on": fingerprints(rests_on)}
        with self._begun() as db:
            db.execute(update(rows).where(*alike(job, row)).values(**values))
            first = rows.c.number == row.number
            db.execute(update(rows).where(*alike(job, row), first).values(state=json.dumps(state)))

    def standing(self, job: str) -> list[Standing]:
        """All rows that were drafted, in order."""
        columns = (rows.c.number, rows.c.key, rows.c.basis, rows.c.confidence, rows.c.loss, rows.c.route, rows.c.error)
        query = select(*columns).where(rows.c.job == job, rows.c.confidence.is_not(None)).order_by(rows.c.number)
        with self._begun() as db:
            found = db.execute(query).all()
        first: dict[tuple[str, str], int] = {}
        for r in found:
            first.setdefault((r.key, r.basis), r.number)
        return [
            Standing(r.number, first[r.key, r.basis], r.confidence, r.loss, r.route, r.error is not None) for r in found
        ]

    def taken_up(self, job: str, number: int) -> tuple[Pending, AskState] | None:
        """The draft of a row, or of the one that stands for it; none where it was answered, or erased."""
        with self._begun() as db:
            own = db.execute(select(rows.c.key, rows.c.basis).where(rows.c.job == job, rows.c.number == number))
            known = own.one_or_none()
            if known is None:
                return None
            same = (rows.c.job == job, rows.c.key == known.key, rows.c.basis == known.basis)
            found = db.execute(select(rows).where(*same, rows.c.state.is_not(None))).first()
        if found is None:
            return None
        query = Query.model_validate_json(found.query)
        return Pending(found.number, found.key, found.basis, query), json.loads(found.state)

    def sound(self, job: str) -> int:
        """How many rows have not failed."""
        with self._begun() as db:
            query = select(func.count()).where(rows.c.job == job, rows.c.error.is_(None))
            return int(db.scalar(query) or 0)

    def guarantee(self, job: str) -> Guarantee | None:
        """What is to be promised of a job."""
        with self._begun() as db:
            held = db.scalar(select(jobs.c.guarantee).where(jobs.c.id == job))
        return None if held is None else Guarantee.model_validate_json(held)

    def promise(self, job: str, guarantee: Guarantee) -> None:
        """Note what has become of it."""
        with self._begun() as db:
            db.execute(update(jobs).where(jobs.c.id == job).values(guarantee=guarantee.model_dump_json()))


def alike(job: str, row: Pending) -> tuple[Any, ...]:
    """The rows that are the same as one."""
    return (rows.c.job == job, rows.c.key == row.key, rows.c.basis == row.basis)


def goes_on(
    db: Connection,
    known: Row[Any] | None,
    status: str | None,
    collection: str,
    made: Sequence[Mapping[str, Any]],
    guarantee: Guarantee,
) -> bool:
    """Whether a job with a guarantee is gone on with as it is: the same rows, and the same promise, not yet broken.

    Args:
        db: of the journal.
        known: the job, if it is known.
        status: that it had.
        collection: whose documents are asked now.
        made: its rows, as they would be begun now.
        guarantee: as it would be begun now.
    """
    if known is None or known.guarantee is None or known.collection != collection:
        return False
    held = Guarantee.model_validate_json(known.guarantee)
    if (held.max_quality_loss, held.confidence) != (guarantee.max_quality_loss, guarantee.confidence):
        return False
    if held.why != guarantee.why and (status == "done" or guarantee.why):
        return False
    names = ("number", "key", "basis", "query")
    query = select(*(rows.c[name] for name in names)).where(rows.c.job == known.id).order_by(rows.c.number)
    return [tuple(r) for r in db.execute(query)] == [tuple(row[name] for name in names) for row in made]


def told(db: Connection, job: Row[Any]) -> Guarantee | None:
    """A job's guarantee, with the words of the row that nothing is promised for, as long as they are there."""
    if job.guarantee is None:
        return None
    held = Guarantee.model_validate_json(job.guarantee)
    if held.row is None:
        return held
    query = select(rows.c.answer, rows.c.error).where(rows.c.job == job.id, rows.c.number == held.row)
    row = db.execute(query).one_or_none()
    if row is None:
        return held
    words = row.error if row.answer is None else Answer.model_validate_json(row.answer).reason
    return held.model_copy(update={"why": f"{held.why}: {words}"})
