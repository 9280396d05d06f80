"""The MCP server as a part of `understudy serve` and `understudy chat`: the same gate, the same queue."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp.server.transport_security import TransportSecuritySettings
from understudy.apps.api.answering import Events, Happening, closing, happenings, until
from understudy.apps.api.errors import ApiError
from understudy.apps.mcp.gate import named, principal_of
from understudy.apps.mcp.server import INSTRUCTIONS, Server, Tools
from understudy.apps.mcp.serving import PATH
from understudy.apps.server.auth import Pass
from understudy.apps.server.limits import Buckets
from understudy.apps.server.served import Served
from understudy.core.errors import ThreadBusyError

__all__ = ["mount_mcp"]

SESSION = "mcp-session-id"
SESSIONS_PER_MINUTE = 30
"""That a key may begin. The SDK holds 10,000 for half an hour each: nobody may take them all."""


def mount_mcp(app: FastAPI, served: Served, passed: Callable[[Request], Pass]) -> None:
    """Answer MCP clients at `/mcp`, for as long as a server runs.

    Args:
        app: whose gate has looked at every request, at the names that it is called by too.
        served: what is served.
        passed: what the gate found out about a request.
    """
    checked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    protocol = Server(
        "understudy", INSTRUCTIONS, streamable_http_path=PATH, log_level="WARNING", transport_security=checked
    )
    Tools(served.agent, partial(principal_of, served.agent), partial(queued, served)).added_to(protocol)
    app.router.routes.insert(0, Route(PATH, endpoint=Named(protocol.streamable_http_app(), passed)))
    before = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(running: Any) -> AsyncIterator[Any]:
        async with protocol.session_manager.run(), before(running) as state:
            yield state

    app.router.lifespan_context = lifespan


class Named:
    """Tells the SDK by which key a request came in, so that a session is that key's own.

    Args:
        app: behind it.
        passed: what the gate found out about a request.
    """

    def __init__(self, app: ASGIApp, passed: Callable[[Request], Pass]) -> None:
        self._app, self._passed = app, passed
        self._begun = Buckets(SESSIONS_PER_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        found = self._passed(Request(scope))
        if SESSION not in Request(scope).headers and (wait := math.ceil(self._begun.take(found.by))):
            told = {"error": f"too many sessions were begun; try again in {wait} s"}
            await JSONResponse(told, 429, headers={"Retry-After": str(wait)})(scope, receive, send)
            return
        await self._app(named(scope, found.by, found.principal), receive, send)


async def queued(served: Served, principal: str, thread: str | None, events: Events) -> AsyncGenerator[Happening]:
    """What the agent does, once it is this question's turn. Raises `QueueFull`, `ThreadBusyError`, `Stopped`."""
    stopping = asyncio.create_task(closing(served))
    try:
        async with aclosing(until(happenings(served, principal, events, thread), stopping)) as happening:
            async for event in happening:
                yield event
    except ApiError as error:
        raise ThreadBusyError(str(error)) from error
    finally:
        stopping.cancel()
