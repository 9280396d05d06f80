"""Jobs: many questions asked as one piece of work, which may be broken off and gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from understudy.core.data import Data
from understudy.core.types import Answer

__all__ = [
    "Between", "Guarantee", "Job", "JobEngine", "JobStatus", "Plan", "Query", "Result", "SchemaSource",
]  # fmt: skip

JobEngine = Literal["local", "ray"]
"""Who drafts the questions of a job: the process that runs it, or the workers of a Ray cluster."""
JobStatus = Literal["running", "interrupted", "cancelled", "done"]
"""`interrupted`: it ended before it was done, for whatever reason; it can be gone on with."""


class Query(Data):
    """A question of a job."""

    question: str
    document: str | None = None
    """Only this one of the collection's."""
    id: str | None = None
    """The asker's own name for it."""
    answers: tuple[str, ...] = ()
    """What is known to be right, where the asker knows; it is passed on, and nobody is shown it."""
    problem: str | None = None
    """Why it can't be asked: then it isn't, and this is its error."""


class Result(Data):
    """What became of a question of a job."""

    number: int
    """Its place in the job, from 0."""
    query: Query
    answer: Answer | None = None
    error: str | None = None
    """One line; with neither, it was not asked yet."""


class SchemaSource(Data):
    """Where the schema is that a job fills."""

    name: str
    """FILE:CLASS with the file's whole path, or MODULE:CLASS."""
    sha256: str
    """Of the file, as it was when the job was begun."""


class Guarantee(Data):
    """What a job was to promise of its answers as a whole, and what became of it."""

    max_quality_loss: float
    """Over all rows that are answered, against an expert's answers to them."""
    confidence: float
    """With which it is promised."""
    rows: int = 0
    """Over which the loss is taken: those of the job that had an answer, or a draft, when it was tested."""
    tested: bool = False
    """Whether it is known which drafts may be given."""
    threshold: float | None = None
    """Drafts of at least this confidence are given; without one, none is."""
    labelled: int = 0
    """Rows with a draft that experts were asked about to find it; they have the experts' answers."""
    given: bool = False
    """Whether the promise holds: not before the job is done."""
    why: str = ""
    """Why nothing is promised; "" while the job is under way, and where it is."""
    row: int | None = None
    """The first row that got no expert's answer, and should have: its own words say why."""


class Job(Data):
    """A job in short."""

    id: str
    principal: str
    collection: str
    output: str
    """Where its results go; "" where whoever runs it says."""
    status: JobStatus
    budget_usd: float | None
    created: str
    changed: str
    """Times in UTC, sortable."""
    total: int
    done: int
    """Answered, or known to have no answer: `failed` is a part of it."""
    failed: int
    routes: Mapping[str, int]
    cost_usd: float
    """Of the experts, by the answers."""
    extracts: SchemaSource | None = None
    """The schema that its answers fill; none for a job of questions."""
    written: str
    """SHA-256 of the results as they were written last, and of those before; "" before there were any."""
    guarantee: Guarantee | None = None
    """Where one was asked for."""


class Between(Data):
    """An estimate with the interval that it lies in with 95% confidence."""

    value: float
    low: float
    high: float


class Plan(Data):
    """What a job would take, by a sample of its questions."""

    questions: int
    """Those that are the same count once."""
    sampled: int
    failed: int
    """Of the sample."""
    seconds_a_question: Between
    """On this machine, with as many at once as the job would have."""
    hours: Between
    """Of the small model, on this machine; experts are waited for beside it."""
    consulted: Between
    """The share that would go to an expert."""
    usd: Between
    most_usd: float
    """If every call of them took its worst case, with retries and the longest reply."""
    priced_by: str
    """What the cost of a call was taken from."""
