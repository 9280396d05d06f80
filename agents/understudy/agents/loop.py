"""An event loop in a thread of its own, so that synchronous and asynchronous callers share one agent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from typing import Any, TypeVar

__all__ = ["Loop"]

T = TypeVar("T")
THREADS = 64
"""Most of them wait: for the small model, a database, or a core."""


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(THREADS, "understudy"))
        self._works: set[asyncio.Task[Any]] = set()
        """In progress. What they leave running, such as a session with a server, is none of them."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="understudy", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, from any other thread. Ctrl-C cancels the work."""
        future = self._begun(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def awaited(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """The work's result, for an `await` on another loop."""
        return asyncio.wrap_future(self._begun(work))

    def _begun(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Work in an empty context: a caller that is itself traced by LangChain would hand its tracers down."""
        return Context().run(asyncio.run_coroutine_threadsafe, self._working(work), self._loop)

    async def _working(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._works.add(task)
        try:
            return await work
        finally:
            self._works.discard(task)

    def settle(self, seconds: float) -> None:
        """Let work in progress come to its end; what takes longer is cancelled."""
        self.run(self._settled(seconds))

    async def _settled(self, seconds: float) -> None:
        others = self._works - {asyncio.current_task()}
        if others:
            _, late = await asyncio.wait(others, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def close(self) -> None:
        """Stop the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
