"""A question on its way, as the page shows it: where it stands in the queue, its steps, its draft, its answer."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from understudy.apps.api.answering import Events, happenings
from understudy.apps.chat.render import live
from understudy.apps.chat.words import step_in_words
from understudy.apps.server.served import Served
from understudy.core.types import Answer, StepRecord
from understudy.graphs.state import Event

__all__ = ["Shown", "following"]

LATEST = re.compile(r'"(text|query|expression|quote)":"((?:[^"\\]|\\.)*+)"?+[^"]*+$')
"""The field that a step in progress is writing: a string that may not have ended.

What was matched is never tried in another way: that would take the square of a long draft's length, at every token.
"""


@dataclass
class Shown:
    """What is known so far of a question in progress."""

    question: str
    steps: list[StepRecord] = field(default_factory=list)
    position: int = 0
    writing: str = ""
    """The step in progress, as far as it is written."""
    answer: Answer | None = None

    def note(self, event: Event) -> None:
        """Something happened."""
        if event.kind == "text":
            self.writing += event.text
        elif event.kind == "step" and event.step is not None:
            self.steps.append(event.step)
            self.writing = ""
        elif event.answer is not None:
            self.answer = event.answer

    def html(self) -> str:
        """The question in progress."""
        return live(self.question, self.steps, self.doing(), self.drafted("text"))

    def doing(self) -> str:
        """What goes on, in words."""
        if self.position:
            return f"Waiting: {self.position} before this" if self.position > 1 else "Waiting: next in line"
        if query := self.drafted("query"):
            return f"Searching for “{query}”"
        if self.drafted("quote") or self.drafted("text"):
            return "Writing a draft"
        if not self.steps:
            return "Thinking about what to look for"
        if self.steps[-1].kind in ("answer", "consult"):
            return "Checking the draft; asking the expert if it must"
        return f"Thinking, having {step_in_words(self.steps[-1])}" if self.steps[-1].kind == "search" else "Thinking"

    def drafted(self, name: str) -> str:
        """What is being written into a field of the step in progress."""
        found = LATEST.search(self.writing)
        if found is None or found[1] != name:
            return ""
        try:
            return str(json.loads(f'"{found[2]}"'))
        except ValueError:
            return ""  # it ends within an escape


async def following(
    served: Served, principal: str, thread: str | None, question: str, events: Events
) -> AsyncGenerator[Shown]:
    """What is to be shown, whenever it changes; the last holds the answer. Closing it stops inference.

    Raises `QueueFull`, `ApiError`, and what the agent raises.
    """
    shown = Shown(question)
    async with aclosing(happenings(served, principal, events, thread)) as happening:
        async for event in happening:
            if isinstance(event, int):
                shown.position = event
            else:
                shown.position = 0
                shown.note(event)
            yield shown
