"""How fast an expert is asked: so many requests at once, so many a minute, and none while it wants to be left alone."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["LONGEST_REST_S", "Pace", "rest_wanted"]

MINUTE_S = 60.0
LONGEST_REST_S = 60.0
"""A rest that is longer isn't waited for: the expert counts as down."""


class Pace:
    """Turns to ask one expert, for all who ask it on one event loop. Who came first has the first turn.

    Args:
        at_once: requests in progress at the most.
        per_minute: requests begun within any minute at the most; as many as there are, without.
        clock: in seconds.
    """

    def __init__(
        self, at_once: int, per_minute: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._room = asyncio.Semaphore(at_once)
        self._per_minute = per_minute
        self._clock = clock
        self._first = asyncio.Lock()  # whoever has it is the next to begin
        self._begun: deque[float] = deque()
        self._rests = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One request: waits until it may begin. Who is cancelled meanwhile takes no turn."""
        async with self._room:
            async with self._first:
                while (wait := self._wait()) > 0:
                    await asyncio.sleep(wait)
                if self._per_minute is not None:
                    self._begun.append(self._clock())
            yield

    def rest(self, seconds: float) -> None:
        """Let nobody begin for so long; those in progress go on."""
        self._rests = max(self._rests, self._clock() + seconds)

    def _wait(self) -> float:
        """Seconds until the next may begin, as far as is known now."""
        now = self._clock()
        while self._begun and now - self._begun[0] >= MINUTE_S:
            self._begun.popleft()
        full = self._per_minute is not None and len(self._begun) >= self._per_minute
        return max(self._rests - now, self._begun[0] + MINUTE_S - now if full else 0.0)


def rest_wanted(error: Exception) -> float | None:
    """Seconds that a server asks to be left alone for (`Retry-After`), where the provider's client shows it."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    said = None if headers is None else headers.get("retry-after")
    if said is None:
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
