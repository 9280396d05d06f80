"""Suite `soak` uses a real server in a process of its own, and counts what is lost."""

from __future__ import annotations

import os
import random

import httpx
import pytest

from understudy.apps.bench import soaking


@pytest.mark.slow
def test_nothing_is_lost_and_no_slot_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "USERS", 3)
    found = short(monkeypatch)
    assert (found["answers_lost"], found["slots_leaked"]) == (0, 0)
    assert found["answered"] > 0
    assert found["memory_mib_last_quarter"] > 50


def short(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    whole = soaking.soaked
    monkeypatch.setattr(soaking, "EVERY_S", 0.5)
    monkeypatch.setattr(soaking, "soaked", lambda url, process, _seconds, seed: whole(url, process, 8.0, seed))
    return soaking.measure_soak(None, 17)


async def test_an_answer_that_its_thread_does_not_show_is_lost() -> None:
    shown = {"turns": [{"answer": {"text": "a"}}, {"answer": None}, {"answer": {"text": "b"}}]}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=shown))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        user = soaking.User(client, random.Random(1))
        for text in ("a", "b"):
            user.note("t", text)
        assert await user.lost() == 0
        user.note("t", "a")
        assert await user.lost() == 1


def test_memory_is_of_the_process_that_was_named() -> None:
    assert soaking.resident_mib(os.getpid()) > 20
    with pytest.raises(soaking.InternalError, match="can't be read"):
        soaking.resident_mib(2**30)
