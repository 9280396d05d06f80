"""Who goes away frees the place and stops inference; who stops the server, or kills it, loses no thread."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from server_parts import FOUNDED, SAMPLES, Running, chat, error_of, eventually, running

from understudy.agents import Agent
from understudy.core.settings import CacheSettings, DeferralSettings, Settings

SETTINGS = Settings(deferral=DeferralSettings(min_confidence=0.0, audit_rate=0.0), cache=CacheSettings(semantic=False))


class Slowed:
    """The real small model, with a pause before every batch of tokens; counts the batches."""

    def __init__(self, agent: Agent, seconds: float) -> None:
        self.engine, self.seconds, self.batches = agent.model.engine, seconds, 0
        self.real = self.engine._decode

    def decode(self, *given: Any, **more: Any) -> Any:
        self.batches += 1
        time.sleep(self.seconds)
        return self.real(*given, **more)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaving")
    with Agent.open(folder, settings=SETTINGS) as agent:
        agent.ingest([SAMPLES])
    return folder


@pytest.fixture
def agent(ready: Path) -> Iterator[Agent]:
    with Agent.open(ready, settings=SETTINGS) as opened:
        yield opened


@pytest.fixture
def slowed(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> Slowed:
    found = Slowed(agent, 0.15)
    monkeypatch.setattr(found.engine, "_decode", found.decode)
    return found


@pytest.fixture
def server(agent: Agent, slowed: Slowed) -> Iterator[Running]:
    with running(agent, slots=1, queue=1) as found:
        yield found


def stopped(server: Running, slowed: Slowed) -> None:
    """Nobody runs, nobody waits, and the model has come to rest."""
    eventually(lambda: (server.served.queue.running, server.served.queue.waiting) == (0, 0), 5)
    before = -1
    while before != slowed.batches:
        before = slowed.batches
        time.sleep(4 * slowed.seconds)


def begun(server: Running, slowed: Slowed) -> None:
    eventually(lambda: server.served.queue.running == 1 and slowed.batches > 0)


def test_who_leaves_a_stream_stops_inference(server: Running, slowed: Slowed, agent: Agent) -> None:
    # the request's headers come with the first step; until then the client can only hang up
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=chat("Who leaves early?", stream=True), timeout=0.6)
    assert slowed.batches > 0
    stopped(server, slowed)
    (thread,) = [t for t in agent.threads() if t.title == "Who leaves early?"]
    assert thread.status == "interrupted"
    assert agent.thread(thread.id)[0].answer is None


def test_who_leaves_in_the_midst_of_a_stream_stops_it_too(server: Running, slowed: Slowed, agent: Agent) -> None:
    asked = chat("What was Operating profit in 2023, who leaves later?", stream=True)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=asked, timeout=60) as reply:
        for line in reply.iter_lines():
            if "understudy" in line:
                break
    stopped(server, slowed)


def test_who_hangs_up_without_a_stream_stops_inference(server: Running, slowed: Slowed, agent: Agent) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=chat("Who hangs up?"), timeout=0.6)
    stopped(server, slowed)
    assert [t.status for t in agent.threads() if t.title == "Who hangs up?"] == ["interrupted"]


def test_who_leaves_the_queue_frees_the_place(server: Running, slowed: Slowed, agent: Agent) -> None:
    url = f"{server.url}/v1/chat/completions"
    with httpx.Client(timeout=60) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(slowed, "seconds", 0.5)
        process = client.build_request("POST", url, json=chat("Who is first?", stream=True))
        first = threading.Thread(target=lambda: quiet(client, process), daemon=True)
        first.start()
        begun(server, slowed)
        with client.stream("POST", url, json=chat("Who is second?", stream=True)) as second:
            told = [json.loads(line[6:]) for line in islice(lines_of(second), 2)]
            assert told[1]["understudy"] == {"queue": {"position": 1}}
            full = httpx.post(url, json=chat("Who is third?"))
            assert (full.status_code, error_of(full)["code"]) == (503, "queue_full")
            assert int(full.headers["retry-after"]) >= 1
            with openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as theirs:
                with pytest.raises(openai.InternalServerError) as refused:
                    theirs.chat.completions.create(model="default", messages=[{"role": "user", "content": "Fourth?"}])
                assert refused.value.code == "queue_full"
        eventually(lambda: server.served.queue.waiting == 0, 5)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json=chat("Who waits in vain?"), timeout=0.4)
        eventually(lambda: server.served.queue.waiting == 0, 5)
        assert server.served.queue.running == 1
    stopped(server, slowed)
    assert not [t for t in agent.threads() if t.title in ("Who is second?", "Who waits in vain?")]


def quiet(client: httpx.Client, request: httpx.Request) -> None:
    with suppress(httpx.HTTPError, RuntimeError):
        client.send(request)


def lines_of(reply: httpx.Response) -> Iterator[str]:
    yield from (line for line in reply.iter_lines() if line)


def test_one_question_at_a_time_in_a_thread(server: Running, slowed: Slowed, agent: Agent) -> None:
    thread = agent.ask(FOUNDED).thread
    url, more = f"{server.url}/v1/chat/completions", {"understudy": {"thread": thread}}
    with httpx.Client(timeout=60) as client:
        request = client.build_request("POST", url, json=chat("Who is first here?", **more))
        first = threading.Thread(target=lambda: quiet(client, request), daemon=True)
        first.start()
        eventually(lambda: server.served.queue.running == 1)
        busy = httpx.post(url, json=chat("Who is second here?", **more))
        assert (busy.status_code, error_of(busy)["code"]) == (409, "thread_busy")
        first.join(30)
    assert not server.served.busy
    assert len(agent.thread(thread)) == 2


def test_a_server_that_stops_says_so_and_the_thread_shows_it(agent: Agent, slowed: Slowed) -> None:
    asked = chat("What was Operating profit in 2023, when the server stops?", stream=True)
    with running(agent) as server:
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=asked, timeout=60) as reply:
            lines = lines_of(reply)
            next(lines)
            began = time.monotonic()
            server.server.stop()
            rest = list(lines)
        assert json.loads(rest[-1][6:])["error"]["code"] == "stopped"
        eventually(lambda: not server.server.started or server.served.queue.running == 0)
    assert time.monotonic() - began < 10
    eventually(lambda: [t.status for t in agent.threads() if "server stops" in t.title] == ["interrupted"])


SLOW_SERVER = """
import sys, time
from understudy.agents.engine import Engine
real = Engine._decode
def slow(self, *given, **more):
    time.sleep(0.2)
    return real(self, *given, **more)
Engine._decode = slow
from understudy.apps.cli import main
main()
"""


def started(workspace: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SERVER, "--workspace", str(workspace), "serve", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "200", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "answers at" in line:
            return process, line.partition("answers at ")[2].split("/v1")[0]
    raise AssertionError("the server didn't start")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_killed_or_stopped_nothing_is_lost(ready: Path, sent: signal.Signals, code: int) -> None:
    title = f"What was Operating profit in 2023, before {sent.name}?"
    process, url = started(ready)
    try:
        done = httpx.post(f"{url}/v1/chat/completions", json=chat(FOUNDED), timeout=100).json()
        with (
            httpx.Client() as client,
            client.stream("POST", f"{url}/v1/chat/completions", json=chat(title, stream=True), timeout=60) as reply,
        ):
            next(reply.iter_lines())
            process.send_signal(sent)
            assert process.wait(30) == code
    finally:
        process.kill()
        process.communicate()
    with Agent.open(ready, settings=SETTINGS) as agent:
        (thread,) = [t for t in agent.threads() if t.title == title]
        assert thread.status == "interrupted"
        assert agent.thread(done["understudy"]["thread"])[0].answer is not None
        again = agent.ask("And when was Halden Instruments founded?", thread=thread.id)
        assert again.thread == thread.id
        assert [turn.status for turn in agent.thread(thread.id)] == ["interrupted", "done"]
