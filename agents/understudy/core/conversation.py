"""Threads as people see them: what was asked in them, what became of it, and where a citation stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from understudy.core.data import Data
from understudy.core.types import Answer

__all__ = ["Excerpt", "Receipt", "ThreadInfo", "Turn", "TurnStatus"]

TurnStatus = Literal["running", "done", "waiting", "interrupted"]
"""What became of a question: it is being answered, it was, it waits for a person, or it was stopped or killed."""


class ThreadInfo(Data):
    """A thread in short."""

    id: str
    title: str
    """Its first question, until somebody renames it."""
    collection: str
    """That was asked last."""
    turns: int
    begun: str
    updated: str
    """Times in UTC, sortable."""
    status: TurnStatus
    """Of its last question."""


class Turn(Data):
    """One question of a thread."""

    number: int
    """From 1."""
    question: str
    collection: str
    document: str | None
    asked: str
    status: TurnStatus
    answer: Answer | None = None
    """`None` until there is one."""
    error: str | None = None
    """Why there is none, in one line."""
    good: bool | None = None
    """What somebody said of the answer."""
    correction: str | None = None
    """What they would have answered."""


class Excerpt(Data):
    """A piece of a document around something quoted: `text[start - offset : end - offset]` is the quote."""

    document: str
    title: str
    location: str
    """Where it stands, as people say it: "page 12"."""
    start: int
    end: int
    offset: int
    """Where the excerpt begins. All three are code points into the document's stored text."""
    text: str
    length: int
    """Of the whole document."""


class Receipt(Data):
    """What an answer took: what left the machine for it, and what it cost."""

    bytes: int = 0
    """Of messages that left, as they were sent."""
    sent: int = 0
    """Messages that left, attempts that failed included."""
    replaced: Mapping[str, int] = {}
    """Values that stood in them as placeholders, by type."""
    experts: tuple[str, ...] = ()
    """Who was sent something."""
    recorded: tuple[str, ...] = ()
    """Recorded experts that answered: they are on this machine, and nothing is sent to them."""
    refused: int = 0
    """Messages that the guard held back."""
    cost_usd: float = 0.0
    """Billed for it, as far as is known."""
    always_usd: float | None = None
    """About what asking the cheapest expert with the same passages would have cost; `None` where there is none."""
