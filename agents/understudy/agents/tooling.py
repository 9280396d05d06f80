"""The tools that the settings bring, behind the guard, for a small model that can write what they are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool

from understudy.agents.grammar import unusable
from understudy.agents.loop import Loop
from understudy.agents.profiles import QUOTING, Profile
from understudy.core.mcp_settings import McpSettings
from understudy.core.types import Scope
from understudy.core.usage import Account
from understudy.privacy.tool_door import ToolDoor
from understudy.privacy.tools import ToolGuard
from understudy.tools.mcp import McpServers

__all__ = ["Tooling"]


class Tooling:
    """The MCP servers of a workspace, and what stands between them and a question.

    A model that can only point is given none of their tools: it never reads what a tool is for, and what it wrote into
    the arguments would be words of the question picked blindly.

    Args:
        settings: of the servers, by name.
        root: the workspace.
        loop: on which the sessions live.
        guard: runs tools with what may leave.
        profile: of the small model.

    Raises:
        MissingExtraError: there are servers, and the extra `mcp` isn't installed.
    """

    def __init__(
        self,
        settings: Mapping[str, McpSettings],
        root: Path,
        loop: Loop,
        guard: Callable[[], ToolGuard],
        profile: Callable[[], Profile],
    ) -> None:
        self._servers = McpServers(settings, root, loop.run, ToolDoor, lambda tool: unusable(tool, QUOTING))
        self._loop, self._guard, self._profile = loop, guard, profile

    @property
    def wanted(self) -> bool:
        """Whether the small model is one that uses such tools."""
        return self._profile().writes

    async def ready(self) -> None:
        """Know what is on offer before a question begins."""
        if self.wanted:
            await self._servers.ready()

    def offered(self) -> Sequence[BaseTool]:
        """What is on offer now."""
        return self._servers.tools() if self.wanted else ()

    def call(
        self,
        tool: BaseTool,
        arguments: Mapping[str, object],
        sources: Sequence[str],
        account: Account,
        rests_on: Sequence[Scope] = (),
    ) -> str:
        """What a tool says to what the guard lets out; see `ToolGuard.call`."""
        return self._guard().call(self._servers.entrusted(tool), arguments, sources, account, rests_on)

    def listing(self) -> list[dict[str, Any]]:
        """Every server with its tools, and whether the small model is given them. Those not asked yet are asked."""
        self._loop.run(self._servers.ready())
        return [{**server, "offered": self.wanted} for server in self._servers.listing()]

    def close(self) -> None:
        """End the sessions, and the programs that were started."""
        self._loop.run(self._servers.close())
