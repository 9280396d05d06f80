"""What the pages besides the conversation have in common: who looks, when they are drawn, and notes of one line."""

from __future__ import annotations

import html
from typing import Any, Literal

import gradio as gr
from gradio.context import Context

from understudy.agents import Agent
from understudy.core.access import Principal

__all__ = ["QUIET", "many", "note", "when_selected", "who"]

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
"""Of every event: not in Gradio's own API, no veil over what is being drawn, and nobody waits for another."""
Kind = Literal["plain", "good", "bad"]
ROLES: dict[Kind, str] = {"plain": "", "good": ' role="status"', "bad": ' role="alert"'}


def who(agent: Agent, request: gr.Request) -> Principal:
    """Who sits before the page, as the gate found out. Raises `AccessError`: there is no such principal any more."""
    return agent.access.principal(str(request.username))


def when_selected(*, loaded: bool = False) -> list[Any]:
    """The triggers of a page that is built within a tab: it is selected, or the whole app was loaded."""
    tab, app = Context.block, Context.root_block
    assert isinstance(tab, gr.Tab)
    assert app is not None
    return [tab.select, app.load] if loaded else [tab.select]


def note(words: str, kind: Kind = "plain") -> str:
    """A line, which screen readers say at once where it tells what was done or went wrong; empty for no words."""
    return f'<p class="u-note u-{kind}"{ROLES[kind]}>{html.escape(words)}</p>' if words else ""


def many(count: int, one: str, several: str = "") -> str:
    """A number of things: "1 passage", "2 passages"."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
