"""Ask experts: one after the other, through the guard, within the budget."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from understudy.core.errors import BudgetError, EgressRefused, ExpertError, SettingsError, WorkspaceError
from understudy.core.protocols import Account, Expert, Outbound
from understudy.core.types import Draft, Evidence, ExpertAnswer, Observation, Scope
from understudy.core.usage import Spend
from understudy.graphs.auditing import egress, failure, refusal, success
from understudy.graphs.state import AskState, Deps, Run, evidence_of, own_thread, plain, rests_of

__all__ = ["consult"]


async def consult(state: AskState, runtime: Run) -> AskState:
    """Ask the experts in turn, through the guard, until one answers."""
    deps = runtime.context
    if not len(deps.experts):
        return {"expert": None, "reason": f"{state['reason']}; no expert is configured"}
    scope = Scope.model_validate(state["scope"])
    evidence = evidence_of(state)
    update: AskState = {}
    if len(evidence.passages) < deps.shown:
        evidence = await asyncio.to_thread(widened, evidence, deps, state["question"], scope)
        update["evidence"] = evidence.model_dump(mode="json")
    draft = Draft.model_validate(state["draft"]) if state["draft"] else None
    history = [t["question"] for t in state["turns"]]
    shown = None if state["blind"] else draft  # who compares must not be led by what is compared
    refusals = []
    try:
        payload = await asyncio.to_thread(deps.brief, state["question"], scope, evidence.passages, shown, history)
        payload = replace(payload, earlier=tuple(t.get("collection", "") for t in state["turns"]))
        update["rests_on"] = plain(rests_of(state, payload.rests_on))
        for expert in await asyncio.to_thread(deps.experts.ranked, payload):
            try:
                sent = await asyncio.to_thread(deps.guard.check, payload, expert.name, own_thread(state))
                reply, trouble = await paid(deps, state, expert, sent)
            except (EgressRefused, BudgetError, ExpertError, SettingsError) as error:
                refusals.append(str(error))
                if isinstance(error, EgressRefused):
                    await asyncio.to_thread(deps.audit.append, refusal(state, expert.name, payload, error))
                failed = error if isinstance(error, ExpertError) else None
                await asyncio.to_thread(deps.experts.note, expert.name, scope, None, failed)
                continue
            reason = f"{state['reason']}; {trouble}" if trouble else state["reason"]
            return {**update, "expert": reply.model_dump(mode="json"), "reason": reason}
    except WorkspaceError as error:  # nothing can be booked or kept, so nothing is asked
        refusals.append(str(error))
    why = "; ".join(refusals) or "no expert can be asked now"
    return {**update, "expert": None, "reason": f"{state['reason']}; {why}"}


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
    account = Account(state["id"], state["thread"], state["principal"], state["job"])
    host, worst = await asyncio.to_thread(expert.host), expert.worst(payload)
    reservation = await asyncio.to_thread(deps.budget.reserve, account, expert.name, worst)
    try:
        number = await asyncio.to_thread(deps.audit.append, egress(state, sent, host, worst))
    except WorkspaceError:  # what can't be written down isn't sent
        await asyncio.to_thread(deps.budget.settle, reservation, Spend())
        raise
    try:
        reply = await asyncio.to_thread(deps.guard.restore, await expert.ask(payload), sent)
    except (ExpertError, SettingsError) as error:
        came = failure(state, number, expert.name, error)
        if came.spent is not None:
            await asyncio.to_thread(deps.budget.settle, reservation, came.spent)
        await asyncio.to_thread(deps.audit.append, came)
        raise
    try:
        await asyncio.to_thread(deps.budget.settle, reservation, reply.spent)
        await asyncio.to_thread(deps.audit.append, success(state, number, expert.name, reply))
        await asyncio.to_thread(deps.experts.note, expert.name, payload.scope, reply, None)
    except WorkspaceError as error:
        return reply, f"the call could not be booked: {error}"
    return reply, ""
