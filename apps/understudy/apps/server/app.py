"""The server as one FastAPI app."""

from __future__ import annotations

import importlib.metadata

from fastapi import FastAPI

from understudy.agents import Agent
from understudy.apps.api import chat, models
from understudy.apps.api.errors import answer_errors
from understudy.apps.server.queue import FairQueue
from understudy.apps.server.served import Served
from understudy.core.settings import ServerSettings

__all__ = ["build_app"]


def build_app(agent: Agent, settings: ServerSettings) -> FastAPI:
    """The app that serves an agent's workspace.

    Args:
        agent: open; it stays the caller's to close.
        settings: `[server]`, with what the command line says otherwise.
    """
    app = FastAPI(
        title="Understudy",
        version=importlib.metadata.version("understudy"),
        description="Answers questions from private documents; what a client of the OpenAI API sends works here.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.served = Served(agent, settings, FairQueue(settings.slots, settings.queue))
    answer_errors(app)
    app.include_router(models.router)
    app.include_router(chat.router)

    @app.get("/healthz", tags=["Server"])
    def healthz() -> dict[str, str]:
        """Whether the server is up; anybody may ask."""
        return {"status": "ok"}

    return app
