"""What commands share: the workspace's agent, and how JSON is asked for and printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from understudy.agents import Agent

__all__ = ["Json", "opened", "print_json"]

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on stdout.")]


def opened(context: typer.Context) -> Agent:
    """The agent of the workspace that was named."""
    from understudy.agents import Agent

    return Agent.open(context.obj["workspace"], principal=context.obj["principal"])


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))
