"""A question's way through the server: into the queue, to the agent, and out again when whoever asked goes away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import TypeVar, cast

from fastapi import Request

from understudy.apps.api.errors import ApiError
from understudy.apps.server.served import Served
from understudy.core.errors import Stopped
from understudy.core.types import Answer
from understudy.graphs.state import Event

__all__ = [
    "CLIENT_GONE",
    "ClientGone",
    "Events",
    "Happening",
    "answer_in",
    "closing",
    "happenings",
    "listening",
    "until",
]

T = TypeVar("T")
CLIENT_GONE = 499
"""What nginx calls it; nobody is there to read it."""
Happening = int | Event
"""A position in the queue, or what the agent does."""
Events = Callable[[], AsyncIterator[Event]]


class ClientGone(Exception):
    """Whoever asked doesn't listen any more."""


async def happenings(
    served: Served, principal: str, events: Events, thread: str | None = None
) -> AsyncGenerator[Happening]:
    """Wait for a turn, giving every position in the queue, and then what the agent does.

    Raises `QueueFull`, `ApiError` where another question is being answered in that thread, and what the agent raises.
    Closing it gives up the place, and stops inference.
    """
    began = time.perf_counter()
    with alone_in(served, principal, thread):
        async with served.queue.place(principal) as place:
            while place.position:
                yield place.position
                await place.moved()
            served.metrics.waited(time.perf_counter() - began)
            async with aclosing(cast(AsyncGenerator[Event], events())) as happening:
                async for event in happening:
                    if event.answer is not None:
                        served.metrics.answered(event.answer, time.perf_counter() - began)
                    yield event


@contextmanager
def alone_in(served: Served, principal: str, thread: str | None) -> Iterator[None]:
    """Have a thread for one question; a second would write over what the first one notes."""
    if thread is None:
        yield
        return
    if (principal, thread) in served.busy:
        raise ApiError(
            409, f"a question is being answered in thread {thread!r}; wait for its answer", "thread_busy", "thread"
        )
    served.busy.add((principal, thread))
    try:
        yield
    finally:
        served.busy.discard((principal, thread))


@asynccontextmanager
async def listening(request: Request, served: Served) -> AsyncIterator[tuple[asyncio.Task[None], ...]]:
    """What ends an answer early: whoever asked goes away, or the server shuts down."""
    gone = asyncio.create_task(disconnected(request))
    stopping = asyncio.create_task(closing(served))
    try:
        yield gone, stopping
    finally:
        gone.cancel()
        stopping.cancel()


async def disconnected(request: Request) -> None:
    """Wait until a client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def closing(served: Served) -> None:
    """Wait until the server shuts down. Raises `Stopped`."""
    await served.stopping.wait()
    raise Stopped("the server is shutting down; ask again in a while")


async def until(events: AsyncGenerator[T], *ends: asyncio.Task[None]) -> AsyncGenerator[T]:
    """Give what comes, until something ends it.

    Raises `ClientGone`, or what an end raises, and closes `events` before it does.
    """
    async with aclosing(events):
        while True:
            coming = asyncio.ensure_future(anext(events))
            try:
                await asyncio.wait({coming, *ends}, return_when=asyncio.FIRST_COMPLETED)
                for end in ends:
                    if end.done():
                        end.result()
                        raise ClientGone
                try:
                    found = await coming
                except StopAsyncIteration:
                    return
            finally:
                await ended(coming)
            yield found


async def ended(task: asyncio.Future[T]) -> None:
    """See a task to its end."""
    if not task.done():
        task.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await task


async def answer_in(events: AsyncGenerator[Happening]) -> Answer:
    """The answer that they end with."""
    answer: Answer | None = None
    async for event in events:
        if isinstance(event, Event) and event.answer is not None:
            answer = event.answer
    assert answer is not None
    return answer
