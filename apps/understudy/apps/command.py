"""What commands share: the workspace's agent, paths as they were typed, and how JSON is asked for and printed."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy.apps.lending import SOCKET, lent, run_by_owner

if TYPE_CHECKING:
    from understudy.agents import Agent

__all__ = ["Json", "borrowed", "located", "opened", "print_json", "typed_in"]

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on stdout.")]


def opened(context: typer.Context, *, own: bool = False) -> AbstractContextManager[Agent]:
    """The agent of the workspace that was named.

    Args:
        context: of the command.
        own: this process is to own the workspace; else the command may be run by another that serves it.
    """
    agent = None if own else borrowed(context)
    if agent is not None:
        return nullcontext(agent)
    from understudy.agents import Agent

    return Agent.open(context.obj["workspace"], principal=context.obj["principal"])


def borrowed(context: typer.Context) -> Agent | None:
    """The agent of the process that serves the workspace, where this is that process, on behalf of another.

    Where another process serves it, the whole command is run there, and this one ends with its exit code.
    """
    from_us = lent()
    if from_us is not None:
        return from_us.agent_of(context.obj["principal"])
    workspace = Path(context.obj["workspace"]).expanduser().absolute()
    if (workspace / SOCKET).exists():
        code = run_by_owner(workspace, sys.argv[1:], lambda: sys.stdin.read() if "-" in sys.argv[1:] else "")
        if code is not None:
            raise typer.Exit(code)
    return None


def located(text: str) -> Path:
    """A path as it was typed, seen from the folder it was typed in."""
    from_us = lent()
    return Path(text) if from_us is None else from_us.folder / text


def typed_in() -> str:
    """What was piped in, for a command with an argument `-`."""
    from_us = lent()
    return sys.stdin.read() if from_us is None else from_us.stdin


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))
