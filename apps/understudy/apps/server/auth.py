"""Who asks. One gate in front of everything: what isn't let in here reaches no route, the chat app's included."""

from __future__ import annotations

import asyncio
import ipaddress
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from understudy.apps.api.errors import ApiError, api_error
from understudy.apps.server.headers import forwarded
from understudy.apps.server.served import Served
from understudy.apps.server.sessions import COOKIE, Session
from understudy.core.errors import AccessError, UnderstudyError

__all__ = ["CSRF_HEADER", "Gate", "Pass", "is_loopback", "pass_of", "session_of", "who"]

OPEN = ("/healthz", "/login")
"""Paths that need no key."""
API = "/v1/"
LIMITED = ("/gradio_api/upload", "/mcp")
"""What is counted against the rate, like all requests to the API."""
CHAT_CALLS = "/gradio_api/"
"""Gradio's own calls know of no CSRF token; they must name their origin instead."""
SAFE = ("GET", "HEAD", "OPTIONS")
CSRF_HEADER = "X-CSRF-Token"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Pass:
    """What the gate found out about a request."""

    principal: str
    by: str
    """The id of the key, or of nothing: whose rate it counts against."""
    session: Session | None = None


def who(request: Request) -> str:
    """The principal in whose name a request is answered. Raises `ApiError`."""
    return pass_of(request).principal


def session_of(request: Request) -> Session | None:
    """The session of the web app that a request came with, if it did."""
    return pass_of(request).session


def pass_of(request: Request) -> Pass:
    """What the gate found out; a request that didn't come by it is let in nowhere."""
    found = request.scope.get("state", {}).get("understudy_pass")
    if not isinstance(found, Pass):
        raise unauthorized("a key is needed")
    return found


class Gate:
    """Lets requests in that come from where they say, by somebody who is known, and not too often.

    Args:
        app: behind it.
        served: what is served.
    """

    def __init__(self, app: ASGIApp, served: Served) -> None:
        self._app, self._served = app, served
        # Of its own: what reads documents may take all threads of the loop's for minutes.
        self._readers = ThreadPoolExecutor(2, "gate")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope)
        try:
            self._check_place(request)
            if request.url.path not in OPEN:
                found = await asyncio.get_running_loop().run_in_executor(self._readers, self._found, request)
                self._check_rate(request, found)
                scope.setdefault("state", {})["understudy_pass"] = found
        except (ApiError, UnderstudyError) as error:
            refused = api_error(error)
            if refused.status == 401 and wants_page(request):
                await RedirectResponse("/login", 303)(scope, receive, send)
                return
            await JSONResponse(refused.body, refused.status, headers=refused.headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_place(self, request: Request) -> None:
        """A page of another site may neither reach a server on loopback by a name of its own, nor change anything."""
        host = name_of(request.headers.get("host", ""))
        allowed = (*self._served.settings.allowed_hosts, *LOOPBACK_NAMES)
        if (self._on_loopback or self._served.settings.allowed_hosts) and host not in allowed:
            raise ApiError(
                403, f"this server isn't called {host!r}; server.allowed_hosts may name it", "host_not_allowed"
            )
        if request.method in SAFE:
            return
        origin = request.headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
        if foreign or request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise ApiError(403, "requests from pages of other sites are not taken", "cross_origin")

    def _found(self, request: Request) -> Pass:
        """Who it is: by a key, else by a session, else the owner where no key was ever made."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        needed = self._served.keys.any_made()
        if not needed and self._on_loopback:
            if forwarded(request.headers):
                raise unauthorized("a server that is reached through another needs keys: understudy keys create")
            return Pass(self._served.agent.principal.name, "")
        if scheme.lower() == "bearer":
            key = self._served.keys.find(text.strip())
            if key is None:
                raise unauthorized("this API key is wrong, was revoked, or has expired")
            return Pass(self._known(key.principal), key.id)
        session = self._served.sessions.find(request.cookies.get(COOKIE, ""))
        if session is None:
            raise unauthorized("an API key is needed: send it as Authorization: Bearer KEY, or log in at /login")
        self._check_token(request, session)
        return Pass(self._known(session.key.principal), session.key.id, session)

    def _check_token(self, request: Request, session: Session) -> None:
        if request.method in SAFE or session.sent_back(request.headers.get(CSRF_HEADER)):
            return
        if request.url.path == "/logout":  # its form holds the token
            return
        if request.url.path.startswith(CHAT_CALLS) and "origin" in request.headers:
            return
        raise ApiError(403, f"what changes something needs the session's token in {CSRF_HEADER}", "csrf")

    def _check_rate(self, request: Request, found: Pass) -> None:
        if not request.url.path.startswith(API) and request.url.path not in LIMITED:
            return
        wait = math.ceil(self._served.rate.take(found.by))
        if wait:
            message = f"more than {self._served.settings.rate_per_minute:g} requests a minute; try again in {wait} s"
            raise ApiError(429, message, "rate_limit_exceeded", headers={"Retry-After": str(wait)})

    def _known(self, principal: str) -> str:
        """A principal who is still one."""
        try:
            return self._served.agent.access.principal(principal).name
        except AccessError as error:
            raise unauthorized("this API key stands for nobody any more") from error

    @property
    def _on_loopback(self) -> bool:
        return is_loopback(self._served.settings.host)


def unauthorized(message: str) -> ApiError:
    """Whoever asks must say who they are."""
    return ApiError(401, message, "invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks for something to look at."""
    asked = request.headers.get("accept", "")
    return request.method == "GET" and "text/html" in asked and not request.url.path.startswith(API)


def name_of(host: str) -> str:
    """The name in a Host header, without the port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, out of others' reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
