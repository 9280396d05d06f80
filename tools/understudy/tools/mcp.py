"""Tools of the MCP servers that the settings name, for the small model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeVar

from langchain_core.tools import BaseTool

from understudy.core.errors import MissingExtraError
from understudy.core.mcp_settings import McpSettings
from understudy.tools.mcp_server import McpServer, Way
from understudy.tools.mcp_text import described, nameable

__all__ = ["McpServers", "McpTool"]

T = TypeVar("T")
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
"""The arguments of a tool whose server could not be asked for them."""


class Run(Protocol):
    """Runs work on the agent's event loop, from any other thread."""

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result."""
        ...


class McpTool(BaseTool):
    """A tool of a server. It runs where `toolbox` runs tools: in a thread that isn't the event loop's."""

    called: Callable[[dict[str, Any]], str]

    def _run(self, **arguments: Any) -> str:
        return self.called(arguments)


class McpServers:
    """All servers of a workspace's settings. None is contacted before it is wanted.

    Args:
        settings: by name.
        root: the workspace, where programs are started.
        run: runs work on the event loop that the sessions live on.
        way: the way out to a server, by its name and address.
        unusable: why a tool can't be offered to the small model; `None` where it can.

    Raises:
        MissingExtraError: there are servers, and the extra `mcp` isn't installed.
    """

    def __init__(
        self,
        settings: Mapping[str, McpSettings],
        root: Path,
        run: Run,
        way: Callable[[str, str | None], Way],
        unusable: Callable[[BaseTool], str | None],
    ) -> None:
        if settings and find_spec("langchain_mcp_adapters") is None:
            raise MissingExtraError("langchain-mcp-adapters", "mcp")
        self._run, self._unusable = run, unusable
        self._servers = {name: McpServer(name, given, root, way(name, given.url)) for name, given in settings.items()}
        self._offered: dict[str, McpTool] = {}
        self._origin: dict[str, tuple[McpServer, str]] = {}
        self._left_out: dict[str, dict[str, str]] = {}
        self._known: dict[str, dict[str, BaseTool]] = {}

    async def ready(self) -> None:
        """Have a session with every server that can be reached, and know its tools."""
        await asyncio.gather(*(server.ready() for server in self._servers.values()))
        known = {name: server.tools for name, server in self._servers.items()}
        if any(tools is not self._known.get(name) for name, tools in known.items()):
            self._known = known
            self._offer()

    def tools(self) -> tuple[McpTool, ...]:
        """What the small model may use now, as far as servers have been asked."""
        return tuple(self._offered.values())

    def entrusted(self, tool: BaseTool) -> BaseTool:
        """A tool for the guard's hands alone: what it is run with counts as passed, and may leave once.

        The tools on offer can't be run otherwise. Tools that are not of these servers are as they were.
        """
        if not isinstance(tool, McpTool) or tool.name not in self._origin:
            return tool
        server, name = self._origin[tool.name]

        def called(arguments: dict[str, Any]) -> str:
            server.way.allow(name, arguments)
            return self._run(server.call(name, arguments))

        return tool.model_copy(update={"called": called})

    def listing(self) -> list[dict[str, Any]]:
        """Every server with its tools, for people."""
        return [
            {
                "name": server.name,
                "where": server.settings.url or server.settings.command,
                "reach": server.settings.reach,
                "connected": server.connected,
                "down": server.down,
                "tools": [tool for tool, (owner, _) in self._origin.items() if owner is server],
                "left_out": self._left_out.get(server.name, {}),
            }
            for server in self._servers.values()
        ]

    async def close(self) -> None:
        """End all sessions, and the programs that were started."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    def _offer(self) -> None:
        offered: dict[str, McpTool] = {}
        origin: dict[str, tuple[McpServer, str]] = {}
        self._left_out = {name: {} for name in self._servers}
        for server in self._servers.values():
            for name in server.tools if server.settings.tools is None else server.settings.tools:
                tool = self._made(server, name)
                why = self._fault(server, name, tool, taken=tool.name in offered)
                if why is not None:
                    self._left_out[server.name][name if nameable(name) else repr(name)] = why
                    continue
                offered[tool.name], origin[tool.name] = tool, (server, name)
        self._offered, self._origin = offered, origin

    def _made(self, server: McpServer, name: str) -> McpTool:
        found = server.tools.get(name)
        schema = found.args_schema if found is not None and isinstance(found.args_schema, dict) else NOTHING

        def called(arguments: dict[str, Any]) -> str:
            return self._run(server.call(name, arguments))

        return McpTool(
            name=f"{server.name}_{name}",
            description=described(found.description if found is not None else f"can't be reached: {server.down}"),
            args_schema={**NOTHING, **schema},
            metadata={"reach": server.settings.reach, "host": server.host},
            called=called,
        )

    def _fault(self, server: McpServer, name: str, tool: McpTool, *, taken: bool) -> str | None:
        """Why a tool can't be offered. One of a server that was never reached is: the small model sees why it fails."""
        if taken:
            return "its name is taken"
        if server.tools and name not in server.tools:
            return "the server has no such tool"
        schema = tool.args_schema
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(properties, dict):
            return "its arguments are no object"
        wrong = next((name for name in (tool.name, *properties) if not nameable(str(name))), None)
        if wrong is not None:
            return f"the name {wrong!r} is not made of letters, digits, '_', '-' and '.', or is longer than 64"
        return self._unusable(tool)
