"""What every request may use: the agent, the queue, and the settings they go by."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from fastapi import Request

from understudy.agents import Agent
from understudy.apps.server.followed import Followed
from understudy.apps.server.keys import Keys
from understudy.apps.server.limits import Buckets
from understudy.apps.server.metrics import Metrics
from understudy.apps.server.queue import FairQueue
from understudy.apps.server.sessions import Sessions
from understudy.core.settings import ServerSettings

__all__ = ["Served", "served"]


@dataclass(frozen=True)
class Served:
    """One workspace being served."""

    agent: Agent
    settings: ServerSettings
    queue: FairQueue
    keys: Keys
    sessions: Sessions
    rate: Buckets
    """Of requests to the API, by key."""
    logins: Buckets
    """Of attempts to log in, by address."""
    metrics: Metrics
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server shuts down: answers in flight are stopped."""
    followed: Followed = field(default_factory=Followed)
    ingesting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Uploads are read one after the other."""
    busy: set[tuple[str, str]] = field(default_factory=set)
    """Principals' threads in which a question is being answered: one at a time in each."""


def served(request: Request) -> Served:
    """What a request may use."""
    return cast(Served, request.app.state.served)
