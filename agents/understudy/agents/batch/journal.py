"""The journal of jobs: every question with its answer, kept as soon as it is there.

A row is known by its question and the versions of the documents that it is asked of. When a job is begun anew with
changed questions or documents, rows that are the same keep their answers.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from understudy.agents.batch.drafts import ASKED, Drafts, Pending, goes_on, told
from understudy.agents.batch.tables import jobs, metadata, rows
from understudy.core.errors import ScopeError, UserError
from understudy.core.jobs import Guarantee, Job, JobStatus, Query, Result, SchemaSource
from understudy.core.provenance import fingerprints
from understudy.core.sqlite import add_columns, leads_to, now, open_sqlite, workspace_errors
from understudy.core.types import Answer, Scope

__all__ = ["Journal", "Pending"]

AT_ONCE = 500
"""Rows that are read, or written, in one go."""


class Journal(Drafts):
    """Jobs on SQLite. Raises `WorkspaceError` where the file can't be used.

    Args:
        path: of the database. Nobody else runs jobs in it: those that are marked as running were broken off.
    """

    kind = "job_answers"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._engine = open_sqlite(path)
        with self._begun() as db:
            metadata.create_all(db)
            add_columns(db, jobs)
            add_columns(db, rows)
            db.execute(update(jobs).where(jobs.c.status == "running").values(status="interrupted"))

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def begin(
        self,
        job: str,
        principal: str,
        collection: str,
        output: str,
        budget_usd: float | None,
        queries: Sequence[Query],
        basis: Callable[[Query], str],
        terms: str = "",
        extracts: SchemaSource | None = None,
        guarantee: Guarantee | None = None,
    ) -> Job:
        """Write a job down, or take it up again: rows that are as they were keep their answers, and no error stays.

        Args:
            job: its id.
            principal: whose it is.
            collection: whose documents are asked.
            output: where results go.
            budget_usd: what its experts may cost.
            queries: in order.
            basis: a digest of the versions that a query is asked of.
            terms: what it goes by, unless it is gone on with: then those that it was begun with.
            extracts: the schema that its answers fill.
            guarantee: what is to be promised of it as a whole. Where anything changed, all rows are tested anew, and
                keep their answers only if those are an expert's.

        Raises:
            UserError: it is running.
        """
        values = {"principal": principal, "collection": collection, "output": output, "budget_usd": budget_usd}
        schema = {"extracts": None if extracts is None else extracts.model_dump_json()}
        promise = None if guarantee is None else guarantee.model_dump_json()
        with self._lock, self._begun() as db:
            if job in self._running:
                raise running(job)
            # The first thing is to write, so that nothing changes between what is read and what is written.
            db.execute(update(jobs).where(jobs.c.id == job).values(changed=now()))
            before = db.scalar(select(jobs.c.status).where(jobs.c.id == job))
            db.execute(update(jobs).where(jobs.c.id == job).values(status="interrupted"))
            known = db.execute(select(jobs).where(jobs.c.id == job)).one_or_none()
            kept = {} if known is None or known.collection != collection else answered(db, job)
            made = [row_of(job, number, query, basis(query), collection) for number, query in enumerate(queries)]
            same = guarantee is not None and goes_on(db, known, before, collection, made, guarantee)
            if same:
                again = {"error": None, "confidence": None, "loss": None}
                db.execute(update(rows).where(rows.c.job == job, rows.c.error.is_not(None)).values(**again))
            else:
                db.execute(delete(rows).where(rows.c.job == job))
                for row in made:
                    keep_answer(row, kept, expert=guarantee is not None)
                for at in range(0, len(made), AT_ONCE):
                    db.execute(insert(rows), made[at : at + AT_ONCE])
            if known is None:
                new = {"id": job, "status": "interrupted", "created": now(), "changed": now(), "written": ""}
                db.execute(insert(jobs).values(**new, **values, **schema, terms=terms, guarantee=promise))
            else:
                if not same:
                    values |= {"guarantee": promise}
                    values |= {"terms": terms} if before == "done" or guarantee is not None else {}
                db.execute(update(jobs).where(jobs.c.id == job).values(**values, **schema))
        return self.get(job)

    @contextmanager
    def running(self, job: str) -> Iterator[None]:
        """Have a job for oneself; where it ends, it is done, or it was broken off. Raises `UserError`: it is running.

        One that was cancelled runs until what it had asked by then is answered.
        """
        with self._lock:
            if job in self._running:
                raise running(job)
            self._running.add(job)
        ended: JobStatus = "interrupted"
        try:
            self.mark(job, "running")
            yield
            ended = "done"
        finally:
            self._running.discard(job)
            if not self.cancelled(job):
                self.mark(job, ended)

    def pending(self, job: str) -> Iterator[Pending]:
        """What is still to be asked: one of each row that is the same, those of one document after each other.

        A few hundred are held at a time.
        """
        numbers = self._open_numbers(job)
        columns = (rows.c.number, rows.c.key, rows.c.basis, rows.c.query)
        for at in range(0, len(numbers), AT_ONCE):
            some = numbers[at : at + AT_ONCE]
            with self._begun() as db:
                read = db.execute(select(*columns).where(rows.c.job == job, rows.c.number.in_(some))).all()
            found = {r.number: Pending(r.number, r.key, r.basis, Query.model_validate_json(r.query)) for r in read}
            yield from (found[number] for number in some if number in found)  # some may have been erased

    def _open_numbers(self, job: str) -> list[int]:
        open_ = (rows.c.job == job) & rows.c.answer.is_(None) & rows.c.error.is_(None)
        first = select(func.min(rows.c.number)).where(open_).group_by(rows.c.key, rows.c.basis)
        document = func.json_extract(rows.c.query, "$.document")
        query = select(rows.c.number, document).where(rows.c.job == job, rows.c.number.in_(first))
        order: dict[str | None, int] = {}
        with self._begun() as db:
            found = [(order.setdefault(of, number), number) for number, of in db.execute(query.order_by(rows.c.number))]
        return [number for _, number in sorted(found)]

    def keep(
        self,
        job: str,
        row: Pending,
        outcome: Answer | str,
        rests_on: Sequence[Scope] = (),
        loss: float | None = None,
    ) -> int:
        """Keep an answer, or the one line of an error, for all rows that are the same; gives how many there are still.

        None are left where its document was erased meanwhile. `loss` is what its draft would have lost, where it was
        measured.
        """
        answer = outcome if isinstance(outcome, Answer) else None
        values: dict[str, Any] = {"error": None if answer is not None else str(outcome), "state": None, "loss": loss}
        if answer is not None:
            values |= {"answer": answer.model_dump_json(), "route": answer.route, "cost_usd": 0.0}
            values["rests_on"] = fingerprints(rests_on)
        alike = (rows.c.job == job) & (rows.c.key == row.key) & (rows.c.basis == row.basis)
        with self._begun() as db:
            changed = db.execute(update(rows).where(alike).values(**values)).rowcount
            if answer is not None and changed:  # one call was paid for all of them
                first = db.scalar(select(func.min(rows.c.number)).where(alike))
                db.execute(update(rows).where(alike, rows.c.number == first).values(cost_usd=answer.cost_usd))
        return int(changed)

    def results(self, job: str) -> Iterator[Result]:
        """Every row, in order, whatever became of it; a few hundred are held at a time."""
        last = -1
        while True:
            query = select(rows).where(rows.c.job == job, rows.c.number > last).order_by(rows.c.number).limit(AT_ONCE)
            with self._begun() as db:
                found = [result_of(r) for r in db.execute(query).all()]
            if not found:
                return
            yield from found
            last = found[-1].number

    def terms(self, job: str) -> str | None:
        """What a job goes by; `None` for one of before that was noted."""
        with self._begun() as db:
            return db.scalar(select(jobs.c.terms).where(jobs.c.id == job)) or None

    def agree(self, job: str, terms: str) -> None:
        """Let a job go by other terms."""
        with self._begun() as db:
            db.execute(update(jobs).where(jobs.c.id == job).values(terms=terms))

    def mark(self, job: str, status: JobStatus) -> None:
        """Say where a job stands."""
        with self._begun() as db:
            db.execute(update(jobs).where(jobs.c.id == job).values(status=status, changed=now()))

    def cancelled(self, job: str) -> bool:
        """Whether somebody has cancelled it."""
        with self._begun() as db:
            return bool(db.scalar(select(jobs.c.status).where(jobs.c.id == job)) == "cancelled")

    def writes(self, job: str, digest: str) -> None:
        """Note what the output is about to hold; until then it holds what it did, which counts as well."""
        with self._begun() as db:
            before = str(db.scalar(select(jobs.c.written).where(jobs.c.id == job))).split()
            db.execute(update(jobs).where(jobs.c.id == job).values(written=" ".join([digest, *before[:1]])))

    def find(self, job: str) -> Job | None:
        """A job by its id, if there is one."""
        with self._begun() as db:
            row = db.execute(select(jobs).where(jobs.c.id == job)).one_or_none()
            return None if row is None else job_of(db, row)

    def get(self, job: str) -> Job:
        """A job by its id. Raises `ScopeError`."""
        found = self.find(job)
        if found is None:
            raise ScopeError(f"there is no job {job!r}; understudy jobs list shows those that are")
        return found

    def listing(self, principal: str | None) -> list[Job]:
        """All jobs, or a principal's, the one that changed last first."""
        query = select(jobs).order_by(jobs.c.changed.desc())
        if principal is not None:
            query = query.where(jobs.c.principal == principal)
        with self._begun() as db:
            return [job_of(db, row) for row in db.execute(query).all()]

    def found(self, document: Scope) -> list[str]:
        """The rows that rest on a document, or ask for it."""
        with self._begun() as db:
            return [f"{r.job}/{r.number}" for r in db.execute(self._touched(document)).all()]

    def forget(self, document: Scope) -> None:
        """Take them out; the job's own questions bring them back, with an error, when it is begun anew."""
        with self._begun() as db:
            for r in db.execute(self._touched(document)).all():
                db.execute(delete(rows).where(rows.c.job == r.job, rows.c.number == r.number))

    def _touched(self, document: Scope) -> Any:
        return select(rows.c.job, rows.c.number).where(leads_to(rows.c.rests_on, document))

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with workspace_errors(self._path), self._engine.begin() as db:
            yield db


def running(job: str) -> UserError:
    """Nobody else may run it meanwhile."""
    return UserError(f"job {job!r} is running; understudy jobs show {job} says how far it is, jobs cancel stops it")


def answered(db: Connection, job: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What a job's rows were answered with, by what they are known by."""
    columns = (rows.c.key, rows.c.basis, rows.c.answer, rows.c.route, rows.c.cost_usd, rows.c.rests_on)
    found = db.execute(select(*columns).where(rows.c.job == job, rows.c.answer.is_not(None)).order_by(rows.c.number))
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for r in found:
        kept.setdefault((r.key, r.basis), dict(r._mapping))
    return kept


def row_of(job: str, number: int, query: Query, basis: str, collection: str) -> dict[str, Any]:
    """A row that was not asked yet."""
    key = hashlib.sha256(json.dumps([query.question, query.document, query.problem]).encode()).hexdigest()
    of = [Scope(collection=collection, document=query.document)] if query.document is not None else []
    new = {"key": key, "basis": basis, "answer": None, "route": None, "cost_usd": 0.0, "rests_on": fingerprints(of)}
    return {"job": job, "number": number, "query": query.model_dump_json(), "error": None, **new}


def keep_answer(row: dict[str, Any], kept: dict[tuple[str, str], dict[str, Any]], *, expert: bool) -> None:
    """Give a row its answer where it is known; only an expert's, where that is wanted."""
    known = kept.get((row["key"], row["basis"]))
    if known is not None and (not expert or known["route"] in ASKED):
        row |= known
        known["cost_usd"] = 0.0  # one call was paid for all that are the same


def result_of(row: Row[Any]) -> Result:
    """A row as others see it."""
    answer = None if row.answer is None else Answer.model_validate_json(row.answer)
    if answer is not None:
        answer = answer.model_copy(update={"cost_usd": row.cost_usd})
    return Result(number=row.number, query=Query.model_validate_json(row.query), answer=answer, error=row.error)


def job_of(db: Connection, row: Row[Any]) -> Job:
    """A job with its counts."""
    own = rows.c.job == row.id
    counts = select(
        func.count(), func.count(rows.c.answer), func.count(rows.c.error), func.coalesce(func.sum(rows.c.cost_usd), 0.0)
    ).where(own)
    total, answers, failed, cost = db.execute(counts).one()
    routes = db.execute(select(rows.c.route, func.count()).where(own, rows.c.route.is_not(None)).group_by(rows.c.route))
    shown = {name: row._mapping[name] for name in jobs.c.keys() if name not in ("terms", "guarantee")}  # noqa: SIM118
    if row.extracts is not None:
        shown["extracts"] = SchemaSource.model_validate_json(row.extracts)
    return Job(
        **shown,
        guarantee=told(db, row),
        total=total,
        done=answers + failed,
        failed=failed,
        routes={r.route: r[1] for r in routes},
        cost_usd=float(cost),
    )
