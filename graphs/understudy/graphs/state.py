"""What one question carries through the graph, and what it may use: plain data, and the runtime's models and stores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict
from urllib.parse import quote

from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict

from understudy.core.audit import AuditLog
from understudy.core.egress import Approvals
from understudy.core.protocols import (
    Account,
    AnswerCache,
    Budget,
    Cancel,
    ExampleStore,
    Experts,
    Guard,
    Judge,
    Outcomes,
    Payload,
    Planner,
    Retriever,
    ToolBox,
)
from understudy.core.provenance import read_in, together
from understudy.core.types import Draft, Evidence, Passage, Scope, StepRecord

__all__ = [
    "AskState",
    "Deps",
    "Event",
    "Run",
    "Turn",
    "account_of",
    "evidence_of",
    "own_thread",
    "plain",
    "rests_of",
    "thread_key",
]

Brief = Callable[[str, Scope, Sequence[Passage], Draft | None, Sequence[str]], Payload]


class Turn(TypedDict):
    """A finished question of a thread."""

    question: str
    answer: str
    collection: NotRequired[str]
    """Whose documents it was asked of; absent in those of before it was kept."""


class AskState(TypedDict, total=False):
    """The state of a thread; all but `turns` and `rests_on` is of the question in progress. Values are JSON-like."""

    turns: list[Turn]
    rests_on: list[dict[str, Any]]
    """All documents behind what the thread holds, `turns` included: see `core.provenance`."""
    id: str
    question: str
    scope: dict[str, Any]
    principal: str
    thread: str
    job: str | None
    began: float
    """Moved on by what a person took to decide."""
    paused: float | None
    """Since when a person is waited for."""
    cached: dict[str, Any] | None
    near: dict[str, Any] | None
    """An earlier question that may be the same: its answer (`cached`), `similarity`, `hit`, `audit`, `probability`."""
    transcript: list[dict[str, Any]]
    evidence: dict[str, Any]
    versions: str
    calls: list[str]
    records: list[dict[str, Any]]
    tokens: dict[str, int]
    pending: dict[str, Any] | None
    repeats: int
    draft: dict[str, Any] | None
    outcome: Literal["accept", "defer", "decline", ""]
    confidence: float
    reason: str
    expert: dict[str, Any] | None
    answer: dict[str, Any] | None
    signals: dict[str, float]
    failures: int
    probability: float
    audit: bool
    blind: bool
    approval: dict[str, Any] | None
    """What a person was asked last, a `Request`, and what they said to it, a `Decision`: `None` until they have."""
    decision: dict[str, Any] | None
    edited: str | None
    """What a person wrote in the place of the payload."""
    requests: int
    passed: dict[str, str]
    """Why experts that had their turn gave no answer, by name."""


class Event(BaseModel):
    """Something that happened while a question is being answered.

    `kind` is "step" (a step was taken: `step`), "text" (characters of the step in progress: `text`), or "answer".
    """

    model_config = ConfigDict(frozen=True)
    kind: Literal["step", "text", "answer"]
    step: StepRecord | None = None
    text: str = ""
    answer: Any = None


def no_text(_text: str) -> None:
    """Nobody is listening."""


def never() -> bool:
    """Nobody stops."""
    return False


@dataclass(frozen=True)
class Deps:
    """Models, stores and clients of one run: LangGraph's runtime context."""

    planner: Planner
    tools: ToolBox
    retriever: Retriever
    judge: Judge
    guard: Guard
    audit: AuditLog
    approvals: Approvals
    budget: Budget
    experts: Experts
    outcomes: Outcomes
    cache: AnswerCache
    examples: ExampleStore
    brief: Brief
    small_model: str
    label: str | None = None
    """Access label of the collection asked, which examples keep."""
    max_steps: int = 8
    shown: int = 5
    """Passages that an expert is shown at least."""
    on_text: Callable[[str], None] = no_text
    cancel: Cancel = never
    clock: Callable[[], float] = time.time


Run = Runtime[Deps]
"""What a node is given beside the state."""


def thread_key(principal: str, thread: str) -> str:
    """A thread's name among all principals': nobody reads another's."""
    return f"{quote(principal, safe='')}/{thread}"


def own_thread(state: AskState) -> str:
    """`thread_key` a question in progress."""
    return thread_key(state["principal"], state["thread"])


def account_of(state: AskState) -> Account:
    """Whose question is in progress."""
    return Account(state["id"], state["thread"], state["principal"], state["job"])


def evidence_of(state: AskState) -> Evidence:
    """The evidence so far."""
    return Evidence.model_validate(state["evidence"])


def rests_of(state: AskState, *more: Iterable[Scope]) -> tuple[Scope, ...]:
    """The documents behind all that the thread and the question in progress have seen so far."""
    noted = (Scope.model_validate(scope) for scope in state.get("rests_on", ()))
    return together(noted, read_in(Scope.model_validate(state["scope"]), evidence_of(state)), *more)


def plain(rests_on: Iterable[Scope]) -> list[dict[str, Any]]:
    """A trace as the state keeps it."""
    return [scope.model_dump() for scope in rests_on]
