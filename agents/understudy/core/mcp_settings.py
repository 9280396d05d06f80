"""MCP servers in `understudy.toml`, whose tools the small model may use."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from understudy.core.table import Table

__all__ = ["McpSettings", "on_this_machine"]


class McpSettings(Table):
    """One `[mcp.NAME]`: a program that is started, or an address."""

    command: Annotated[str | None, Field(min_length=1)] = None
    """A program that speaks MCP over stdin and stdout; a relative path is seen from the workspace."""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    """Besides a few harmless variables it gets these; `${NAME}` stands for a variable of Understudy's own."""
    url: Annotated[str | None, Field(pattern=r"^https?://[^\s/]+")] = None
    """Of a server that speaks streamable HTTP."""
    headers_env: dict[str, str] = {}
    """Headers, each with the name of the environment variable that holds its value."""
    reach: Literal["local", "private", "cloud"] = "cloud"
    """Where what it is told may go. That a program on this machine sends nothing on is for the owner to say."""
    tools: tuple[str, ...] | None = None
    """Those that the small model may use; by default all that the server has."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """For its start, and for a call."""

    @model_validator(mode="after")
    def one_way(self) -> Self:
        """Either a program or an address, with what belongs to it."""
        if (self.command is None) == (self.url is None):
            raise ValueError("give either command or url")
        if self.url is None and self.headers_env:
            raise ValueError("headers_env goes with url")
        if self.command is None and (self.args or self.env):
            raise ValueError("args and env go with command")
        if self.url is not None and self.reach == "local" and not on_this_machine(self.url):
            raise ValueError(f"reach = 'local', and {urlsplit(self.url).hostname} is not this machine")
        return self


def on_this_machine(url: str) -> bool:
    """Whether the host of a URL is a loopback address."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
