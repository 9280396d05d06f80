"""How the MCP server is reached: over stdin and stdout of this process, or over HTTP."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TextIO

import anyio
import typer
from starlette.types import ASGIApp

from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from understudy.agents import Agent
from understudy.apps.mcp.gate import KeyGate, principal_of
from understudy.apps.mcp.server import INSTRUCTIONS, Server, Tools
from understudy.apps.server.database import open_database
from understudy.apps.server.keys import Keys
from understudy.core.errors import SettingsError

__all__ = ["http_app", "loopback", "serve_http", "serve_stdio"]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine in a Host header. Any other is a page whose name was bent to point here."""
PATH = "/mcp"
SCHEMES = ("http", "https")


def serve_stdio(agent: Agent) -> None:
    """Serve one client over stdin and stdout until it closes them; the agent's principal asks."""
    log_to_stderr()
    server = Server("understudy", INSTRUCTIONS, log_level="WARNING")
    Tools(agent, lambda _: agent.principal.name).added_to(server)
    with protocol_stdout() as stdout:
        anyio.run(speak, server, stdout)


def log_to_stderr() -> None:
    """Warnings, a line each; FastMCP adds no handlers of its own then. Some libraries would log every search."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, format="understudy: %(message)s")


async def speak(server: Server, stdout: TextIO) -> None:
    """The protocol over stdin and a stream."""
    low = server._mcp_server  # FastMCP's own `run_stdio_async` writes to whatever stdout is then
    async with stdio_server(stdout=anyio.wrap_file(stdout)) as (heard, said):
        await low.run(heard, said, low.create_initialization_options())


@contextmanager
def protocol_stdout() -> Iterator[TextIO]:
    """Stdout for the protocol alone: whatever else writes there, C libraries included, writes to stderr meanwhile."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8") as stdout:
            yield stdout
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked(host: str, keys: Keys, names: Sequence[str]) -> None:
    """Raise `SettingsError` where anyone on the network could ask, or nobody."""
    if loopback(host):
        return
    if not keys.any_good():
        raise SettingsError(
            f"--host {host}: other machines could read the documents without a key; make one with: "
            "understudy keys create --principal NAME"
        )
    if not names:
        raise SettingsError(
            f"--host {host}: say in understudy.toml by which names clients call this server: "
            '[server] allowed_hosts = ["documents.example"]'
        )


def listening(host: str, port: int) -> socket.socket:
    """A socket to serve on. Raises `SettingsError`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # Python adds the address, once more
        raise SettingsError(f"can't listen on {host}, port {port}: {why}; choose another --port") from error


def http_app(agent: Agent, keys: Keys) -> ASGIApp:
    """The server for HTTP, which answers only where it is called by a name of its own."""
    names = [*LOOPBACK, *agent.settings.server.allowed_hosts]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[*names, *(f"{name}:*" for name in names)],
        allowed_origins=[f"{scheme}://{name}{port}" for name in names for scheme in SCHEMES for port in ("", ":*")],
    )
    server = Server(
        "understudy", INSTRUCTIONS, streamable_http_path=PATH, log_level="WARNING", transport_security=security
    )
    Tools(agent, partial(principal_of, agent)).added_to(server)
    return KeyGate(server.streamable_http_app(), keys, agent)


def serve_http(agent: Agent, host: str, port: int) -> None:
    """Serve any number of clients over streamable HTTP until interrupted. Raises `SettingsError`."""
    import uvicorn

    log_to_stderr()
    keys = Keys(open_database(agent.workspace.server))
    checked(host, keys, agent.settings.server.allowed_hosts)
    listener = listening(host, port)
    # Uvicorn's own configuration of logs writes to stdout.
    config = uvicorn.Config(http_app(agent, keys), log_config=None, timeout_graceful_shutdown=2)
    typer.echo(f"understudy: MCP on http://{host}:{port}{PATH}; Ctrl-C ends it", err=True)
    uvicorn.Server(config).run(sockets=[listener])
