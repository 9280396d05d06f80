"""Server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Self

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["EventStream"]


class EventStream(Response):
    """A stream of events; it is the generator's to notice that nobody listens any more.

    Starlette's own cancels the generator by a scope that goes on cancelling while it cleans up; this one closes it.
    """

    def __init__(self, events: AsyncGenerator[str]) -> None:
        super().__init__(None, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    @classmethod
    async def begun(cls, events: AsyncGenerator[str]) -> Self:
        """A stream whose first event is there; what goes wrong before it is raised here, and can have a status."""
        first = await anext(events)

        async def all_of_them() -> AsyncGenerator[str]:
            try:
                yield first
                async for event in events:
                    yield event
            finally:
                await events.aclose()

        return cls(all_of_them())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what comes."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for event in self._events:
                body = f"data: {event}\n\n".encode()
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._events.aclose()
