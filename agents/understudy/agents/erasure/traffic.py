"""Who is at work in a workspace: questions and ingests share it, an erasure has it alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from understudy.core.errors import WorkspaceBusyError

__all__ = ["Traffic"]

WAITED_S = 0.02
"""Between two looks of a question whether it may begin."""


class Traffic:
    """A lock that many share or one has alone. Who comes while one wants it alone waits until that is over."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0
        self._alone = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """For what may go on beside others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._sharing += 1
        try:
            yield
        finally:
            self._left()

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """`shared`, without holding up the event loop."""
        while not self._entered():
            await asyncio.sleep(WAITED_S)
        try:
            yield
        finally:
            self._left()

    @contextmanager
    def alone(self, wait_s: float) -> Iterator[None]:
        """Once all others have finished. Raises `WorkspaceBusyError` where they take longer than `wait_s` seconds."""
        with self._changed:
            if self._alone:
                raise WorkspaceBusyError("an erasure is under way; wait for it to end")
            self._alone = True
            if not self._changed.wait_for(lambda: not self._sharing, wait_s):
                self._alone = False
                self._changed.notify_all()
                raise WorkspaceBusyError(
                    f"{self._sharing} questions or other work haven't finished within {wait_s:g} s, so nothing was "
                    "erased; wait for them to end, or stop them"
                )
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()

    def _entered(self) -> bool:
        with self._changed:
            self._sharing += not self._alone
            return not self._alone

    def _left(self) -> None:
        with self._changed:
            self._sharing -= 1
            self._changed.notify_all()
