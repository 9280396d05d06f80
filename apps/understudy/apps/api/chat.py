"""`/v1/chat/completions`: a question and its answer as OpenAI's clients know them."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from understudy.apps.api.answering import CLIENT_GONE, ClientGone, answer_in, happenings, listening, until
from understudy.apps.api.errors import ApiError, api_error
from understudy.apps.api.events import EventStream
from understudy.apps.api.models import Who, asked_of
from understudy.apps.api.schemas import (
    AskOptions,
    ChatCompletion,
    ChatMessage,
    ChatRequest,
    Choice,
    Reply,
    text_of,
    told,
    usage_of,
)
from understudy.apps.server.followed import Said
from understudy.apps.server.served import Served, served
from understudy.core.errors import UnderstudyError
from understudy.core.types import Answer, Scope
from understudy.graphs.state import Event, thread_key

__all__ = ["router"]

router = APIRouter(tags=["OpenAI"])
PIECE = re.compile(r"\s*(?:\S+\s*){1,4}|\s+")
"""What is streamed at once: a few words."""
REFUSED = {"image_url": "images", "input_audio": "audio", "file": "files"}


@dataclass(frozen=True)
class Question:
    """A request, understood."""

    id: str
    created: int
    model: str
    text: str
    scope: Scope
    principal: str
    earlier: tuple[Said, ...]
    thread: str | None
    followed: bool


@router.post("/v1/chat/completions", response_model=ChatCompletion)
async def chat_completions(request: Request, asked: ChatRequest, principal: Who) -> Any:
    """Answer the last user message from a collection's documents."""
    using = served(request)
    refuse_what_would_lie(asked)
    question = understood(using, asked, principal)
    if asked.stream:
        wants_usage = bool(asked.stream_options and asked.stream_options.include_usage)
        return await EventStream.begun(streamed(request, using, question, usage=wants_usage))
    try:
        async with listening(request, using) as ends:
            answer = await answer_in(until(events_of(using, question), *ends))
    except ClientGone:
        return Response(status_code=CLIENT_GONE)
    note(using, question, answer)
    return ChatCompletion(
        id=question.id,
        created=question.created,
        model=question.model,
        choices=[Choice(message=Reply(content=text_of(answer)))],
        usage=usage_of(answer),
        understudy=told(answer, followed=question.followed),
    )


def events_of(using: Served, question: Question) -> AsyncGenerator[Any]:
    """What happens on the way to its answer."""
    scope, principal = question.scope, question.principal
    return happenings(
        using,
        principal,
        lambda: using.agent.astream(
            question.text,
            collection=scope.collection,
            document=scope.document,
            thread=question.thread,
            principal=principal,
        ),
        question.thread,
    )


async def streamed(request: Request, using: Served, question: Question, *, usage: bool) -> AsyncGenerator[str]:
    """The answer as chunks: places in the queue and steps as they come, its text once it is known.

    Text is not sent before: a draft may be turned down, and what an expert is asked for is another answer.
    """
    answer: Answer | None = None
    began = False
    try:
        async with listening(request, using) as ends:
            async for event in until(events_of(using, question), *ends):
                if not began:
                    began = True
                    yield chunk(question, {"role": "assistant", "content": ""}, usage=usage)
                if isinstance(event, int):
                    yield chunk(question, {}, usage=usage, understudy={"queue": {"position": event}})
                elif isinstance(event, Event) and event.step is not None:
                    yield chunk(question, {}, usage=usage, understudy={"step": event.step.model_dump(mode="json")})
                elif event.answer is not None:
                    answer = event.answer
    except ClientGone:
        if not began:
            yield ""
        return
    except (UnderstudyError, ApiError) as error:
        if not began:
            raise
        yield json.dumps(api_error(error).body)
        return
    assert answer is not None
    note(using, question, answer)
    for piece in PIECE.findall(text_of(answer)):
        yield chunk(question, {"content": piece}, usage=usage)
    said = told(answer, followed=question.followed).model_dump(mode="json")
    yield chunk(question, {}, usage=usage, finish="stop", understudy=said)
    if usage:
        yield json.dumps(frame(question) | {"choices": [], "usage": usage_of(answer).model_dump()})
    yield "[DONE]"


def frame(question: Question) -> dict[str, Any]:
    """What all chunks of an answer have in common."""
    return {
        "id": question.id,
        "object": "chat.completion.chunk",
        "created": question.created,
        "model": question.model,
    }


def chunk(
    question: Question,
    delta: dict[str, str],
    *,
    usage: bool,
    finish: str | None = None,
    understudy: dict[str, Any] | None = None,
) -> str:
    """One chunk of a streamed answer."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    said = frame(question) | {"choices": [choice]}
    if usage:
        said["usage"] = None
    if understudy is not None:
        said["understudy"] = understudy
    return json.dumps(said, ensure_ascii=False)


def refuse_what_would_lie(asked: ChatRequest) -> None:
    """Raise `ApiError` for what can't be given, where another answer would pass for it."""
    wanted = asked.response_format
    refused = {
        "n": (asked.n not in (None, 1), "one answer is given to a question; leave n out"),
        "logprobs": (bool(asked.logprobs), "there are no log-probabilities; understudy.confidence says how sure it is"),
        "modalities": (set(asked.modalities or ()) > {"text"}, "only text is given"),
        "response_format": (wanted is not None and wanted.type != "text", "answers are text; leave it out"),
        "tool_choice": (
            asked.tool_choice not in (None, "auto", "none"),
            "a client's tools are never called; leave tool_choice out",
        ),
    }
    for param, (wrong, message) in refused.items():
        if wrong:
            raise ApiError(400, f"{param}: {message}", "unsupported_value", param)


def understood(using: Served, asked: ChatRequest, principal: str) -> Question:
    """What is asked, of which documents, in which thread. Raises `ApiError`."""
    scope = asked_of(using.agent, principal, asked.model)
    options = options_of(asked)
    if options.document is not None:
        scope = Scope(collection=scope.collection, document=options.document)
    said = [(message.role, said_in(message, at)) for at, message in enumerate(asked.messages)]
    turns = [(role, text) for role, text in said if role in ("user", "assistant") and text.strip()]
    if not any(role == "user" for role, _ in turns):
        raise ApiError(
            400, "messages: none is from the user; the last one is the question", "invalid_value", "messages"
        )
    last = max(at for at, (role, _) in enumerate(turns) if role == "user")
    earlier = tuple(turns[:last])
    thread = options.thread if options.thread is not None else followed(using, principal, scope, earlier)
    return Question(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=asked.model,
        text=turns[last][1],
        scope=scope,
        principal=principal,
        earlier=earlier,
        thread=thread,
        followed=thread is not None,
    )


def followed(using: Served, principal: str, scope: Scope, earlier: tuple[Said, ...]) -> str | None:
    """The thread that a conversation is, while it is there: it may have been deleted, or erased with a document."""
    thread = using.followed.find(principal, scope, earlier)
    if thread is None:
        return None
    who = using.agent.access.principal(principal)
    return thread if using.agent.owners.open_to(who, thread_key(principal, thread)) else None


def options_of(asked: ChatRequest) -> AskOptions:
    """Thread and document, from the field `understudy` or, for clients that send no fields of others, `metadata`."""
    if asked.understudy is not None:
        return asked.understudy
    given = {name: (asked.metadata or {}).get(f"understudy_{name}") for name in ("thread", "document")}
    return AskOptions(**{name: value for name, value in given.items() if isinstance(value, str)})


def said_in(message: ChatMessage, at: int) -> str:
    """A message's text. Raises `ApiError` for what isn't text."""
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    for number, part in enumerate(message.content):
        if part.type != "text" or part.text is None:
            kind = REFUSED.get(part.type, f"parts of type {part.type!r}")
            where = f"messages.{at}.content.{number}"
            raise ApiError(400, f"{where}: {kind} can't be read; send text", "unsupported_content", where)
    return "\n".join(part.text or "" for part in message.content)


def note(using: Served, question: Question, answer: Answer) -> None:
    """Keep in mind which thread this conversation is, as the client will send it back."""
    said = (*question.earlier, ("user", question.text), ("assistant", text_of(answer)))
    using.followed.note(question.principal, question.scope, said, answer.thread)
