"""Who asks."""

from __future__ import annotations

from fastapi import Request

from understudy.apps.server.served import served

__all__ = ["who"]


def who(request: Request) -> str:
    """The principal in whose name a request is answered."""
    return served(request).agent.principal.name
