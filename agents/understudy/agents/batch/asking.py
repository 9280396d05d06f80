"""How a job's questions are asked: several beside each other, outside any thread, and with nobody to wait for.

The small model takes one step at a time; while it does, other questions search, read, or wait for an expert.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from understudy.core.egress import Guard, Outbound, Payload
from understudy.core.errors import (
    AccessError,
    EgressRefused,
    ScopeError,
    Stopped,
    UnderstudyError,
    WorkspaceError,
)
from understudy.core.jobs import Query
from understudy.core.types import ExpertAnswer

__all__ = ["NobodyThere", "each", "error_line"]

T = TypeVar("T")
FATAL = (WorkspaceError, AccessError, Stopped)
"""No other question of the job would fare better."""


@dataclass(frozen=True)
class NobodyThere:
    """A guard that lets nothing out which a person would have to approve: a job waits for nobody."""

    guard: Guard

    def check(self, payload: Payload, expert: str, thread: str, edited: str | None = None) -> Outbound:
        """What may leave, as the guard has it. Raises `EgressRefused`, where a person would have to be asked too."""
        sent = self.guard.check(payload, expert, thread, edited)
        if sent.asks:
            raise EgressRefused("a person would have to approve what is sent, and a job waits for nobody", "approval")
        return sent

    def sending(self, sent: Outbound) -> AbstractContextManager[None]:
        """While it is sent."""
        return self.guard.sending(sent)

    def restore(self, answer: ExpertAnswer, sent: Outbound) -> ExpertAnswer:
        """An answer with the values that were kept back."""
        return self.guard.restore(answer, sent)


async def each(items: Iterable[T], at_once: int, work: Callable[[T], Awaitable[None]]) -> None:
    """Work on all items, so many at a time, begun in order. The first error ends it, and stops the others.

    Where one is stopped, none is begun after it, and those in progress come to their end: what they ask is paid for.
    """
    left, stopped = iter(items), []

    async def worker() -> None:
        for item in left:
            try:
                await work(item)
            except Stopped as error:
                stopped.append(error)
            if stopped:
                return

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(worker())
    if stopped:
        raise stopped[0]


def error_line(error: UnderstudyError, query: Query, collection: str) -> str:
    """An error of one question, in one line. Raises it anew where the whole job is at an end."""
    if isinstance(error, FATAL):
        raise error
    if type(error) is ScopeError and query.document is not None:  # its own words name the nearest, which may be erased
        return f"there is no document {query.document!r} in collection {collection!r}"
    return " ".join(str(error).split())
