"""What the ask graph tells the audit log: of what is about to leave, of what came of it, of what was refused."""

from __future__ import annotations

from typing import Any

from understudy.core.audit import Egress, Refusal, Result
from understudy.core.egress import Request
from understudy.core.errors import BudgetError, EgressRefused, ExpertError, SettingsError
from understudy.core.protocols import Outbound, Payload
from understudy.core.provenance import UNKNOWN, read_in, together
from understudy.core.types import Evidence, ExpertAnswer, Scope
from understudy.core.usage import Spend
from understudy.graphs.state import AskState, rests_of

__all__ = ["egress", "failure", "refusal", "success", "turned_down"]


def egress(state: AskState, sent: Outbound, host: str, worst: Spend) -> Egress:
    """A payload is about to go to an expert.

    Args:
        state: of the question.
        sent: what the guard let through, in the form in which it leaves.
        host: where to.
        worst: what it may cost at most.
    """
    payload = sent.payload
    shown = read_in(Scope(collection=payload.scope.collection), Evidence(passages=payload.passages))
    return Egress(
        **party(state, sent.expert, payload),
        policy=sent.allowance,
        host=host,
        replaced=sent.replaced,
        documents=together(shown, payload.rests_on),
        quoted=() if sent.edited else shown,
        edited=sent.edited,
        worst=worst,
    )


def refusal(state: AskState, expert: str, payload: Payload, error: EgressRefused | BudgetError) -> Refusal:
    """Nothing of a payload was let out."""
    if isinstance(error, BudgetError):
        return Refusal(**party(state, expert, payload), rule="budget")
    return Refusal(**party(state, expert, payload), policy=error.policy, rule=error.rule)


def turned_down(state: AskState, request: Request) -> Refusal:
    """A person let nothing of what they were shown out."""
    scope = Scope.model_validate(state["scope"])
    earlier = tuple(turn.get("collection", UNKNOWN) for turn in state["turns"])
    shown = Payload(request.system, request.user, (), state["question"], scope, earlier, rests_of(state))
    return Refusal(**party(state, request.expert, shown), policy=request.allowance, rule="approval")


def party(state: AskState, expert: str, payload: Payload) -> dict[str, Any]:
    """What records of egress and of refusal have in common."""
    return {
        "principal": state["principal"],
        "thread": state["thread"],
        "question": state["id"],
        "job": state["job"],
        "expert": expert,
        "collection": payload.scope.collection,
        "collections": payload.sources,
        "sha256": payload.sha256,
        "bytes": len(payload.content),
    }


def success(state: AskState, number: int, expert: str, reply: ExpertAnswer) -> Result:
    """An answer came."""
    return Result(
        of=number,
        expert=expert,
        thread=state["thread"],
        status="answered",
        spent=reply.spent,
        tokens=reply.tokens,
        attempts=reply.attempts,
    )


def failure(state: AskState, number: int, expert: str, error: ExpertError | SettingsError | EgressRefused) -> Result:
    """None came. Where the expert could not be set up, or its client was stopped at the door, nothing was sent."""
    attempts = 0 if isinstance(error, SettingsError) else error.attempts
    return Result(
        of=number,
        expert=expert,
        thread=state["thread"],
        status="failed" if attempts else "not sent",
        error=type(error).__name__,
        spent=Spend() if isinstance(error, SettingsError) else error.spent,
        attempts=attempts,
    )
