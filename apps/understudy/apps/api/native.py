"""`/v1/understudy`: threads, what people say of answers, what waits for them, and the state of the workspace."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from understudy.apps.api.answering import CLIENT_GONE, ClientGone, answer_in, happenings, listening, until
from understudy.apps.api.errors import ApiError, api_error
from understudy.apps.api.events import EventStream
from understudy.apps.api.models import Who
from understudy.apps.api.schemas import Lenient, Text
from understudy.apps.server.served import Served, served
from understudy.core.conversation import ThreadInfo, Turn
from understudy.core.errors import UnderstudyError
from understudy.core.types import Answer
from understudy.graphs.state import Event

__all__ = ["router"]

router = APIRouter(prefix="/v1/understudy")
TurnNumber = Annotated[int, Path(ge=1, le=2**31, description="of the question in its thread, from 1")]


class ThreadList(BaseModel):
    """The threads of who asks, the one that changed last first."""

    threads: list[ThreadInfo]


class Conversation(BaseModel):
    """What was asked in a thread."""

    id: str
    turns: list[Turn]


class Title(Lenient):
    """What a thread is called."""

    title: Annotated[Text, Field(min_length=1, max_length=1000)]


class Feedback(Lenient):
    """What a person says of an answer; with neither, what was said before is taken back from the thread."""

    good: bool | None = None
    correction: Annotated[Text, Field(max_length=100_000)] | None = None


class ApprovalEntry(BaseModel):
    """A request that waits for a person."""

    id: str
    created: str
    principal: str
    thread: str
    question: str
    collection: str
    expert: str
    allows: str
    sha256: str
    bytes: int
    may_have_left: bool


class Sent(BaseModel):
    """Every character that would leave, and what was replaced in it."""

    system: str
    user: str
    replaced: dict[str, Any]


class Approval(ApprovalEntry):
    """A request with what would leave."""

    payload: Sent


class ApprovalList(BaseModel):
    """All that wait."""

    approvals: list[ApprovalEntry]


class Decided(Lenient):
    """What a person decides."""

    verdict: Literal["approve", "edit", "refuse"]
    text: Annotated[Text, Field(max_length=1_000_000)] = ""
    """The message to send instead, where it is edited; a reason, where it is refused."""
    stream: bool = False


@router.get("/status", tags=["Server"])
def status(request: Request, principal: Who) -> dict[str, Any]:
    """Model, experts, collections, promise and spending: what a principal may know of the workspace."""
    agent = served(request).agent
    found = agent.status(principal=principal)
    hidden = ("workspace", "example_store", "ner", "mcp") if agent.access.principal(principal).restricted else ()
    return {name: value for name, value in found.items() if name not in hidden}


@router.get("/threads", tags=["Threads"])
def list_threads(request: Request, principal: Who) -> ThreadList:
    """Threads that can be gone on with."""
    return ThreadList(threads=served(request).agent.threads(principal=principal))


@router.get("/threads/{thread}", tags=["Threads"])
def show_thread(request: Request, principal: Who, thread: str) -> Conversation:
    """A thread with its questions and whole answers, interrupted ones too."""
    return Conversation(id=thread, turns=served(request).agent.thread(thread, principal=principal))


@router.patch("/threads/{thread}", tags=["Threads"], status_code=204)
def rename_thread(request: Request, principal: Who, thread: str, named: Title) -> None:
    """Call a thread something."""
    served(request).agent.rename_thread(thread, named.title, principal=principal)


@router.delete("/threads/{thread}", tags=["Threads"], status_code=204)
def delete_thread(request: Request, principal: Who, thread: str) -> None:
    """Delete a thread; what was learned from it stays."""
    served(request).agent.delete_thread(thread, principal=principal)


@router.post("/threads/{thread}/turns/{number}/feedback", tags=["Threads"])
def feedback(request: Request, principal: Who, thread: str, number: TurnNumber, said: Feedback) -> Turn:
    """Say whether an answer is right, or what the right one is."""
    agent = served(request).agent
    return agent.feedback(thread, number, good=said.good, correction=said.correction, principal=principal)


@router.get("/approvals", tags=["Approvals"])
def list_approvals(request: Request, principal: Who) -> ApprovalList:
    """What waits for a person; the owner sees everyone's."""
    found = served(request).agent.approvals(principal=principal)
    return ApprovalList(approvals=[ApprovalEntry(**row) for row in found])


@router.get("/approvals/{approval}", tags=["Approvals"])
def show_approval(request: Request, principal: Who, approval: str) -> Approval:
    """A request with every character that would leave."""
    return Approval(**served(request).agent.approval(approval, principal=principal))


@router.post("/approvals/{approval}", tags=["Approvals"], response_model=Answer)
async def decide(request: Request, principal: Who, approval: str, decided: Decided) -> Any:
    """Approve, edit or refuse, and go on with the question. With `stream`, what happens comes as events."""
    using = served(request)
    if decided.verdict == "edit" and not decided.text.strip():
        raise ApiError(400, "text: an edit says what to send instead", "invalid_value", "text")
    if "\0" in decided.text:
        raise ApiError(400, "text: holds null bytes; take them out", "invalid_value", "text")
    if decided.stream:
        return await EventStream.begun(as_events(request, using, principal, approval, decided))
    try:
        async with listening(request, using) as ends:
            return await answer_in(until(events_of(using, principal, approval, decided), *ends))
    except ClientGone:
        return Response(status_code=CLIENT_GONE)


def events_of(using: Served, principal: str, approval: str, decided: Decided) -> AsyncGenerator[Any]:
    """What happens once it is decided; one decision at a time."""
    return happenings(
        using,
        principal,
        lambda: using.agent.adecide(approval, decided.verdict, decided.text, principal=principal),
        f"approval {approval}",
    )


async def as_events(
    request: Request, using: Served, principal: str, approval: str, decided: Decided
) -> AsyncGenerator[str]:
    """Positions in the queue, steps, and the answer."""
    began = False
    try:
        async with listening(request, using) as ends:
            async for event in until(events_of(using, principal, approval, decided), *ends):
                said = said_of(event)
                if said is not None:
                    began = True
                    yield json.dumps(said, ensure_ascii=False)
    except ClientGone:
        if not began:
            yield ""
        return
    except (UnderstudyError, ApiError) as error:
        if not began:
            raise
        yield json.dumps(api_error(error).body)
        return
    yield "[DONE]"


def said_of(event: int | Event) -> dict[str, Any] | None:
    """An event for a client; the raw text of steps is none."""
    if isinstance(event, int):
        return {"queue": {"position": event}}
    if event.step is not None:
        return {"step": event.step.model_dump(mode="json")}
    return None if event.answer is None else {"answer": event.answer.model_dump(mode="json")}
