"""Who goes away frees the place and stops inference; who stops the server, or kills it, loses no thread."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


class Held:
    """The real small model, which stands still before every batch of tokens until it is let go; counts the batches."""

    def __init__(self, agent: Agent) -> None:
        self.engine, self.batches, self.going = agent.model.engine, 0, threading.Event()
        self.real = self.engine.decode

    def decode(self, *given: Any, **more: Any) -> Any:
        self.batches += 1
        assert self.going.wait(60)
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
def held(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    found = Held(agent)
    monkeypatch.setattr(found.engine, "decode", found.decode)
    yield found
    found.going.set()


@pytest.fixture
def server(agent: Agent, held: Held) -> Iterator[Running]:
    with running(agent, slots=1, queue=1) as found:
        yield found
        held.going.set()


def begun(server: Running, held: Held) -> None:
    """A question is being answered, and has reached the model."""
    eventually(lambda: server.served.queue.running == 1 and held.batches > 0)


def freed(server: Running) -> None:
    """The place is free although the model stands still."""
    eventually(lambda: (server.served.queue.running, server.served.queue.waiting) == (0, 0), 5)


def interrupted(agent: Agent, held: Held, title: str) -> None:
    """Once it goes on, the model does no more for this question than the batch that it was at."""
    before = held.batches
    held.going.set()
    eventually(lambda: [t.status for t in agent.threads() if t.title == title] == ["interrupted"])
    assert held.batches == before


@contextmanager
def asking(server: Running, question: str, **more: Any) -> Iterator[threading.Thread]:
    """A client that waits for its answer, until the block is left."""
    with httpx.Client(timeout=60) as client:
        request = client.build_request("POST", f"{server.url}/v1/chat/completions", json=chat(question, **more))
        thread = threading.Thread(target=quiet, args=(client, request), daemon=True)
        thread.start()
        yield thread


def quiet(client: httpx.Client, request: httpx.Request) -> None:
    with suppress(httpx.HTTPError, RuntimeError):
        client.send(request)


def lines_of(reply: httpx.Response) -> Iterator[str]:
    yield from (line for line in reply.iter_lines() if line)


@pytest.mark.parametrize("stream", [True, False])
def test_who_hangs_up_frees_the_place_and_stops_inference(
    server: Running, held: Held, agent: Agent, stream: bool
) -> None:
    question = f"Who hangs up, stream {stream}?"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=chat(question, stream=stream), timeout=1.0)
    assert held.batches == 1
    freed(server)
    interrupted(agent, held, question)


def test_who_leaves_in_the_midst_of_a_stream_stops_it_too(server: Running, held: Held, agent: Agent) -> None:
    question = "What was the change in Revenue from 2023 to 2024, who leaves?"
    held.going.set()
    asked = chat(question, stream=True)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=asked, timeout=60) as reply:
        for line in reply.iter_lines():
            if '"step"' in line:
                held.going.clear()
                break
    freed(server)
    held.going.set()
    eventually(lambda: [t.status for t in agent.threads() if t.title == question] != ["running"])


def test_who_leaves_the_queue_frees_the_place(server: Running, held: Held, agent: Agent) -> None:
    url = f"{server.url}/v1/chat/completions"
    with asking(server, "Who is first?", stream=True):
        begun(server, held)
        with httpx.stream("POST", url, json=chat("Who is second?", stream=True), timeout=60) as second:
            lines = lines_of(second)  # held: httpx hangs up with its generator
            told = [json.loads(line[6:]) for line in islice(lines, 2)]
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
            httpx.post(url, json=chat("Who waits in vain?"), timeout=0.5)
        eventually(lambda: server.served.queue.waiting == 0, 5)
        assert server.served.queue.running == 1
        held.going.set()
    eventually(lambda: server.served.queue.running == 0, 60)  # the first is answered in its own time
    assert not [t for t in agent.threads() if t.title in ("Who is second?", "Who waits in vain?")]


def test_one_question_at_a_time_in_a_thread(server: Running, held: Held, agent: Agent) -> None:
    held.going.set()
    thread = agent.ask(FOUNDED).thread
    held.going.clear()
    url, more = f"{server.url}/v1/chat/completions", {"understudy": {"thread": thread}}
    with asking(server, "Who is first here?", **more) as first:
        eventually(lambda: server.served.queue.running == 1)
        busy = httpx.post(url, json=chat("Who is second here?", **more))
        assert (busy.status_code, error_of(busy)["code"]) == (409, "thread_busy")
        held.going.set()
        first.join(30)
    assert not server.served.busy
    assert len(agent.thread(thread)) == 2


def test_a_server_that_stops_says_so_and_the_thread_shows_it(agent: Agent, held: Held) -> None:
    question = "What was the change in Revenue from 2023 to 2024, when the server stops?"
    held.going.set()
    with running(agent) as server:
        asked = chat(question, stream=True)
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=asked, timeout=60) as reply:
            lines = lines_of(reply)
            next(lines)
            held.going.clear()
            server.server.stop()
            rest = list(lines)
        assert json.loads(rest[-1][6:])["error"]["code"] == "stopped"
        freed(server)
        held.going.set()
    eventually(lambda: [t.status for t in agent.threads() if t.title == question] == ["interrupted"])


SLOW_SERVER = """
import sys, time
from understudy.agents.engine import Engine
real = Engine.decode
def slow(self, *given, **more):
    time.sleep(0.2)
    return real(self, *given, **more)
Engine.decode = slow
from understudy.apps.cli import main
main()
"""


def started(workspace: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SERVER, "--workspace", str(workspace), "serve", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "200", "PYTHONPATH": os.pathsep.join(sys.path)},
        # Whoever runs the tests in the background has a shell that ignores Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"(http://\S+)/v1", line):
            return process, found[1]
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
