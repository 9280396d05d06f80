"""Ask experts: one after the other, through the guard, within the budget."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from understudy.core.egress import Request
from understudy.core.errors import BudgetError, EgressRefused, ExpertError, SettingsError, WorkspaceError
from understudy.core.protocols import Expert, Outbound, Payload
from understudy.core.types import Draft, Evidence, ExpertAnswer, Observation, Scope
from understudy.core.usage import Spend
from understudy.graphs.approving import Unasked, approved, refusal_of
from understudy.graphs.auditing import egress, failure, refusal, success, turned_down
from understudy.graphs.state import AskState, Deps, Run, account_of, evidence_of, plain, rests_of

__all__ = ["briefed", "consult"]


async def consult(state: AskState, runtime: Run) -> AskState:
    """Ask the experts in turn, through the guard, until one answers, or until a person has to be asked."""
    deps = runtime.context
    if not len(deps.experts):
        return {"expert": None, "reason": f"{state['reason']}; no expert is configured"}
    said_no = refusal_of(state)
    if said_no is not None and state["approval"] is not None:
        try:
            await asyncio.to_thread(deps.audit.append, turned_down(state, Request.model_validate(state["approval"])))
        except WorkspaceError as error:  # nothing leaves, whether that can be noted or not
            said_no = f"{said_no}; {error}"
        await asyncio.to_thread(deps.approvals.close, state["approval"]["id"])
        return {"expert": None, "reason": f"{state['reason']}; {said_no}"}
    scope = Scope.model_validate(state["scope"])
    evidence = evidence_of(state)
    update: AskState = {}
    if len(evidence.passages) < deps.shown:
        evidence = await asyncio.to_thread(widened, evidence, deps, state["question"], scope)
        update["evidence"] = evidence.model_dump(mode="json")
    passed = dict(state["passed"])
    try:
        payload = await asyncio.to_thread(briefed, deps, state, scope, evidence)
        payload = replace(payload, rests_on=rests_of(state, payload.rests_on))  # the draft may tell of any of it
        update["rests_on"] = plain(payload.rests_on)
        for expert in await asyncio.to_thread(deps.experts.ranked, payload):
            try:
                if expert.name in state["passed"]:
                    await asyncio.to_thread(deps.experts.note, expert.name, scope, None, None)
                    continue
                sent = await asyncio.to_thread(approved, deps, state, payload, expert.name)
                reply, trouble = await paid(deps, state, expert, sent)
            except Unasked as wanted:
                await asyncio.to_thread(deps.experts.note, expert.name, scope, None, None)
                return {**update, **asking(state, wanted, deps.clock()), "passed": passed}
            except (EgressRefused, BudgetError, ExpertError, SettingsError) as error:
                passed[expert.name] = str(error)
                if isinstance(error, EgressRefused | BudgetError):
                    await asyncio.to_thread(deps.audit.append, refusal(state, expert.name, payload, error))
                failed = error if isinstance(error, ExpertError) else None
                await asyncio.to_thread(deps.experts.note, expert.name, scope, None, failed)
                continue
            if reply.unseen and reply.not_in_documents:
                passed[expert.name] = f"expert {expert.name!r} was given the question alone, and can't tell from it"
                continue
            told = [state["reason"], trouble, "the expert saw the question alone" * reply.unseen]
            return {**update, "expert": reply.model_dump(mode="json"), "reason": "; ".join(filter(None, told))}
    except WorkspaceError as error:  # nothing can be booked or kept, so nothing is asked
        passed[""] = str(error)
    why = "; ".join(passed.values()) or "no expert can be asked now"
    return {**update, "expert": None, "approval": None, "reason": f"{state['reason']}; {why}"}


def asking(state: AskState, wanted: Unasked, now: float) -> AskState:
    """What is left for the node that waits for a person."""
    request, number = wanted.request.model_dump(mode="json"), state["requests"] + 1
    return {"approval": request, "decision": None, "edited": wanted.edited, "requests": number, "paused": now}


def briefed(deps: Deps, state: AskState, scope: Scope, evidence: Evidence) -> Payload:
    """What an expert would be told."""
    draft = Draft.model_validate(state["draft"]) if state["draft"] else None
    shown = None if state["blind"] else draft  # who compares must not be led by what is compared
    payload = deps.brief(state["question"], scope, evidence.passages, shown, [t["question"] for t in state["turns"]])
    return replace(payload, earlier=tuple(t.get("collection", "") for t in state["turns"]))


def widened(evidence: Evidence, deps: Deps, question: str, scope: Scope) -> Evidence:
    """The evidence with what else a search for the question finds, up to what an expert is to be shown."""
    held = {(p.document, p.start, p.end) for p in evidence.passages}
    found = deps.retriever.search(question, scope, limit=deps.shown)
    new = [p for p in found if (p.document, p.start, p.end) not in held][: deps.shown - len(held)]
    return evidence.extended(Observation(passages=tuple(new)), question)


async def paid(deps: Deps, state: AskState, expert: Expert, sent: Outbound) -> tuple[ExpertAnswer, str]:
    """Ask an expert with its worst case set aside and the audit log told; what was never settled stays spent.

    The answer comes with what could not be written down: what was paid for is answered with all the same.
    """
    payload = sent.payload
    host, worst = await asyncio.to_thread(expert.host), expert.worst(payload)
    reservation = await asyncio.to_thread(deps.budget.reserve, account_of(state), expert.name, worst)
    try:
        number = await asyncio.to_thread(deps.audit.append, egress(state, sent, host, worst))
    except WorkspaceError:  # what can't be written down isn't sent
        await asyncio.to_thread(deps.budget.settle, reservation, Spend())
        raise
    try:
        with deps.guard.sending(sent):
            raw = await expert.ask(payload)
    except (ExpertError, SettingsError, EgressRefused) as error:
        came = failure(state, number, expert.name, error)
        if came.spent is not None:
            await asyncio.to_thread(deps.budget.settle, reservation, came.spent)
        await asyncio.to_thread(deps.audit.append, came)
        raise
    trouble = ""
    try:  # first of all: whatever becomes of the reply here, it was paid for
        await asyncio.to_thread(deps.budget.settle, reservation, raw.spent)
        await asyncio.to_thread(deps.audit.append, success(state, number, expert.name, raw))
    except WorkspaceError as error:
        trouble = f"the call could not be booked: {error}"
    try:
        reply = await asyncio.to_thread(deps.guard.restore, raw, sent)
    except WorkspaceError:  # says nothing of the expert
        await asyncio.to_thread(deps.experts.note, expert.name, payload.scope, None, None)
        raise
    try:
        await asyncio.to_thread(deps.experts.note, expert.name, payload.scope, reply, None)
    except WorkspaceError as error:
        trouble = trouble or f"the call could not be booked: {error}"
    return reply, trouble
