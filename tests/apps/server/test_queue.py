"""Fair turns, and no slot is ever lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.apps.server.queue import FairQueue, QueueFull


async def test_one_waits_behind_another_and_is_told_where() -> None:
    queue = FairQueue(1, 8)
    seen: list[int] = []
    async with queue.place("bob") as third:
        assert third.position == 0
    async with AsyncExitStack() as running, AsyncExitStack() as ahead:
        first = await running.enter_async_context(queue.place("ann"))
        assert first.position == 0
        second = await ahead.enter_async_context(queue.place("bob"))
        async with queue.place("bob") as third:
            assert (second.position, third.position) == (1, 2)
            async with queue.place("eve") as fourth:  # never served: before bob, who was
                assert (fourth.position, second.position, third.position) == (1, 2, 3)
            assert (second.position, third.position) == (1, 2)
            turn = asyncio.create_task(third.turn(seen.append))
            await asyncio.sleep(0)
            await ahead.aclose()
            await asyncio.sleep(0)
            await running.aclose()
            await turn
            assert seen == [2, 1]
            assert (queue.running, queue.waiting) == (1, 0)
    assert (queue.running, queue.waiting) == (0, 0)


async def test_who_asks_a_hundred_delays_another_by_one() -> None:
    queue = FairQueue(1, 200)
    served: list[str] = []

    async def ask(name: str) -> None:
        async with queue.place(name) as place:
            await place.turn()
            served.append(name)
            await asyncio.sleep(0)

    many = [asyncio.create_task(ask("greedy")) for _ in range(100)]
    await asyncio.sleep(0)
    modest = [asyncio.create_task(ask("modest")) for _ in range(3)]
    await asyncio.gather(*many, *modest)
    turns = [n for n, name in enumerate(served) if name == "modest"]
    assert turns[0] <= 2
    assert all(b - a <= 2 for a, b in pairwise(turns))


async def test_a_full_queue_says_when_to_come_back_and_keeps_places_for_others() -> None:
    queue = FairQueue(1, 8)
    async with AsyncExitStack() as held:
        for _ in range(7):
            await held.enter_async_context(queue.place("greedy"))
        with pytest.raises(QueueFull) as full:
            await held.enter_async_context(queue.place("greedy"))
        assert full.value.retry_after_s >= 1
        for name in ("ann", "bob"):
            await held.enter_async_context(queue.place(name))
        with pytest.raises(QueueFull):
            await held.enter_async_context(queue.place("eve"))
    assert (queue.running, queue.waiting) == (0, 0)


async def test_cancelled_while_waiting_or_running_frees_the_place() -> None:
    queue = FairQueue(1, 8)

    async def ask() -> None:
        async with queue.place("ann") as place:
            await place.turn()
            await asyncio.sleep(60)

    tasks = [asyncio.create_task(ask()) for _ in range(4)]
    await asyncio.sleep(0)
    assert (queue.running, queue.waiting) == (1, 3)
    tasks[2].cancel()
    tasks[0].cancel()
    await asyncio.gather(tasks[0], tasks[2], return_exceptions=True)
    await asyncio.sleep(0)
    assert (queue.running, queue.waiting) == (1, 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (queue.running, queue.waiting) == (0, 0)


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from("abc")),
        st.tuples(st.just("go"), st.integers(0, 30)),
        st.tuples(st.just("run"), st.integers(0, 5)),
    ),
    max_size=60,
)


@given(slots=st.integers(1, 4), capacity=st.integers(1, 12), moves=MOVES)
@settings(max_examples=200, deadline=None)
def test_whoever_comes_and_goes_no_slot_is_lost(slots: int, capacity: int, moves: list[tuple[str, object]]) -> None:
    asyncio.run(play(slots, capacity, moves))


async def play(slots: int, capacity: int, moves: list[tuple[str, object]]) -> None:
    queue = FairQueue(slots, capacity)
    tasks: list[asyncio.Task[None]] = []
    waits: Counter[str] = Counter()

    async def ask(name: str) -> None:
        try:
            async with queue.place(name) as place:
                waits[name] += 1
                try:
                    await place.turn()
                finally:
                    waits[name] -= 1
                await asyncio.sleep(60)
        except QueueFull:
            assert queue.running == slots

    for move, what in moves:
        if move == "come":
            tasks.append(asyncio.create_task(ask(str(what))))
        elif move == "go" and tasks:
            assert isinstance(what, int)
            tasks[what % len(tasks)].cancel()
        for _ in range(4):
            await asyncio.sleep(0)
        live = sum(not task.done() for task in tasks)
        assert queue.running + queue.waiting == live
        assert queue.running == min(slots, live)  # nobody waits beside a free slot
        assert queue.waiting <= capacity
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (queue.running, queue.waiting) == (0, 0)


@given(order=st.lists(st.sampled_from("abcd"), min_size=1, max_size=30), slots=st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_nobody_is_served_twice_while_another_waits_from_before(order: list[str], slots: int) -> None:
    served = asyncio.run(all_at_once(order, slots))
    for name in set(order):
        turns = [n for n, who in enumerate(served) if who == name]
        for before, after in pairwise(turns):
            between = Counter(served[before + 1 : after])
            still = Counter(served[after:])
            assert all(between[other] >= 1 or before < slots for other in still if other != name)


async def all_at_once(order: list[str], slots: int) -> list[str]:
    """In which order they were given their turns."""
    queue = FairQueue(slots, 100, clock=count().__next__)
    places = []

    async def ask(name: str) -> None:
        async with queue.place(name) as place:
            await place.turn()
            places.append(place)
            await asyncio.sleep(0)

    await asyncio.gather(*(ask(name) for name in order))
    return [place.principal for place in sorted(places, key=lambda place: place.began or 0)]
