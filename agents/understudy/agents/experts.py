"""Large models behind any LangChain chat model: structured answers, retries, prices, and one boundary for errors."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from understudy.agents.citing import locate
from understudy.agents.pacing import LONGEST_REST_S, Pace, rest_wanted
from understudy.agents.recorded import RecordedExpert, cost, priced, sent_bytes
from understudy.core.errors import (
    EgressRefused,
    ExpertAuthError,
    ExpertError,
    ExpertReplyError,
    ExpertUnavailableError,
    SettingsError,
)
from understudy.core.protocols import Expert, Payload
from understudy.core.settings import ExpertSettings, Settings
from understudy.core.types import ExpertAnswer
from understudy.core.usage import ExpertTokens, Spend
from understudy.privacy.transport import Door

__all__ = ["ChatExpert", "build_experts"]


TEMPLATE_TOKENS = 64
"""What a provider's chat template may add to two messages."""


class ReplyQuote(BaseModel):
    """A citation as the expert writes it."""

    passage: int
    quote: str


class Reply(BaseModel):
    """What an expert is asked to reply with."""

    answer: Annotated[str, Field(min_length=1)]
    not_in_documents: bool = False
    citations: list[ReplyQuote] = []


class ChatExpert:
    """An expert behind an `init_chat_model` string.

    The reply is JSON in text, not a provider's tool call, so that every OpenAI-compatible server will do. Where a
    provider reports no usage, tokens are taken as four bytes each.
    """

    recorded = False

    def __init__(self, settings: ExpertSettings) -> None:
        self._settings = settings
        self._model: Any = None
        self._pace = Pace(settings.at_once, settings.per_minute)
        self._door = Door(settings.name, settings.base_url, settings.timeout_s, settings.model.partition(":")[2])

    @property
    def name(self) -> str:
        """As `understudy.toml` names it."""
        return self._settings.name

    def host(self) -> str:
        """Host and port of the server, as the provider's client has it. Raises `ExpertError`, `SettingsError`."""
        return address_of(self._connected(), self._settings)

    @property
    def seen(self) -> bool:
        """Whether every request of its client passes the door. Raises `ExpertError`, `SettingsError`."""
        return self._connected().__dict__.get("http_async_client") is self._door.client

    def worst(self, payload: Payload) -> Spend:
        """The most that asking can cost: every byte a token, the longest reply, at every attempt."""
        return self._worst_attempt(payload) * (self._settings.retries + 1)

    def _worst_attempt(self, payload: Payload) -> Spend:
        sent = sent_bytes(payload) + TEMPLATE_TOKENS
        return priced(ExpertTokens(input=sent, output=self._settings.max_output_tokens), self._settings)

    async def ask(self, payload: Payload) -> ExpertAnswer:
        """A structured answer, once it is this call's turn. Raises `ExpertError`; only unavailability is retried."""
        lost, tried = Spend(), 0

        async def attempt() -> Any:
            nonlocal lost, tried
            tried += 1
            try:
                return await self._call(payload)
            except ExpertError as error:
                if isinstance(error, ExpertUnavailableError) and worth_waiting(error):
                    self._pace.rest(error.rest_s or 0.0)
                lost += self._worst_attempt(payload) if error.spent is None else error.spent
                raise

        attempts = AsyncRetrying(
            retry=retry_if_exception(worth_waiting),
            stop=stop_after_attempt(self._settings.retries + 1),
            wait=wait_exponential_jitter(initial=0.5, max=8),
            reraise=True,
        )
        began = time.monotonic()
        try:
            message: Any = await attempts(attempt)
        except ExpertError as error:
            error.spent, error.attempts = lost, tried
            raise
        except EgressRefused as error:  # stopped at the door: this attempt was not sent
            error.spent, error.attempts = lost, tried - 1
            raise
        tokens = usage(message, payload)
        try:
            reply = parsed(str(message.text), self.name)
        except ExpertReplyError as error:
            error.spent, error.attempts = lost + priced(tokens, self._settings), tried
            raise
        found = [
            locate(c.quote, payload.passages[c.passage - 1 : c.passage] or payload.passages) for c in reply.citations
        ]
        return ExpertAnswer(
            text=reply.answer,
            citations=tuple(c for c in found if c is not None),
            not_in_documents=reply.not_in_documents,
            expert=self.name,
            tokens=tokens,
            cost_usd=cost(tokens, self._settings),
            latency_s=round(time.monotonic() - began, 4),
            may_train=self._settings.may_train,
            lost=lost,
            attempts=tried,
        )

    async def _call(self, payload: Payload) -> Any:
        from langsmith import tracing_context

        model = self._connected()
        async with self._pace.turn():
            before = self._door.passed
            with tracing_context(enabled=False):
                try:
                    message = await model.ainvoke([("system", payload.system), ("user", payload.user)])
                except (OSError, ValueError, RuntimeError, TypeError, LookupError, AttributeError) as error:
                    raise mapped(error, self.name) from error
                except provider_errors() as error:
                    raise mapped(error, self.name) from error
        if self.seen and self._door.passed == before:
            raise ExpertReplyError(f"expert {self.name!r} was reached unseen; its answer is not used", None)
        return message

    def _connected(self) -> Any:
        if self._model is None:
            self._model = self._connect()
        return self._model

    def _connect(self) -> Any:
        from langchain.chat_models import init_chat_model

        given = self._settings
        options: dict[str, Any] = {"timeout": given.timeout_s, "max_retries": 0, "max_tokens": given.max_output_tokens}
        if given.base_url is not None:
            options["base_url"] = given.base_url
        key = os.environ.get(given.api_key_env) if given.api_key_env else None
        if given.api_key_env and key is None:
            raise ExpertAuthError(f"expert {self.name!r}: the environment variable {given.api_key_env} is not set")
        if key is not None:
            options["api_key"] = key
        elif given.base_url is not None:
            options["api_key"] = (
                "none"  # never a provider's own key, found in the environment, to somebody else's server
            )
        clients: dict[str, Any] = {"http_async_client": self._door.client, "http_client": self._door.blocking}
        try:
            try:
                return init_chat_model(given.model, temperature=0, **options, **clients)
            except (TypeError, ValidationError):  # a provider that takes no client of ours: what it sends isn't seen
                return init_chat_model(given.model, temperature=0, **options)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"expert {self.name!r}: {given.model!r} can't be used: {error}") from error
        except provider_errors() as error:
            raise mapped(error, self.name) from error


def address_of(model: Any, settings: ExpertSettings) -> str:
    """Where a chat model sends: a URL may come from the settings, the environment or the provider's own default."""
    for client in ("root_async_client", "_async_client", "async_client"):
        url = getattr(getattr(model, client, None), "base_url", None) or settings.base_url
        if url is not None:
            return urlsplit(str(url)).netloc.rpartition("@")[2]
    return f"{settings.model.partition(':')[0]} (its own address)"


def provider_errors() -> tuple[type[Exception], ...]:
    """The base classes of errors that the installed provider clients raise."""
    import httpx
    import openai

    return (openai.OpenAIError, httpx.HTTPError)


def mapped(error: Exception, name: str) -> ExpertError | EgressRefused:
    """A foreign error as ours, in one line. Told apart by HTTP status, which every provider's client carries."""
    stopped = stopped_by(error)
    if stopped is not None:
        return stopped
    status = getattr(error, "status_code", None)
    first = (str(error).splitlines() or [""])[0][:200]
    if status in (401, 403) or "api_key" in first:
        return ExpertAuthError(f"expert {name!r} refused the key; set the right one in its environment variable")
    if status == 429:
        return resting(ExpertUnavailableError(f"expert {name!r} is over its rate limit (429)"), error)
    if isinstance(status, int) and status < 500:
        return ExpertReplyError(f"expert {name!r} refused the request ({status}): {first}")
    if isinstance(status, int):
        return resting(ExpertUnavailableError(f"expert {name!r} failed ({status})"), error)
    if isinstance(error, json.JSONDecodeError):
        return ExpertReplyError(f"expert {name!r} sent no valid JSON", None)
    if isinstance(error, UnicodeError):
        return ExpertReplyError(f"expert {name!r}: the request or the key can't be encoded: {first}")
    if isinstance(error, ValueError | TypeError | LookupError | AttributeError):
        # What clients raise over a reply that is JSON and no chat completion.
        return ExpertReplyError(f"expert {name!r} sent no chat completion: {first}", None)
    kind = "timed out" if "time" in type(error).__name__.lower() else "can't be reached"
    spent = Spend() if never_connected(error) else None
    return ExpertUnavailableError(f"expert {name!r} {kind} ({type(error).__name__})", spent)


def resting(failed: ExpertUnavailableError, error: Exception) -> ExpertUnavailableError:
    """An error with how long the server asked to be left alone."""
    failed.rest_s = rest_wanted(error)
    return failed


def worth_waiting(error: BaseException) -> bool:
    """Whether another attempt may do, soon enough."""
    return isinstance(error, ExpertUnavailableError) and (error.rest_s or 0.0) <= LONGEST_REST_S


def stopped_by(error: BaseException | None) -> EgressRefused | None:
    """The refusal of the door, in what a provider's client made of it."""
    while error is not None:
        if isinstance(error, EgressRefused):
            return error
        error = error.__cause__ or error.__context__
    return None


def never_connected(error: BaseException | None) -> bool:
    """Whether nothing can have been billed: there was no connection. By name, since providers bring their own httpx."""
    while error is not None:
        if type(error).__name__ in ("ConnectError", "ConnectTimeout", "ConnectionRefusedError"):
            return True
        error = error.__cause__
    return False


def usage(message: Any, payload: Payload) -> ExpertTokens:
    """Tokens as reported, or else the most that they can be: every byte one."""
    reported = getattr(message, "usage_metadata", None)  # a reply may call itself any role
    if reported:
        return ExpertTokens(input=reported["input_tokens"], output=reported["output_tokens"])
    return ExpertTokens(input=sent_bytes(payload), output=len(str(message.text).encode()))


def parsed(text: str, name: str) -> Reply:
    """The first reply inside a text, code fences and chatter aside. Raises `ExpertReplyError`."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            return Reply.model_validate(decoder.raw_decode(text, at)[0])
        except (json.JSONDecodeError, RecursionError, ValidationError):
            at = text.find("{", at + 1)
    raise ExpertReplyError(f"expert {name!r} gave no answer in the form asked for: {text[:80]!r}")


def build_experts(settings: Settings, root: Path) -> Sequence[tuple[Expert, ExpertSettings]]:
    """The experts of a workspace, with their settings. Raises `SettingsError`."""
    experts: list[tuple[Expert, ExpertSettings]] = []
    names = [e.name for e in settings.experts]
    for given in settings.experts:
        if names.count(given.name) > 1:  # the guard goes by name: one's reach must not become another's
            raise SettingsError(
                f"there are {names.count(given.name)} experts named {given.name!r}; name each differently"
            )
        kind, _, rest = given.model.partition(":")
        expert: Expert = RecordedExpert(given, root / rest) if kind == "recorded" else ChatExpert(given)
        experts.append((expert, given))
    return experts
