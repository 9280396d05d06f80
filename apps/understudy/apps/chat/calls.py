"""Which of Gradio's own routes the page has, and for whom. It brings many more; the others are not there."""

from __future__ import annotations

import json
import re
from collections import OrderedDict, defaultdict

from fastapi import Request
from fastapi.responses import JSONResponse
from gradio import processing_utils
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from understudy.apps.api.errors import CODES, error_body
from understudy.apps.server.auth import who
from understudy.core.errors import UserError

__all__ = ["OwnCalls", "fetch_nothing"]

CALLS = "/gradio_api/"
NEEDED = re.compile(
    r"app_id|cancel|heartbeat/[^/]+|info/?|login_check|queue/(data|join)|reset/?|startup-events|theme\.css|upload"
    r"|upload_progress|file=(?!\s*https?:).*",
    re.IGNORECASE | re.DOTALL,
)
"""Left out are those that fetch from elsewhere, keep runs on Hugging Face, convert films, or write states to files."""


NAMED_IN_BODY = ("queue/join", "cancel", "reset", "reset/")
HEARTBEAT = "heartbeat/"
LONGEST = 64
"""Of a page's name; Gradio's have eleven letters."""
PAGES = 500
"""Open pages at most that a principal has; the one that was heard of longest ago is nobody's then."""


class OwnCalls:
    """Lets calls to Gradio through that the page makes itself, for the principal who opened it.

    Gradio knows a page by a random name alone, which would let anybody hear what it is told who learns that name.

    Args:
        app: behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._principals: dict[str, str] = {}
        self._pages: defaultdict[str, OrderedDict[str, None]] = defaultdict(OrderedDict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        asked = scope["path"].removeprefix(CALLS) if scope["type"] == "http" else ""
        if scope["type"] != "http" or asked == scope["path"]:
            await self._app(scope, receive, send)
            return
        try:
            if NEEDED.fullmatch(asked) is None:
                raise HTTPException(404, "the page has no such call")
            request = Request(scope, receive)
            if asked in NAMED_IN_BODY:
                body = await request.body()
                receive = repeated(body, receive)
                page = page_in(body)
            else:
                named = asked.startswith(HEARTBEAT)
                page = asked.removeprefix(HEARTBEAT) if named else request.query_params.get("session_hash")
            if page is not None and not self._opened_by(page, who(request)):
                raise HTTPException(404, "there is no such page of yours")
        except HTTPException as error:
            refused = JSONResponse(
                error_body(error.status_code, error.detail, CODES.get(error.status_code, "invalid_request")),
                error.status_code,
            )
            await refused(scope, receive, send)
            return
        except ClientDisconnect:
            return
        await self._app(scope, receive, send)

    def _opened_by(self, page: str, principal: str) -> bool:
        """Whether a page is a principal's: whoever names it first has opened it."""
        if len(page) > LONGEST or self._principals.setdefault(page, principal) != principal:
            return False
        own = self._pages[principal]
        own[page] = None
        own.move_to_end(page)
        if len(own) > PAGES:
            del self._principals[own.popitem(last=False)[0]]
        return True


def page_in(body: bytes) -> str | None:
    """The page that a call names; Gradio itself answers what isn't in its form."""
    try:
        held = json.loads(body)
    except (ValueError, RecursionError):
        return None
    page = held.get("session_hash") if isinstance(held, dict) else None
    return page if isinstance(page, str) else None


def repeated(body: bytes, receive: Receive) -> Receive:
    """Gives a body again that was read already, and then what comes after it."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def fetch_nothing() -> None:
    """Keep Gradio from fetching what a request names in the place of an upload. It has no setting for that."""

    async def refused(url: str, cache_dir: str) -> str:
        raise UserError(f"{url!r} is no upload; nothing is fetched from elsewhere")

    processing_utils.async_ssrf_protected_download = refused
