"""Which of Gradio's own routes the page has, and for whom. It brings many more; the others are not there."""

from __future__ import annotations

import json
import re
from collections import OrderedDict

from fastapi import Request
from fastapi.responses import JSONResponse
from gradio import processing_utils
from starlette.exceptions import HTTPException
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
PAGES = 10_000
"""Open pages at most whose principals are known; the one that was heard of longest ago goes."""


class OwnCalls:
    """Lets calls to Gradio through that the page makes itself, for the principal who opened it.

    Gradio knows a page by a random name alone, which would let anybody hear what it is told who learns that name.

    Args:
        app: behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._principals: OrderedDict[str, str] = OrderedDict()

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
        await self._app(scope, receive, send)

    def _opened_by(self, page: str, principal: str) -> bool:
        """Whether a page is a principal's: whoever names it first has opened it."""
        opened = self._principals.setdefault(page, principal)
        self._principals.move_to_end(page)
        if len(self._principals) > PAGES:
            self._principals.popitem(last=False)
        return opened == principal


def page_in(body: bytes) -> str | None:
    """The page that a call names; Gradio itself answers what isn't in its form."""
    try:
        held = json.loads(body)
    except ValueError:
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
