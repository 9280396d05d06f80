"""What every reply tells a browser: run nothing, show it in no frame, guess no types, tell nobody else where one was.

And what a request tells of the servers that it came through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CHAT_POLICY", "STRICT_POLICY", "Headers", "forwarded"]

STRICT_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
CHAT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; media-src 'self' blob:; "
    "worker-src 'self' blob:; object-src 'none'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
"""Gradio writes its settings into an inline script, and compiles templates; nothing is loaded from elsewhere."""
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none at all, a form's origin would be null
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
YEAR_S = 365 * 24 * 3600
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class Headers:
    """Adds them to every reply.

    Args:
        app: whose replies.
        policy: the content security policy of a path.
    """

    def __init__(self, app: ASGIApp, policy: Callable[[str], str]) -> None:
        self._app, self._policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                held = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    held[name] = value
                held.setdefault("Content-Security-Policy", self._policy(scope["path"]))
                held.setdefault("Cache-Control", "no-store")
                if scope["scheme"] == "https":
                    held["Strict-Transport-Security"] = f"max-age={YEAR_S}"
            await send(message)

        await self._app(scope, receive, with_headers)


def forwarded(headers: Mapping[str, str]) -> bool:
    """Whether a request came through another server, and so perhaps from another machine."""
    return any(name in headers for name in FORWARDED)
