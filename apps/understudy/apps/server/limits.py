"""How often, and how much: token buckets, and bodies that end when they grow too long."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MIB", "BodyLimit", "Buckets"]

KEPT = 10_000
"""Buckets at most; the one that was used longest ago goes, which was full again by then."""
MIB = 1 << 20


class Buckets:
    """A bucket of tokens for everybody, which fills steadily; a request takes one.

    Args:
        per_minute: tokens that come in a minute; a bucket holds as many.
        clock: in seconds.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._size, self._clock = per_minute / 60, max(1.0, per_minute), clock
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take a token; 0, or the seconds until there is one."""
        now = self._clock()
        tokens, then = self._held.pop(name, (self._size, now))
        tokens = min(self._size, tokens + (now - then) * self._per_second)
        enough = tokens >= 1
        self._held[name] = (tokens - enough, now)
        if len(self._held) > KEPT:
            self._held.popitem(last=False)
        return 0.0 if enough else (1 - tokens) / self._per_second


class BodyLimit:
    """Ends a body that grows beyond what its path may take, while it comes in.

    FastAPI's own limit answers in plain text, and knows nothing of mounted apps.

    Args:
        app: to protect.
        limit: bytes that a path may take.
    """

    def __init__(self, app: ASGIApp, limit: Callable[[str], int]) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, seen = self._limit(scope["path"]), 0
        declared = Headers(scope=scope).get("content-length", "")

        async def counted() -> Message:
            nonlocal seen
            too_long = HTTPException(
                413, f"the body is longer than {limit // MIB} MiB, which is all that is taken here"
            )
            if declared.isdecimal() and int(declared[:18]) > limit:
                raise too_long
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise too_long
            return message

        await self._app(scope, counted, send)
