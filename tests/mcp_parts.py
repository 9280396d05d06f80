"""MCP clients of a real server: in this process, over stdin and stdout of another, and over HTTP on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TextIO

import httpx
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.memory import create_connected_server_and_client_session

from understudy.agents import Agent
from understudy.apps.mcp.server import Server, Tools

DOCUMENTS = {
    "default": {"ward.md": "# Ward seven\n\n## Visits\n\nVisitors are welcome on ward seven from 14:00 to 19:00.\n"},
    "hr": {"pay.md": "# Pay\n\nThe pay of a nurse on ward seven is 3,400 EUR a month.\n"},
}
PRINCIPALS = '[principals.ann]\nlabels = ["default"]\n'


def made_workspace(folder: Path, toml: str = PRINCIPALS) -> Path:
    """A workspace with two collections, of which Ann may read one."""
    workspace = folder / "workspace"
    workspace.mkdir(mode=0o700)
    with Agent.open(workspace) as agent:
        for collection, files in DOCUMENTS.items():
            source = folder / collection
            source.mkdir()
            for name, text in files.items():
                (source / name).write_text(text, encoding="utf-8")
            agent.ingest([source], collection=collection)
    (workspace / "understudy.toml").write_text(toml, encoding="utf-8")
    return workspace


def child_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@asynccontextmanager
async def in_memory(agent: Agent) -> AsyncIterator[ClientSession]:
    """A client of a server in this process; the agent's principal asks."""
    server = Server("understudy", log_level="WARNING")
    Tools(agent, lambda _: agent.principal.name).added_to(server)
    async with create_connected_server_and_client_session(server._mcp_server) as session:
        yield session


@asynccontextmanager
async def over_stdio(workspace: Path, *options: str, errlog: TextIO) -> AsyncIterator[ClientSession]:
    """A client of `understudy mcp` as a desktop program starts it."""
    command = ["-m", "understudy.apps.cli", "--workspace", str(workspace), *options, "mcp"]
    started = StdioServerParameters(command=sys.executable, args=command, env=child_environment())
    async with stdio_client(started, errlog=errlog) as (heard, said), ClientSession(heard, said) as session:
        await session.initialize()
        yield session


@contextmanager
def serving_http(workspace: Path, port: int, *options: str) -> Iterator[str]:
    """`understudy mcp --http` on loopback; gives its address."""
    command = [sys.executable, "-m", "understudy.apps.cli", "--workspace", str(workspace), *options]
    command += ["mcp", "--http", "--port", str(port)]
    process = subprocess.Popen(command, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        for _ in range(600):
            assert process.poll() is None, process.communicate()[1]
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.communicate(timeout=30)


@asynccontextmanager
async def over_http(url: str, **headers: str) -> AsyncIterator[ClientSession]:
    async with (
        httpx.AsyncClient(headers=headers, timeout=60) as client,
        streamable_http_client(url, http_client=client) as (heard, said, _),
        ClientSession(heard, said) as session,
    ):
        await session.initialize()
        yield session


async def called(session: ClientSession, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool gives; fails where it is an error."""
    result = await session.call_tool(tool, arguments)
    assert not result.isError, result.content
    assert result.structuredContent is not None
    return result.structuredContent


async def refused(session: ClientSession, tool: str, **arguments: Any) -> str:
    """The one line of a tool's error."""
    result = await session.call_tool(tool, arguments)
    assert result.isError
    (content,) = result.content
    assert content.type == "text"
    assert "\n" not in content.text
    return content.text
