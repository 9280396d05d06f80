"""What waits for a person: the requests of a workspace, and what becomes of a question once one is decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

from langgraph.types import StateSnapshot

from understudy.core.access import Principal
from understudy.core.audit import Approval, AuditLog
from understudy.core.egress import Decision, Request, Verdict, content_of, sha256_of
from understudy.core.errors import ApprovalError
from understudy.core.settings import OWNER
from understudy.graphs.ask import AskGraph
from understudy.graphs.run import pending, resume
from understudy.graphs.state import Deps, Event
from understudy.privacy.approvals import ApprovalStore, Noted

__all__ = ["Approving"]


class Approving:
    """The requests of a workspace. Principals decide their own; the owner decides anyone's.

    Who may no longer read what a thread rests on isn't told that anything waits in it.

    Args:
        store: ids of requests.
        graph: the ask graph, whose threads wait.
        going_on: the graph and all that a question may use, by its principal, thread and collection.
        open_to: whether somebody may read all that a thread rests on.
        audit: is told of every decision.
        following: what is told of a question that goes on, by its thread's key and its request; one at a time.
    """

    def __init__(
        self,
        store: ApprovalStore,
        graph: AskGraph,
        going_on: Callable[[str, str, str], tuple[AskGraph, Deps]],
        open_to: Callable[[Principal, str], bool],
        audit: AuditLog,
        following: Callable[[str, str], AbstractAsyncContextManager[Callable[[Event], Awaitable[None]]]],
    ) -> None:
        self._store, self._graph, self._going_on = store, graph, going_on
        self._open_to, self._audit, self._following = open_to, audit, following

    async def listing(self, who: Principal) -> list[dict[str, Any]]:
        """Requests that wait for `who`, without what would leave; those whose thread has gone on are forgotten."""
        found = []
        for noted in self._store.noted():
            if who.name not in (OWNER, noted.principal):
                continue
            held = await self._held(noted)
            if pending(held, noted.id) is None:
                self._store.close(noted.id)
            elif await self._may_read(who, noted):
                found.append(shown(noted, held))
        return found

    async def show(self, request: str, who: Principal) -> dict[str, Any]:
        """A request with the exact payload that would leave. Raises `ApprovalError`."""
        noted, held = await self._waiting(request, who)
        wanted = Request.model_validate(held.values["approval"])
        sent = {"system": wanted.system, "user": wanted.user, "replaced": dict(wanted.replaced)}
        return {**shown(noted, held), "payload": sent}

    async def decide(self, decision: Decision, who: Principal) -> AsyncIterator[Event]:
        """Go on with the question that waits; the last event holds its answer.

        Raises:
            ApprovalError: nothing waits under this id that they may read.
            AccessError: whoever asked is no principal any more.
            ScopeError: whoever asked may no longer read what the thread rests on.
            ThreadBusyError: somebody else has decided, and the question goes on.
        """
        noted, held = await self._waiting(decision.id, who)
        thread = own_name(noted.thread)
        # First the leave to go on: the log holds no approval that came to nothing.
        graph, deps = await asyncio.to_thread(self._going_on, noted.principal, thread, noted.collection)
        async with self._following(noted.thread, decision.id) as tell:
            await asyncio.to_thread(self._audit.append, record_of(decision, who.name, noted, held))
            async for event in resume(graph, deps, noted.principal, thread, decision):
                await tell(event)
                yield event

    async def _waiting(self, request: str, who: Principal) -> tuple[Noted, StateSnapshot]:
        for noted in self._store.noted(request):
            held = await self._held(noted)
            own = who.name in (OWNER, noted.principal)
            if own and pending(held, request) is not None and await self._may_read(who, noted):
                return noted, held
        raise ApprovalError(f"no question waits for request {request!r}; understudy approvals list shows those that do")

    async def _may_read(self, who: Principal, noted: Noted) -> bool:
        return await asyncio.to_thread(self._open_to, who, noted.thread)

    async def _held(self, noted: Noted) -> StateSnapshot:
        return await self._graph.aget_state({"configurable": {"thread_id": noted.thread}})


def record_of(decision: Decision, who: str, noted: Noted, held: StateSnapshot) -> Approval:
    """What the audit log is told of a decision."""
    request = Request.model_validate(held.values["approval"])
    said: dict[Verdict, Literal["approved", "edited", "refused"]] = {
        "approve": "approved",
        "edit": "edited",
        "refuse": "refused",
    }
    return Approval(
        decision=said[decision.verdict],
        by=who,
        principal=noted.principal,
        thread=own_name(noted.thread),
        expert=noted.expert,
        collection=noted.collection,
        sha256=noted.sha256,
        edited_sha256=sha256_of(request.system, decision.text) if decision.verdict == "edit" else None,
    )


def own_name(thread: str) -> str:
    """A thread as its principal calls it."""
    return thread.partition("/")[2]


def shown(noted: Noted, held: StateSnapshot) -> dict[str, Any]:
    """A request in short."""
    request = Request.model_validate(held.values["approval"])
    return {
        "id": noted.id,
        "created": noted.created,
        "principal": noted.principal,
        "thread": own_name(noted.thread),
        "question": request.question,
        "collection": noted.collection,
        "expert": noted.expert,
        "allows": request.allowance,
        "sha256": noted.sha256,
        "bytes": len(content_of(request.system, request.user)),
        "may_have_left": noted.used is not None,
    }
