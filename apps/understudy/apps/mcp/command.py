"""`understudy mcp`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from understudy.apps.command import opened
from understudy.apps.lending import lending
from understudy.core.errors import MissingExtraError

__all__ = ["mcp"]


def mcp(
    context: typer.Context,
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP instead of stdin and stdout.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on, with --http.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on, with --http.")] = 8766,
) -> None:
    """Serve ask, search and read_passage to programs that speak the Model Context Protocol."""
    if find_spec("mcp") is None:
        raise MissingExtraError("mcp", "mcp")
    from understudy.apps.mcp.serving import serve_http, serve_stdio

    with opened(context, own=True) as agent, lending(agent):
        if http:
            serve_http(agent, host, port)
        else:
            serve_stdio(agent)
