"""One MCP server that the settings name: its session, kept open until the agent is closed, and its tools."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from understudy.core.errors import ToolError
from understudy.core.mcp_settings import McpSettings
from understudy.tools.mcp_text import reason_of, text_of

if TYPE_CHECKING:
    import httpx
    from langchain_core.tools import BaseTool
    from langchain_mcp_adapters.sessions import Connection

__all__ = ["McpServer", "Way"]

RETRY_S = 60.0
"""A server that can't be reached is left alone for so long."""
CLOSING_S = 10.0
VARIABLE = re.compile(r"\$\{([^}]+)\}")


class Way(Protocol):
    """The way out to a server: nothing leaves that the guard has not passed."""

    def allow(self, tool: str, arguments: Mapping[str, object]) -> None:
        """Take note of a call that the guard has passed."""
        ...

    def leaving(self, tool: str, arguments: Mapping[str, object]) -> AbstractContextManager[None]:
        """While it lasts, this call may leave. Raises `EgressRefused`."""
        ...

    def client(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
        auth: httpx.Auth | None = None,
    ) -> httpx.AsyncClient:
        """A client for HTTP whose every request is checked."""
        ...


class McpServer:
    """A session with one server, on the agent's event loop. One that ended is begun anew at the next call.

    Args:
        name: in the settings.
        settings: how it is reached.
        root: the workspace, where a program is started.
        way: the way out.
    """

    def __init__(self, name: str, settings: McpSettings, root: Path, way: Way) -> None:
        self.name, self.settings, self.way = name, settings, way
        self.down: str | None = None
        """Why it could not be reached the last time."""
        self.tools: dict[str, BaseTool] = {}
        """As the adapter made them of the latest session's; kept when that ends."""
        self._root = root
        self._keeper: asyncio.Task[None] | None = None
        self._joining: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._opening = asyncio.Lock()
        self._tried = -RETRY_S

    @property
    def host(self) -> str:
        """To whom it goes, for the audit log."""
        url = self.settings.url
        return f"program of MCP server {self.name}" if url is None else urlsplit(url).netloc.rpartition("@")[2]

    @property
    def connected(self) -> bool:
        """Whether a session is open, as far as anyone knows."""
        return self._keeper is not None and not self._keeper.done()

    async def ready(self) -> None:
        """Open a session if there is none, unless that failed a short while ago. Never raises.

        The first time is waited for. A server that was down then joins when it can, and holds nobody up meanwhile.
        """
        if self.connected or time.monotonic() - self._tried < RETRY_S:
            return
        self._joining = asyncio.create_task(self._joined())
        if self.down is None:
            await self._joining

    async def _joined(self) -> None:
        with suppress(ToolError):  # said in `down`
            await self.opened()

    async def opened(self) -> None:
        """Open a session if there is none. Raises `ToolError`."""
        async with self._opening:
            if self.connected:
                return
            self._tried = time.monotonic()
            listed: asyncio.Future[list[BaseTool]] = asyncio.get_running_loop().create_future()
            self._closing = asyncio.Event()
            # Sessions are entered and left in one task: their cancel scopes want it so.
            keeper = self._keeper = asyncio.create_task(self._keep(listed))
            watched: set[asyncio.Future[Any]] = {keeper, listed}
            await asyncio.wait(watched, timeout=self.settings.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not listed.done():
                error = keeper.exception() if keeper.done() else TimeoutError()
                keeper.cancel()  # it is within the opening, where it heeds nothing else
                await self._dropped()
                self.down = reason_of(error, self.settings.timeout_s)
                raise ToolError(f"MCP server {self.name!r} can't be reached: {self.down}")
            self.down, self.tools = None, {tool.name: tool for tool in listed.result()}

    async def _keep(self, listed: asyncio.Future[list[BaseTool]]) -> None:
        from langchain_mcp_adapters.sessions import create_session
        from langchain_mcp_adapters.tools import load_mcp_tools

        async with create_session(self._connection()) as session:
            await session.initialize()
            listed.set_result(await load_mcp_tools(session, handle_tool_errors=False))
            await self._closing.wait()

    def _connection(self) -> Connection:
        given = self.settings
        if given.url is not None:
            return {
                "transport": "streamable_http",
                "url": given.url,
                "headers": {name: variable(held) for name, held in given.headers_env.items()},
                "timeout": given.timeout_s,
                "sse_read_timeout": given.timeout_s,
                "httpx_client_factory": self.way.client,
            }
        for value in given.env.values():
            for held in VARIABLE.findall(value):
                variable(held)  # the adapter would leave it as it stands
        return {
            "transport": "stdio",
            "command": given.command or "",
            "args": list(given.args),
            "env": dict(given.env),
            "cwd": self._root,
        }

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        """What a tool gives. Raises `ToolError` in one line, and `EgressRefused`."""
        with self.way.leaving(tool, arguments):
            for last in (False, True):
                await self.opened()
                done = await self._called(tool, arguments)
                error = None if done.cancelled() else done.exception()
                if error is None and not done.cancelled():
                    return text_of(*done.result())
                if gone(error):  # the session had ended before, so that nothing was sent: once more in a new one
                    await self._dropped()
                    if not last:
                        continue
                raise ToolError(
                    f"tool {tool!r} of MCP server {self.name!r} failed: {self._why(done, error)}"
                ) from error
        raise AssertionError("a call either gives something or fails")

    async def _called(self, tool: str, arguments: dict[str, Any]) -> asyncio.Task[Any]:
        """The call, which has ended, or was cancelled because its time was up or its session ended."""
        found = self.tools.get(tool)
        run = getattr(found, "coroutine", None)
        if run is None:
            raise ToolError(f"MCP server {self.name!r} has no tool {tool!r}")
        # Not by the tool's own `ainvoke`: that keeps some names of arguments to itself, and reports to tracers.
        calling: asyncio.Task[Any] = asyncio.create_task(run(**arguments))
        watched = {calling} if self._keeper is None else {calling, self._keeper}
        try:
            await asyncio.wait(watched, timeout=self.settings.timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            calling.cancel()
        await asyncio.wait({calling})
        return calling

    def _why(self, call: asyncio.Task[Any], error: BaseException | None) -> str:
        if call.cancelled():
            keeper = self._keeper
            ended = keeper is not None and keeper.done() and not keeper.cancelled()
            error = keeper.exception() if ended and keeper is not None else TimeoutError()
        return reason_of(error, self.settings.timeout_s)

    async def _dropped(self) -> None:
        """End the session, gracefully if that can be."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        self._closing.set()
        await asyncio.wait({keeper}, timeout=CLOSING_S)
        keeper.cancel()
        await asyncio.wait({keeper})
        if not keeper.cancelled():
            keeper.exception()  # looked at, or asyncio would complain

    async def close(self) -> None:
        """End the session, and the program with it."""
        if self._joining is not None:
            await asyncio.wait({self._joining}, timeout=CLOSING_S)
        async with self._opening:
            await self._dropped()


def gone(error: BaseException | None) -> bool:
    """Whether a session had ended before a call was sent. By name, so that nothing is imported for it."""
    terminated = type(error).__name__ == "McpError" and "Session terminated" in str(error)
    return terminated or type(error).__name__ in ("ClosedResourceError", "BrokenResourceError")


def variable(name: str) -> str:
    """A variable of the environment. Raises `ToolError`."""
    held = os.environ.get(name)
    if held is None:
        raise ToolError(f"the environment variable {name} is not set")
    return held
