"""The way out to one MCP server: what the guard has passed, once, and over HTTP not a byte of a question besides."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from understudy.core.errors import EgressRefused
from understudy.privacy.transport import origin_of

__all__ = ["ToolDoor"]

OWN = frozenset(
    (
        "initialize",
        "notifications/initialized",
        "notifications/cancelled",
        "tools/list",
        "ping",
    )
)
"""Messages that the client sends by itself, the same for every question."""
CALL = "tools/call"
KEPT = 64
"""Passed calls that wait to be made; each is made at once, unless something fails in between."""


class ToolDoor:
    """The only way out to one server.

    Args:
        server: its name.
        url: where it is; `None` for a program, which is reached by no request.
    """

    def __init__(self, server: str, url: str | None) -> None:
        self._server = server
        self._origin = None if url is None else origin_of(httpx.URL(url))
        self._passed: deque[str] = deque(maxlen=KEPT)
        self._leaving: list[str] = []
        self._lock = threading.Lock()
        self.requests = 0
        """That were seen, and let out."""

    def allow(self, tool: str, arguments: Mapping[str, object]) -> None:
        """Take note of a call that the guard has passed: it may be made once."""
        with self._lock:
            self._passed.append(call_of(tool, arguments))

    @contextmanager
    def leaving(self, tool: str, arguments: Mapping[str, object]) -> Iterator[None]:
        """While it lasts, this call may leave. Raises `EgressRefused` where the guard has not passed it."""
        call = call_of(tool, arguments)
        with self._lock:
            if call not in self._passed:
                raise EgressRefused(f"a call to MCP server {self._server!r} that the guard did not pass was stopped")
            self._passed.remove(call)
            self._leaving.append(call)
        try:
            yield
        finally:
            with self._lock:
                self._leaving.remove(call)

    def client(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
        auth: httpx.Auth | None = None,
    ) -> httpx.AsyncClient:
        """A client whose every request passes here. Redirects are new requests, and stay within the origin."""
        hooks: Any = {"request": [self._check]}
        return httpx.AsyncClient(headers=headers, timeout=timeout, auth=auth, follow_redirects=False, event_hooks=hooks)

    async def _check(self, request: httpx.Request) -> None:
        origin = origin_of(request.url)
        if origin != self._origin:
            raise self._stopped(f"it goes to {origin}, and the server is at {self._origin}")
        body = await request.aread()
        why = self._fault(body) if body else None
        if why is not None:
            raise self._stopped(why)
        self.requests += 1

    def _fault(self, body: bytes) -> str | None:
        """What is wrong with a message; `None` where it may go."""
        try:
            message = json.loads(body)
        except ValueError:
            return "its body is no JSON"
        if not isinstance(message, dict):
            return "its body is no single message"
        method, params = message.get("method"), message.get("params") or {}
        if method == CALL:
            call = call_of(params.get("name"), params.get("arguments") or {})
            with self._lock:
                passed = call in self._leaving
            return None if passed and params.keys() <= {"name", "arguments"} else "the guard did not pass this call"
        if method in OWN or (method is None and not message.get("result")):
            return None
        return f"{method or 'a reply'} is no message of ours"

    def _stopped(self, why: str) -> EgressRefused:
        return EgressRefused(f"a request to MCP server {self._server!r} was stopped: {why}", "transport")


def call_of(tool: object, arguments: Mapping[str, object]) -> str:
    """A call as one text, to tell it from others."""
    return json.dumps([tool, dict(arguments)], sort_keys=True, default=str)
