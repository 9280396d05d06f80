"""The decisions a small model can take. Tools on offer add one step each, named after the tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from understudy.core.usage import SmallTokens

__all__ = [
    "LONGEST_ANSWER",
    "MOST_QUOTES",
    "AnswerStep",
    "Consult",
    "Decline",
    "Point",
    "Quote",
    "Step",
    "Taken",
    "ToolStep",
]


MOST_QUOTES = 3
LONGEST_ANSWER = 600
"""Characters."""


class StepModel(BaseModel):
    """A decision; frozen, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Quote(StepModel):
    """A verbatim span of a passage. `passage` counts from 1, as the transcript labels them."""

    passage: int
    quote: str


class AnswerStep(StepModel):
    """Answer from the evidence, each claim supported by a quote."""

    kind: Literal["answer"] = "answer"
    quotes: Annotated[list[Quote], Field(min_length=1, max_length=MOST_QUOTES)]
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_ANSWER)]


class Point(StepModel):
    """Answer by pointing at findings (numbered from 1), for models too small to write."""

    kind: Literal["answer"] = "answer"
    findings: Annotated[list[int], Field(min_length=1, max_length=3)]


class Consult(StepModel):
    """Ask an expert instead of answering."""

    kind: Literal["consult"] = "consult"
    reason: Literal["unsure", "needs_reasoning", "needs_arithmetic", "incomplete_evidence"]


class Decline(StepModel):
    """Say that the documents don't answer the question."""

    kind: Literal["decline"] = "decline"
    reason: Literal["not_in_documents", "not_answerable"]


class ToolStep(StepModel):
    """Run a tool by name."""

    kind: str
    arguments: dict[str, Any]


Step = AnswerStep | Point | Consult | Decline | ToolStep


@dataclass(frozen=True)
class Taken:
    """A step with what it took to decide it."""

    step: Step
    text: str
    """The JSON as it stands in the transcript."""
    tokens: SmallTokens
    seconds: float
    """Wall time inside llama.cpp."""
    mean_logprob: float
    """Mean natural log-probability of the step's content tokens, before the grammar's mask; forced ones included."""
    min_logprob: float
    removed_mass: float
    choice_entropy: float
    """Entropy in nats of the choice of the step's kind, after the mask."""
    quote_logprobs: tuple[float, float] | None = None
    """Mean and least of the tokens of an answer's quotes alone; `None` for a step that quotes nothing."""
