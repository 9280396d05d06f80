"""Jobs: many questions asked as one piece of work, which may be broken off and gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from understudy.core.data import Data
from understudy.core.types import Answer

__all__ = ["Job", "JobEngine", "JobStatus", "Query", "Result", "SchemaSource"]

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
