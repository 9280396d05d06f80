"""Who asks over HTTP: by an API key; where none was made, and straight from this machine, the agent's principal."""

from __future__ import annotations

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from understudy.agents import Agent
from understudy.apps.mcp.server import Call
from understudy.apps.server.headers import forwarded
from understudy.apps.server.keys import Key, Keys
from understudy.core.errors import AccessError

__all__ = ["KeyGate", "named", "principal_of"]


class KeyGate:
    """Lets requests in by the keys of `understudy keys`. A session is its key's own: the SDK sees to that.

    Args:
        app: behind it.
        keys: of the workspace.
        agent: knows who is a principal.
    """

    def __init__(self, app: ASGIApp, keys: Keys, agent: Agent) -> None:
        self._app, self._keys, self._agent = app, keys, agent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it with 401."""
        needed = scope["type"] == "http" and (await run_sync(self._keys.any_made) or forwarded(Headers(scope=scope)))
        if needed:
            key = await run_sync(self._found, Request(scope).headers.get("authorization", ""))
            if key is None:
                told = {"error": "invalid_token", "error_description": "send an API key as Authorization: Bearer KEY"}
                await JSONResponse(told, 401, headers={"WWW-Authenticate": "Bearer"})(scope, receive, send)
                return
            scope = named(scope, key.id, key.principal)
        await self._app(scope, receive, send)

    def _found(self, header: str) -> Key | None:
        """The key that a header holds, if it opens anything for somebody who is still known."""
        scheme, _, text = header.partition(" ")
        key = self._keys.find(text.strip()) if scheme.lower() == "bearer" else None
        try:
            return key if key is not None and self._agent.access.principal(key.principal) else None
        except AccessError:
            return None


def named(scope: Scope, key: str, principal: str) -> Scope:
    """A request's scope that says by which key it came, and for whom."""
    return {**scope, "user": AuthenticatedUser(AccessToken(token="", client_id=key, scopes=[], subject=principal))}


def principal_of(agent: Agent, call: Call) -> str:
    """Whom a call's own request came from: not whom its session began with."""
    request = call.request_context.request
    user = request.scope.get("user") if isinstance(request, Request) else None
    if isinstance(user, AuthenticatedUser) and user.access_token.subject is not None:
        return user.access_token.subject
    return agent.principal.name
