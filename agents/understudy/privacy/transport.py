"""The bytes of every request, seen before they leave: httpx calls a hook for each, and the hook refuses.

What the guard passed is known by a permit, which lasts for one call. A request without one, to another host, or with
other words in it than those of the permit doesn't leave.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx

from understudy.core.errors import EgressRefused

__all__ = ["Door", "Permit", "permitted"]

LONGEST_WORD = 200
"""Characters of a string that is none of the messages, such as a model's name."""
OWN = frozenset({"authorization", "api-key", "x-api-key", "host"})
"""Headers that hold the expert's key and address."""
CONSTANT = frozenset(
    ("accept", "accept-encoding", "accept-language", "connection", "content-length", "content-type", "user-agent")
)
"""Headers that a provider's client fills in by itself, the same for every question; and those of `CLIENTS`."""
CLIENTS = "x-stainless-"
VOCABULARY = frozenset(
    (
        *("model", "messages", "role", "content", "system", "user", "type", "text", "seed", "stream", "temperature"),
        *("max_tokens", "max_completion_tokens"),
    )
)
"""Words that requests to chat models are made of, as a provider's interface has them."""
Forbidden = Callable[[str], str | None]
"""Why a text may not leave; `None` where it may."""


@dataclass(frozen=True)
class Permit:
    """What one call may send, and to whom."""

    expert: str
    texts: tuple[str, str]
    """The messages: of the system, which is always the same words, and of the user."""
    forbidden: Forbidden


def told_by_client(header: str) -> bool:
    """Whether a header is a constant of the client, its key or its address: not made of any question."""
    return header in OWN | CONSTANT or header.startswith(CLIENTS)


PERMIT: ContextVar[Permit | None] = ContextVar("permit", default=None)


@contextmanager
def permitted(permit: Permit) -> Iterator[None]:
    """While it lasts, calls made from here may send what the permit says."""
    token = PERMIT.set(permit)
    try:
        yield
    finally:
        PERMIT.reset(token)


class Door:
    """The only way out for one expert's client.

    Args:
        expert: its name.
        origin: where requests may go; by default wherever the first one goes.
        timeout_s: seconds to wait for the other side.
        model: what it is called there, by the settings.
    """

    def __init__(self, expert: str, origin: str | None, timeout_s: float, model: str | None = None) -> None:
        self._expert, self._model = expert, model
        self._origin = None if origin is None else origin_of(httpx.URL(origin))
        hooks: Any = {"request": [self._check]}
        # Redirects go wherever the other side says: they aren't followed.
        self.client = httpx.AsyncClient(event_hooks=hooks, follow_redirects=False, timeout=timeout_s)
        self.blocking = httpx.Client(event_hooks={"request": [refuse]}, follow_redirects=False)
        """For providers that want a second client: nothing is sent by it."""
        self.passed = 0
        """Requests that were seen, and let out."""

    async def _check(self, request: httpx.Request) -> None:
        permit = PERMIT.get()
        if permit is None or permit.expert != self._expert:
            raise EgressRefused(
                f"a request to expert {self._expert!r} that the guard did not pass was stopped", "transport"
            )
        origin = origin_of(request.url)
        if self._origin is None:
            self._origin = origin
        if origin != self._origin:
            raise EgressRefused(
                f"expert {self._expert!r} is at {self._origin}, and a request to {origin} was stopped", "transport"
            )
        why = fault(permit, request, await request.aread(), self._model)
        if why is not None:
            raise EgressRefused(f"a request to expert {self._expert!r} was stopped: {why}", "transport")
        self.passed += 1


def refuse(request: httpx.Request) -> None:
    """Nothing leaves by this client."""
    raise EgressRefused(f"a request to {origin_of(request.url)} that the guard can't see was stopped", "transport")


def fault(permit: Permit, request: httpx.Request, body: bytes, model: str | None) -> str | None:
    """What is wrong with the bytes of a request; `None` if they are what was passed."""
    try:
        words = list(strings(json.loads(body.decode())))
    except ValueError:
        return "its body is no JSON"
    if any(approved not in words for approved in permit.texts):
        return "it does not hold the messages that were passed"
    others = [word for word in words if word not in permit.texts]
    if any(len(word) > LONGEST_WORD for word in others):
        return "it holds more than the messages that were passed"
    others = [word for word in others if word not in VOCABULARY and word != model]
    headers = [value for name, value in request.headers.items() if not told_by_client(name.lower())]
    path = request.url.raw_path.decode("ascii", "replace").removesuffix("/chat/completions")
    for sent in (permit.texts[-1], path, *others, *headers):
        why = permit.forbidden(sent)
        if why is not None:
            return why
    return None


def strings(value: Any) -> Iterator[str]:
    """Every string and number of a JSON document, keys included."""
    match value:
        case bool() | None:
            pass
        case str() | int() | float():
            yield str(value)
        case dict():
            for key, held in value.items():
                yield from (key, *strings(held))
        case list():
            for held in value:
                yield from strings(held)


def origin_of(url: httpx.URL) -> str:
    """Scheme, host and port."""
    return f"{url.scheme}://{url.host}:{url.port or {'https': 443, 'http': 80}.get(url.scheme)}"
