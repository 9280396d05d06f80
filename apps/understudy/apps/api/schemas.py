"""What `/v1/chat/completions` takes and gives: OpenAI's fields, and one of our own that its clients ignore."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from understudy.core.types import Answer, Citation, Route, Status, StepRecord
from understudy.core.usage import Tokens

__all__ = [
    "AskOptions",
    "ChatCompletion",
    "ChatMessage",
    "ChatRequest",
    "Choice",
    "Lenient",
    "Part",
    "Reply",
    "Text",
    "Told",
    "Usage",
    "text_of",
    "told",
    "usage_of",
]

MESSAGES = 2000
"""Of a conversation, at most."""


def whole(text: str) -> str:
    """Text without half characters, which no database or tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("holds half characters (lone surrogates)") from error
    return text


Text = Annotated[str, AfterValidator(whole)]


class Lenient(BaseModel):
    """Fields that are not known are ignored, as OpenAI's clients send ever new ones."""

    model_config = ConfigDict(extra="ignore")


class Part(Lenient):
    """A piece of a message; only text can be read."""

    type: str
    text: Text | None = None


class ChatMessage(Lenient):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[Part] | None = None


class AskOptions(Lenient):
    """The field `understudy` of a request."""

    thread: Text | None = Field(None, description="an earlier answer's thread, to follow up on it")
    document: Text | None = Field(None, description="only this document of the collection")


class StreamOptions(Lenient):
    """Of a streamed answer."""

    include_usage: bool | None = None


class ResponseFormat(Lenient):
    """Only text is given."""

    type: str


class ChatRequest(Lenient):
    """A question, with the conversation before it. Sampling parameters and tools are taken and change nothing."""

    model: Annotated[Text, Field(description="a collection, a domain, or collection/document", examples=["default"])]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MESSAGES)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    logprobs: bool | None = None
    modalities: list[str] | None = None
    response_format: ResponseFormat | None = None
    tool_choice: str | dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    understudy: AskOptions | None = None


class PromptDetails(BaseModel):
    """Of what the small model read."""

    cached_tokens: int
    """Found in the KV cache."""


class Usage(BaseModel):
    """Tokens of the small model; the expert's are in `understudy.tokens`."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class Told(BaseModel):
    """The field `understudy` of a response: how the answer came about, and what supports it."""

    thread: str
    followed: bool
    """Whether it follows up on the earlier messages; else they were not taken into account."""
    status: Status
    route: Route
    reason: str
    confidence: float
    citations: tuple[Citation, ...]
    expert: str | None
    cost_usd: float
    """Of the expert, in dollars."""
    latency_s: float
    tokens: Tokens
    steps: tuple[StepRecord, ...]
    approval: str | None
    """The request that a person has to decide, where the status is "waiting"."""


class Reply(BaseModel):
    """The answer as a message."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The one answer."""

    index: int = 0
    message: Reply
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class ChatCompletion(BaseModel):
    """An answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    understudy: Told


def text_of(answer: Answer) -> str:
    """What a client shows; of an answer that waits it says so."""
    if answer.status != "waiting":
        return answer.text
    return (
        f"This waits for a person to approve what would be sent to an expert (request {answer.approval}). "
        f"Until then, the answer found on this machine: {answer.text}"
    )


def told(answer: Answer, *, followed: bool) -> Told:
    """What is said of an answer besides its text."""
    held = {name: getattr(answer, name) for name in Told.model_fields if name != "followed"}
    return Told(followed=followed, **held)


def usage_of(answer: Answer) -> Usage:
    """An answer's tokens as OpenAI counts them."""
    small = answer.tokens.small
    prompt, completion = small.evaluated + small.reused, small.forced + small.generated
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptDetails(cached_tokens=small.reused),
    )
