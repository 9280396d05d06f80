"""The agent's own event loop: work in progress ends before it closes, and nothing else is waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from understudy.agents.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_settling_waits_for_work(loop: Loop) -> None:
    begun, go, ended = threading.Event(), asyncio.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        await go.wait()
        ended.set()

    async def let_go() -> None:
        go.set()

    threading.Thread(target=loop.run, args=(work(),)).start()
    assert begun.wait(10)
    threading.Timer(0.3, lambda: loop.run(let_go())).start()
    loop.settle(60)
    assert ended.is_set()


def test_work_that_takes_too_long_is_cancelled(loop: Loop) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()

    threading.Thread(target=loop.run, args=(work(),)).start()
    assert begun.wait(10)
    loop.settle(0)
    assert cancelled.is_set()


def test_what_work_leaves_running_is_not_waited_for(loop: Loop) -> None:
    kept: list[asyncio.Task[bool]] = []

    async def work() -> None:
        kept.append(asyncio.create_task(asyncio.Event().wait()))

    async def stop() -> None:
        kept[0].cancel()

    loop.run(work())
    loop.settle(3600)  # or this test would take an hour
    assert not kept[0].done()
    loop.run(stop())
