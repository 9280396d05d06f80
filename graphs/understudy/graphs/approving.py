"""A person decides whether a payload may leave: the graph stops, and goes on with what was decided.

An approval is bound to the payload's hash and to the expert, and is used once: it is taken, on the disk, right before
the payload is sent. Whoever is killed after that sends nothing again, and has to be asked again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace

from langgraph.types import interrupt

from understudy.core.egress import Decision, Outbound, Payload, Request
from understudy.graphs.state import AskState, Deps, Run, own_thread

__all__ = ["Unasked", "approve", "approved", "refusal_of", "reworded"]


class Unasked(Exception):
    """A person has to be asked first."""

    def __init__(self, request: Request, edited: str | None) -> None:
        super().__init__(request.id)
        self.request = request
        self.edited = edited
        """What a person wrote, and the guard took more out of."""


async def approve(state: AskState, runtime: Run) -> AskState:
    """Wait for a person."""
    assert state["approval"] is not None
    request = Request.model_validate(state["approval"])
    await asyncio.to_thread(runtime.context.approvals.ask, request, state["principal"], own_thread(state))
    decision = Decision.model_validate(interrupt(request.model_dump(mode="json")))
    began = state["began"] + waited(state, runtime.context.clock())
    if decision.id != request.id:  # of another request, such as one that this one took the place of
        return {"decision": None, "began": began, "paused": None}
    return {"decision": decision.model_dump(mode="json"), "began": began, "paused": None}


def waited(state: AskState, now: float) -> float:
    """Seconds that a person took: they are no part of the answer's latency."""
    since = state.get("paused")  # not in a question that waited before this was kept
    return 0.0 if since is None else max(0.0, now - since)


def approved(deps: Deps, state: AskState, payload: Payload, expert: str) -> Outbound:
    """What may be sent to an expert now, the approval for it taken, if one is needed.

    Raises:
        EgressRefused: nothing may leave, or something in it, in what a person wrote too, can't be kept back.
        Unasked: a person has to say so first.
    """
    own = own_thread(state)
    sent = deps.guard.check(payload, expert, own)
    if not sent.asks:
        return sent
    request, decision = state["approval"], state["decision"]
    if request is None or decision is None or request["expert"] != expert:
        raise Unasked(request_of(state, sent), None)
    edited, expected = state["edited"], request["sha256"]
    if decision["verdict"] == "edit":
        edited = decision["text"]
        expected = replace(sent.payload, user=edited).sha256
    if edited is not None:
        sent = deps.guard.check(payload, expert, own, edited)
    if sent.payload.sha256 != expected or not deps.approvals.use(request["id"]):
        raise Unasked(request_of(state, sent), None if edited is None else sent.payload.user)
    return sent


def reworded(state: AskState) -> bool:
    """Whether what the expert answered was a person's message: it is no answer to the question as it was asked."""
    request, decision, expert = state["approval"], state["decision"], state["expert"]
    if request is None or decision is None or expert is None or request["expert"] != expert["expert"]:
        return False
    return state["edited"] is not None or decision["verdict"] == "edit"


def refusal_of(state: AskState) -> str | None:
    """Why the person refused, if they did."""
    request, decision = state["approval"], state["decision"]
    if request is None or decision is None or decision["verdict"] != "refuse":
        return None
    why = f": {decision['text']}" if decision["text"] else ""
    return f"a person refused to let it go to expert {request['expert']!r}{why}"


def request_of(state: AskState, sent: Outbound) -> Request:
    """What to ask a person."""
    payload = sent.payload
    number = state["requests"] + 1
    named = json.dumps([state["id"], number, sent.expert, payload.sha256])
    return Request(
        id=hashlib.sha256(named.encode()).hexdigest()[:12],
        question=state["question"],
        collection=payload.scope.collection,
        expert=sent.expert,
        allowance=sent.allowance,
        sha256=payload.sha256,
        system=payload.system,
        user=payload.user,
        replaced=dict(sent.replaced),
    )
