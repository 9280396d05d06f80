"""A real server on loopback: uvicorn, in a thread, with what a test gives it to serve."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from understudy.agents import Agent
from understudy.apps.server.app import build_app
from understudy.apps.server.run import Serving, listen
from understudy.apps.server.served import Served
from understudy.core.settings import ServerSettings

SAMPLES = Path(__file__).parents[1] / "apps" / "understudy" / "apps" / "samples" / "documents"
FOUNDED = "When was Halden Instruments founded?"


@dataclass
class Running:
    url: str
    app: FastAPI
    server: Serving

    @property
    def served(self) -> Served:
        return self.app.state.served  # type: ignore[no-any-return]


@contextmanager
def running(agent: Agent, *, chat_page: bool = False, **settings: Any) -> Iterator[Running]:
    """A server of an agent's workspace, until the block is left."""
    chosen = ServerSettings(**{"port": 0, **settings})
    app = build_app(agent, chosen, chat_page=chat_page)
    server = Serving(app)
    with listen(chosen) as socket:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        eventually(lambda: server.started)
        try:
            yield Running(url, app, server)
        finally:
            server.stop()
            thread.join(20)
            assert not thread.is_alive()


def eventually(holds: Any, seconds: float = 20.0) -> None:
    """Wait until something holds, and fail where it never does."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.01)


def chat(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "default", "messages": [{"role": "user", "content": question}]} | more


def error_of(reply: httpx.Response) -> dict[str, Any]:
    """An error in OpenAI's form, and nothing else."""
    body = reply.json()
    assert list(body) == ["error"], body
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert isinstance(body["error"]["message"], str)
    return body["error"]  # type: ignore[no-any-return]
