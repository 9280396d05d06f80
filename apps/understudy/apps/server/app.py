"""The server as one FastAPI app."""

from __future__ import annotations

import importlib.metadata
from importlib.util import find_spec

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Match

from understudy.agents import Agent
from understudy.apps.api import chat, embeddings, ingesting, models, native
from understudy.apps.api.errors import ErrorReply, answer_errors
from understudy.apps.server import pages
from understudy.apps.server.auth import Gate, pass_of, session_of, who
from understudy.apps.server.database import open_database
from understudy.apps.server.headers import CHAT_POLICY, STRICT_POLICY, Headers
from understudy.apps.server.keys import Keys
from understudy.apps.server.limits import MIB, BodyLimit, Buckets
from understudy.apps.server.metrics import CONTENT_TYPE_LATEST, Counting, Metrics
from understudy.apps.server.queue import FairQueue
from understudy.apps.server.served import Served
from understudy.apps.server.sessions import Sessions
from understudy.core.settings import ServerSettings

__all__ = ["build_app"]

OWN = ("/v1/", "/login", "/logout", "/docs", "/openapi.json", "/healthz", "/metrics", "/mcp")
"""What isn't the chat app's."""
UPLOADS = ("/v1/understudy/documents", "/gradio_api/upload")
BODY_MIB = 4
"""Of a request that is no upload."""
LOGINS_PER_MINUTE = 10
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def build_app(agent: Agent, settings: ServerSettings, *, chat_page: bool = False) -> FastAPI:
    """The app that serves an agent's workspace. Raises `WorkspaceError`.

    Args:
        agent: open; it stays the caller's to close.
        settings: `[server]`, with what the command line says otherwise.
        chat_page: whether people get the chat app; it takes seconds to build.
    """
    app = FastAPI(
        title="Understudy",
        version=importlib.metadata.version("understudy"),
        description="Answers questions from private documents; what a client of the OpenAI API sends works here.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses={"4XX": {"model": ErrorReply, "description": "what is wrong with the request"}},
    )
    using = app.state.served = served_by(agent, settings)
    ingesting.sweep(agent.workspace.root)
    answer_errors(app)
    for routes in (models, chat, embeddings, ingesting, native, pages):
        app.include_router(routes.router)

    @app.get("/healthz", tags=["Server"])
    def healthz() -> dict[str, str]:
        """Whether the server is up; anybody may ask."""
        return {"status": "ok"}

    @app.get("/metrics", tags=["Server"], response_class=PlainTextResponse)
    def metrics() -> Response:
        """Counts and times for Prometheus."""
        return Response(using.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    if find_spec("mcp") is not None:
        from understudy.apps.mcp.mounted import mount_mcp

        mount_mcp(app, using, pass_of)
    if chat_page:
        from understudy.apps.chat.app import mount_chat

        app.add_api_route("/v1/{rest:path}", nothing, methods=METHODS, include_in_schema=False)
        mount_chat(app, using, who)  # last: every other path is its own
    else:

        @app.get("/", include_in_schema=False)
        def start(request: Request) -> HTMLResponse:
            """A word for people."""
            return pages.plain_start(session_of(request))

    # The last one added is the first that a request meets.
    app.add_middleware(Gate, served=using)
    app.add_middleware(BodyLimit, limit=lambda path: (settings.upload_mib if path in UPLOADS else BODY_MIB) * MIB)
    app.add_middleware(Counting, metrics=using.metrics)
    app.add_middleware(Headers, policy=lambda path: STRICT_POLICY if path.startswith(OWN) else CHAT_POLICY)
    return app


def nothing(request: Request) -> None:
    """What isn't there; the chat app would answer in a form of its own. Raises `HTTPException`."""
    found = (route.matches(request.scope)[0] for route in request.app.router.routes)
    raise HTTPException(405 if Match.PARTIAL in found else 404)


def served_by(agent: Agent, settings: ServerSettings) -> Served:
    """What every request may use."""
    database = open_database(agent.workspace.server)
    keys = Keys(database)
    queue = FairQueue(settings.slots, settings.queue)
    return Served(
        agent,
        settings,
        queue,
        keys,
        Sessions(database, keys, settings.session_hours),
        rate=Buckets(settings.rate_per_minute),
        logins=Buckets(LOGINS_PER_MINUTE),
        metrics=Metrics(queue),
    )
