"""The door: what isn't permitted, byte by byte, doesn't leave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from fake_openai import FakeOpenAI, serving

from understudy.core.errors import EgressRefused
from understudy.privacy.guard import leftover
from understudy.privacy.protected import ProtectedValues, Value
from understudy.privacy.transport import Door, Permit, permitted

VALUES = ProtectedValues([Value("Maria Kovac", "PERSON", "test")])
PERMIT = Permit("gpt", ("Answer.", "Question: who is ⟦PERSON_1⟧?"), lambda text: leftover(VALUES, text))


def body(*contents: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": c} for c in contents], "seed": 17} | more


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with serving("ok") as opened:
        yield opened


async def post(door: Door, url: str, content: dict[str, Any], **more: Any) -> httpx.Response:
    return await door.client.post(f"{url}/chat/completions", json=content, **more)


async def test_what_was_permitted_leaves(server: FakeOpenAI) -> None:
    door = Door("gpt", server.url, 5)
    with permitted(PERMIT):
        assert (await post(door, server.url, body(*PERMIT.texts))).status_code == 200
    assert door.passed == len(server.requests) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (body(PERMIT.texts[0], "Question: who is she?"), "does not hold the messages"),
        (body(*PERMIT.texts, "x" * 201), "holds more than the messages"),
        (body(*PERMIT.texts, "Maria Kovac"), r"protected value \(PERSON\)"),
        (body(*PERMIT.texts, "TWFyaWEgS292YWM="), r"protected value \(PERSON\)"),
        (body(*PERMIT.texts, metadata={"Maria Kovac": 1}), r"protected value \(PERSON\)"),
    ],
)
async def test_other_words_do_not(server: FakeOpenAI, content: dict[str, Any], words: str) -> None:
    door = Door("gpt", server.url, 5)
    with permitted(PERMIT), pytest.raises(EgressRefused, match=words):
        await post(door, server.url, content)
    assert server.requests == []


@pytest.mark.parametrize("more", [{"headers": {"x-note": "Maria Kovac"}}, {"params": {"q": "Maria Kovac"}}])
async def test_nor_do_they_in_headers_or_the_address(server: FakeOpenAI, more: dict[str, Any]) -> None:
    door = Door("gpt", server.url, 5)
    with permitted(PERMIT), pytest.raises(EgressRefused, match="protected value"):
        await post(door, server.url, body(*PERMIT.texts), **more)
    assert server.requests == []


async def test_constants_of_the_client_and_the_model_are_no_leak(server: FakeOpenAI) -> None:
    names = ("Python", "Content", "Chat", "Sonnet", "Linux")
    values = ProtectedValues([Value(name, "PERSON", "test") for name in names])
    permit = Permit("gpt", PERMIT.texts, lambda text: leftover(values, text))
    door = Door("gpt", server.url, 5, "sonnet-5")
    headers = {"user-agent": "AsyncOpenAI/Python 2.8", "x-stainless-lang": "python", "x-stainless-os": "Linux"}
    with permitted(permit):
        done = await post(door, server.url, body(*PERMIT.texts, model="sonnet-5"), headers=headers)
        assert done.status_code == 200
        for content, more in (
            (body(*PERMIT.texts, model="sonnet-6"), headers),
            (body(*PERMIT.texts, metadata={"python": 1}), headers),
            (body(*PERMIT.texts), headers | {"x-lang": "python"}),
        ):
            with pytest.raises(EgressRefused, match="protected value"):
                await post(door, server.url, content, headers=more)
    assert len(server.requests) == 1


async def test_without_a_permit_or_with_anothers_nothing_leaves(server: FakeOpenAI) -> None:
    door = Door("gpt", server.url, 5)
    with pytest.raises(EgressRefused, match="did not pass"):
        await post(door, server.url, body(*PERMIT.texts))
    with permitted(Permit("other", PERMIT.texts, PERMIT.forbidden)), pytest.raises(EgressRefused, match="did not pass"):
        await post(door, server.url, body(*PERMIT.texts))
    with permitted(PERMIT), pytest.raises(EgressRefused, match="can't see"):
        door.blocking.post(server.url, json=body(*PERMIT.texts))
    assert server.requests == []


@contextmanager
def redirecting(to: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", to)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


async def test_redirects_are_not_followed_and_no_other_host_is_spoken_to(server: FakeOpenAI) -> None:
    with redirecting(f"{server.url}/chat/completions") as url, permitted(PERMIT):
        door = Door("gpt", url, 5)
        assert (await post(door, url, body(*PERMIT.texts))).status_code == 307
        with pytest.raises(EgressRefused, match="expert 'gpt' is at http://127"):
            await post(door, server.url, body(*PERMIT.texts))
        anywhere = Door("gpt", None, 5)
        await post(anywhere, url, body(*PERMIT.texts))
        with pytest.raises(EgressRefused):
            await post(anywhere, server.url, body(*PERMIT.texts))
    assert server.requests == []
