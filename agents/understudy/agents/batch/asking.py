"""How a job's questions are asked: several beside each other, outside any thread, and with nobody to wait for.

The small model takes one step at a time; while it does, other questions search, read, or wait for an expert.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from understudy.core.egress import Guard, Outbound, Payload
from understudy.core.errors import (
    AccessError,
    EgressRefused,
    ExpertError,
    ScopeError,
    Stopped,
    UnderstudyError,
    WorkspaceError,
)
from understudy.core.jobs import Query
from understudy.core.protocols import Expert, Experts
from understudy.core.types import ExpertAnswer, Scope

__all__ = ["Informed", "NobodyThere", "each", "error_line"]

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


@dataclass(frozen=True)
class Informed:
    """The experts that would see evidence: what others say measures nothing.

    Args:
        experts: all.
        informs: whether one (by name) would see evidence, by the policy of what a payload draws on.
    """

    experts: Experts
    informs: Callable[[Sequence[str], str], bool]

    def __len__(self) -> int:
        return len(self.experts)

    def ranked(self, payload: Payload) -> Iterator[Expert]:
        """Those that may be asked now, in the order to ask them."""
        for expert in self.experts.ranked(payload):
            if self.informs(payload.sources, expert.name):
                yield expert
            else:
                self.experts.note(expert.name, payload.scope, None, None)

    def note(self, expert: str, scope: Scope, answer: ExpertAnswer | None, error: ExpertError | None) -> None:
        """What came of asking one."""
        self.experts.note(expert, scope, answer, error)


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
