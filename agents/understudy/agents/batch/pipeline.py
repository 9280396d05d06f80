"""A job's questions, one half after the other: so many are drafted at a time, and those that wait do so beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from understudy.agents.batch.asking import each
from understudy.agents.batch.journal import Pending
from understudy.agents.erasure.traffic import Traffic
from understudy.core.errors import Stopped, UnderstudyError
from understudy.core.protocols import Cancel
from understudy.core.types import Answer, Scope
from understudy.graphs.state import AskState

__all__ = ["Keep", "Pipeline"]

WAITING = 64
"""Drafts that wait for an expert at most: then no more are made, until one is answered."""
KEPT = "the job was stopped; what is answered is kept"

Work = Callable[[Pending], Awaitable[None]]
Keep = Callable[[Pending, Answer | UnderstudyError, tuple[Scope, ...]], None]
"""What is done with an answer, or with an error, and what it rests on."""


@dataclass(frozen=True)
class Pipeline:
    """How rows become answers.

    Args:
        traffic: of the workspace: what becomes of a row is kept before a document behind it can be erased.
        draft: the first half of a question; `None` where it is put off.
        settle: the second.
        keep: takes what became of a row, in whatever order.
        stopped: asked before every row; true ends it.
    """

    traffic: Traffic
    draft: Callable[[Pending], Awaitable[AskState | None]]
    settle: Callable[[Pending, AskState], Awaitable[tuple[Answer, tuple[Scope, ...]]]]
    keep: Keep
    stopped: Cancel

    async def run(self, rows: Iterable[Pending], at_once: int) -> None:
        """Work on all rows, so many drafts at a time.

        Where it is stopped, or `keep` raises an error, no row is begun any more, and what is drafted is settled: what
        it asks is paid for.

        Raises:
            Stopped: `stopped` said so, or a draft was stopped.
            UnderstudyError: the first that `keep` raised.
        """
        await self._all(lambda work: each(rows, at_once, work))

    async def follow(self, rows: AsyncIterator[Pending]) -> None:
        """The same, with rows that come when they have been drafted elsewhere: `draft` only takes the draft up.

        Raises:
            Stopped: `stopped` said so, or `rows` was stopped.
            UnderstudyError: the first that `keep` raised, or that `rows` did.
        """

        async def all_of(work: Work) -> None:
            async for row in rows:
                await work(row)

        await self._all(all_of)

    async def _all(self, begun: Callable[[Work], Awaitable[None]]) -> None:
        room, errors = asyncio.Semaphore(WAITING), list[UnderstudyError]()
        async with asyncio.TaskGroup() as settling:

            async def work(row: Pending) -> None:
                if bool(errors) or await asyncio.to_thread(self.stopped):
                    raise Stopped(KEPT)
                async with AsyncExitStack() as held:
                    await held.enter_async_context(self.traffic.passing())
                    state = await self._drafted(row, errors)
                    if state is not None:
                        await room.acquire()
                        settling.create_task(self._settled(row, state, held.pop_all(), room, errors))

            try:
                await begun(work)
            except UnderstudyError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def _drafted(self, row: Pending, errors: list[UnderstudyError]) -> AskState | None:
        try:
            return await self.draft(row)
        except Stopped as error:
            raise Stopped(KEPT) from error
        except UnderstudyError as error:
            await self._kept(row, error, (), errors)
            return None

    async def _settled(
        self,
        row: Pending,
        state: AskState,
        held: AsyncExitStack,
        room: asyncio.Semaphore,
        errors: list[UnderstudyError],
    ) -> None:
        async with held:
            try:
                answer, rests_on = await self.settle(row, state)
            except UnderstudyError as error:
                await self._kept(row, error, (), errors)
            else:
                await self._kept(row, answer, rests_on, errors)
            finally:
                room.release()

    async def _kept(
        self,
        row: Pending,
        outcome: Answer | UnderstudyError,
        rests_on: tuple[Scope, ...],
        errors: list[UnderstudyError],
    ) -> None:
        try:
            await asyncio.to_thread(self.keep, row, outcome, rests_on)
        except UnderstudyError as error:
            errors.append(error)
