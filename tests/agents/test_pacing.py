"""Experts are asked no faster than they want to be, in the order in which they were to be."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from fake_openai import serving

from understudy.agents import pacing
from understudy.agents.briefing import build_payload
from understudy.agents.experts import ChatExpert
from understudy.agents.pacing import Pace, rest_wanted
from understudy.core.errors import ExpertUnavailableError
from understudy.core.settings import ExpertSettings
from understudy.core.types import ExpertAnswer, Scope
from understudy.privacy.transport import Permit, permitted

PAYLOAD = build_payload("What was revenue?", Scope(), [], None, [])


def expert(url: str, **changes: Any) -> ChatExpert:
    return ChatExpert(ExpertSettings(name="gpt", model="openai:fake", base_url=url, timeout_s=9.0, **changes))


async def asked(expert: ChatExpert) -> ExpertAnswer:
    with permitted(Permit(expert.name, (PAYLOAD.system, PAYLOAD.user), lambda _: None)):
        return await expert.ask(PAYLOAD)


async def test_so_many_are_in_progress_at_once_and_who_came_first_is_first() -> None:
    pace, running, most, order = Pace(2), 0, 0, []

    async def work(number: int) -> None:
        nonlocal running, most
        async with pace.turn():
            order.append(number)
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1

    await asyncio.gather(*map(work, range(7)))
    assert (most, order) == (2, list(range(7)))


async def test_so_many_begin_within_a_minute_and_the_next_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "MINUTE_S", 0.3)
    pace, begun = Pace(10, per_minute=3), []

    async def work() -> None:
        async with pace.turn():
            begun.append(time.monotonic())

    await asyncio.gather(*(work() for _ in range(7)))
    assert begun[2] - begun[0] < 0.2, "nobody waits who needn't"
    for first, fourth in zip(begun, begun[3:], strict=False):
        assert fourth - first >= 0.29


async def test_who_is_cancelled_while_waiting_takes_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "MINUTE_S", 0.4)
    pace = Pace(1, per_minute=1)

    async def work() -> float:
        async with pace.turn():
            return time.monotonic()

    first = await work()
    waiting = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    waiting[1].cancel()
    assert 0.39 <= await waiting[2] - first < 0.75


async def test_an_expert_is_never_asked_by_more_than_its_settings_say() -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def watch(_request: dict[str, Any]) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.1)
        with lock:
            inside -= 1

    with serving("ok") as server:
        server.watch = watch
        limited = expert(server.url, at_once=2)
        await asyncio.gather(*(asked(limited) for _ in range(6)))
        assert most == 2
        most, free = 0, expert(server.url, at_once=6)
        await asyncio.gather(*(asked(free) for _ in range(6)))
        assert most > 2


async def test_an_expert_that_wants_to_be_left_alone_is_by_everybody() -> None:
    times: list[float] = []
    with serving("rest 1.5", "ok") as server:
        server.watch = lambda _request: times.append(time.monotonic())
        patient = expert(server.url, retries=1)

        async def later() -> None:
            await asyncio.sleep(0.5)
            await asked(patient)

        await asyncio.gather(asked(patient), later())
    assert len(times) == 3
    assert all(then - times[0] >= 1.4 for then in times[1:])


async def test_who_wants_it_for_too_long_counts_as_down_at_once() -> None:
    with serving("rest 3600", "ok") as server:
        busy = expert(server.url, retries=2)
        began = time.monotonic()
        with pytest.raises(ExpertUnavailableError, match="rate limit") as failed:
            await asked(busy)
        assert failed.value.rest_s == 3600
        await asked(busy)
        assert time.monotonic() - began < 20, "and nobody else waits for it"
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("12", 12, 12),
        ("0.5", 0.5, 0.5),
        ("-3", 0, 0),
        (format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True), 3000, 3600),
        (format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True), 0, 0),
    ],
    ids=["seconds", "half a second", "less than none", "in an hour", "an hour ago"],
)
def test_a_rest_is_told_in_seconds_or_as_a_date(said: str, least: float, most: float) -> None:
    found = rest_wanted(failed({"Retry-After": said}))
    assert found is not None
    assert least <= found <= most


def test_what_tells_no_rest_wants_none() -> None:
    for error in (failed({}), failed({"Retry-After": "soon"}), ValueError("no response")):
        assert rest_wanted(error) is None


def failed(headers: dict[str, str]) -> Exception:
    request = httpx.Request("POST", "http://127.0.0.1")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(429, headers=headers, request=request))
