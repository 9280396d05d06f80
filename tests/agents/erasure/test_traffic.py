"""Many at work at once, or an erasure alone."""

from __future__ import annotations

import asyncio
import threading

import pytest

from understudy.agents.erasure.traffic import Traffic
from understudy.core.errors import WorkspaceBusyError


def test_one_alone_waits_for_all_others_and_others_for_it() -> None:
    traffic, order = Traffic(), []
    entered, leave = threading.Event(), threading.Event()

    def share() -> None:
        with traffic.shared():
            entered.set()
            leave.wait(10)
            order.append("shared")

    def alone() -> None:
        with traffic.alone(10):
            order.append("alone")

    first = threading.Thread(target=share)
    first.start()
    entered.wait(10)
    with pytest.raises(WorkspaceBusyError, match=r"haven't finished within 0.05 s, so nothing was erased"), \
            traffic.alone(0.05):  # fmt: skip
        pass
    second = threading.Thread(target=alone)
    second.start()
    leave.set()
    first.join(10)
    second.join(10)
    assert order == ["shared", "alone"]


async def test_a_question_that_comes_meanwhile_waits_and_one_that_is_given_up_leaves_nothing_behind() -> None:
    traffic, passed = Traffic(), []

    async def ask(name: str) -> None:
        async with traffic.passing():
            passed.append(name)

    with traffic.alone(1):
        with pytest.raises(WorkspaceBusyError, match="an erasure is under way"), traffic.alone(0):
            pass
        given_up, waiting = asyncio.create_task(ask("given up")), asyncio.create_task(ask("waiting"))
        await asyncio.sleep(0.1)
        given_up.cancel()
        assert passed == []
    await waiting
    assert passed == ["waiting"]
    with traffic.alone(0):
        pass
