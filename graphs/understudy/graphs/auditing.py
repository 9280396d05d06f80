"""What the ask graph tells the audit log: of what is about to leave, of what came of it, of what was refused."""

from __future__ import annotations

from understudy.core.audit import Egress, Refusal, Result
from understudy.core.errors import EgressRefused, ExpertError, SettingsError
from understudy.core.protocols import Outbound, Payload
from understudy.core.types import ExpertAnswer
from understudy.core.usage import Spend
from understudy.graphs.state import AskState

__all__ = ["egress", "failure", "refusal", "success"]


def egress(state: AskState, sent: Outbound, host: str, worst: Spend) -> Egress:
    """A payload is about to go to an expert.

    Args:
        state: of the question.
        sent: what the guard let through, in the form in which it leaves.
        host: where to.
        worst: what it may cost at most.
    """
    payload = sent.payload
    return Egress(
        principal=state["principal"],
        thread=state["thread"],
        question=state["id"],
        job=state["job"],
        expert=sent.expert,
        collection=payload.scope.collection,
        policy=sent.allowance,
        host=host,
        sha256=payload.sha256,
        bytes=len(payload.content),
        replaced=sent.replaced,
        documents=tuple(p.document for p in payload.passages),
        worst=worst,
    )


def refusal(state: AskState, expert: str, payload: Payload, error: EgressRefused) -> Refusal:
    """The guard let nothing of a payload out."""
    return Refusal(
        principal=state["principal"],
        thread=state["thread"],
        question=state["id"],
        job=state["job"],
        expert=expert,
        collection=payload.scope.collection,
        rule=error.rule,
        sha256=payload.sha256,
        bytes=len(payload.content),
    )


def success(state: AskState, number: int, expert: str, reply: ExpertAnswer) -> Result:
    """An answer came."""
    return Result(
        of=number, expert=expert, thread=state["thread"], status="answered", spent=reply.spent, tokens=reply.tokens
    )


def failure(state: AskState, number: int, expert: str, error: ExpertError | SettingsError | EgressRefused) -> Result:
    """None came. Where the expert could not be set up, or its client was stopped at the door, nothing was sent."""
    sent = isinstance(error, ExpertError)
    return Result(
        of=number,
        expert=expert,
        thread=state["thread"],
        status="failed" if sent else "not sent",
        error=type(error).__name__,
        spent=error.spent if isinstance(error, ExpertError) else Spend(),
    )
