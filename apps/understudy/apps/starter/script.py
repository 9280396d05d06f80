"""A transcript under construction, in exactly the agent's format: the profile renders it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from understudy.agents.profiles import POINTING, percent
from understudy.core.types import Evidence, Message, Observation

__all__ = ["WORTH_SHOWING", "Script", "scaled", "step"]

SPACED = ("query", "row", "column", "label", "by")
"""Arguments that are words of the thread."""
WORTH_SHOWING = 5
"""Least score in percent, as the transcript shows it, at which the reader's best span is answered.

On the articles kept apart, a lower one adds hardly any right answers, and a higher one loses them. How far a span is to
be trusted is for the judge to say: an answer is shown with its confidence, and one that is in doubt goes to an expert.
"""


def step(kind: str, **arguments: object) -> Message:
    """A step as the grammar writes it: words of the thread stand behind a space."""
    spaced = {k: f" {v}" if k in SPACED else v for k, v in arguments.items()}
    return Message(
        role="assistant", content=json.dumps({"kind": kind, **spaced}, ensure_ascii=False, separators=(",", ":"))
    )


def scaled(observation: Observation, factor: float) -> Observation:
    """An observation with its findings' scores multiplied, for the same find by a reader that is more or less sure."""
    findings = [f.model_copy(update={"score": min(0.99, f.score * factor)}) for f in observation.findings]
    return observation.model_copy(update={"findings": tuple(findings)})


class Script:
    """A question's transcript and evidence."""

    def __init__(self, question: str, earlier: Sequence[str] = ()) -> None:
        self.question = question
        self.messages = POINTING.open(question, [(asked, "") for asked in earlier], "")
        self.evidence = Evidence()

    def copy(self) -> Script:
        """The same so far, to try something."""
        other = Script(self.question)
        other.messages, other.evidence = list(self.messages), self.evidence
        return other

    def become(self, other: Script) -> None:
        """Go on from where a trial got to."""
        self.messages, self.evidence = other.messages, other.evidence

    def take(self, message: Message) -> None:
        """A step that ends the transcript."""
        self.messages.append(message)

    def use(self, message: Message, observation: Observation) -> int:
        """A step that runs a tool; gives the number of the first new finding."""
        first = len(self.evidence.findings) + 1
        self.messages += [message, POINTING.observe(self.question, self.evidence, observation)]
        self.evidence = self.evidence.extended(observation)
        return first

    def read_or_consult(self, reason: str) -> None:
        """Answer with the reader's best span where its score allows it, else consult; nothing found is declined."""
        spans = [(f.score, -n) for n, f in enumerate(self.evidence.findings, 1) if f.origin == "reader"]
        if not self.evidence.passages:
            self.take(step("decline", reason="not_in_documents"))
        elif spans and int(percent(max(spans)[0])) >= WORTH_SHOWING:
            self.take(step("answer", findings=[-max(spans)[1]]))
        else:
            self.take(step("consult", reason=reason))
