"""Who is answered next: one small model, several people, and nobody may push in."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from understudy.core.errors import UnderstudyError

__all__ = ["FairQueue", "Place", "QueueFull"]

OnPosition = Callable[[int], None]
FIRST_GUESS_S = 1.0
"""How long a question takes, before any was measured."""
LONGEST_WAIT_S = 120
KEPT_FREE = 4
"""One place of so many is kept for those of whom none waits yet."""


class QueueFull(UnderstudyError):
    """Too many wait already. `retry_after_s` is when a place may be free, in whole seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many questions wait already; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(eq=False)
class Place:
    """Somebody's place in the queue, from `FairQueue.place`."""

    principal: str
    number: int
    """Of all places ever taken: who came first."""
    position: int = 0
    """How many turns until this one; 0 while it is being answered."""
    began: float | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def moved(self) -> None:
        """Wait until the position has changed since the last call."""
        await self._news.wait()
        self._news.clear()

    async def turn(self, on_position: OnPosition | None = None) -> None:
        """Wait for one's turn, and be told of every new position on the way."""
        told = 0
        while self.position:
            if on_position is not None and self.position != told:
                told = self.position
                on_position(told)
            await self.moved()

    def move(self, position: int) -> None:
        """Have another position from now on."""
        if position != self.position:
            self.position = position
            self._news.set()


class FairQueue:
    """So many are answered at once; the others wait.

    Whoever was served longest ago is next, and of one principal's questions the first: who asks a hundred at once
    delays another's by one at most. Of the waiting places every fourth is kept for those who have none yet, so that
    one principal can't fill the queue. All methods are called on one event loop.

    Args:
        slots: answered at once.
        capacity: that may wait besides.
        clock: in seconds.
    """

    def __init__(self, slots: int, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots, self._capacity, self._clock = slots, capacity, clock
        self._running: set[Place] = set()
        self._waiting: list[Place] = []
        self._served: dict[str, int] = {}
        self._turns = self._places = 0
        self._took_s = FIRST_GUESS_S

    @property
    def running(self) -> int:
        """How many are being answered."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def place(self, principal: str) -> AsyncIterator[Place]:
        """Take a place; leaving the block gives it up, whether its turn had come or not.

        Having entered isn't having one's turn: await `Place.turn`, or `Place.moved` until `position` is 0.

        Raises:
            QueueFull: at once.
        """
        self._places += 1
        place = Place(principal, self._places)
        if len(self._running) >= self._slots:
            self._admit(principal)
        self._waiting.append(place)
        self._advance()
        try:
            yield place
        finally:
            self._leave(place)

    def _admit(self, principal: str) -> None:
        own = any(p.principal == principal for p in self._waiting)
        free = self._capacity - len(self._waiting) - (self._capacity // KEPT_FREE if own else 0)
        if free <= 0:
            turns = (len(self._waiting) + 1) / self._slots
            raise QueueFull(min(LONGEST_WAIT_S, max(1, math.ceil(turns * self._took_s))))

    def _leave(self, place: Place) -> None:
        if place in self._running:
            self._running.remove(place)
            assert place.began is not None
            self._took_s += 0.2 * (self._clock() - place.began - self._took_s)
        else:
            self._waiting.remove(place)
        self._advance()

    def _advance(self) -> None:
        """Give free slots to who is next, and tell the others where they stand."""
        order = self._order()
        while order and len(self._running) < self._slots:
            place = order.pop(0)
            self._waiting.remove(place)
            self._running.add(place)
            self._turns += 1
            self._served[place.principal] = self._turns
            place.began = self._clock()
            place.move(0)
        for position, place in enumerate(self._order(), 1):
            place.move(position)

    def _order(self) -> list[Place]:
        """The waiting, next first: everybody's first by when they were served last, then everybody's second."""
        rounds: dict[str, int] = {}
        keyed = []
        for place in self._waiting:  # in the order in which they came
            nth = rounds[place.principal] = rounds.get(place.principal, -1) + 1
            keyed.append(((nth, self._served.get(place.principal, 0), place.number), place))
        return [place for _, place in sorted(keyed, key=lambda item: item[0])]
