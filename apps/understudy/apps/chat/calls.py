"""Which of Gradio's own routes the page has. It brings many more; the others are not there."""

from __future__ import annotations

import re

from fastapi.responses import JSONResponse
from gradio import processing_utils
from starlette.types import ASGIApp, Receive, Scope, Send

from understudy.apps.api.errors import error_body
from understudy.core.errors import UserError

__all__ = ["OwnCalls", "fetch_nothing"]

CALLS = "/gradio_api/"
NEEDED = re.compile(
    r"app_id|cancel|heartbeat/[^/]+|info/?|login_check|queue/(data|join)|reset/?|startup-events|theme\.css|upload"
    r"|upload_progress|file=(?!\s*https?:).*",
    re.IGNORECASE | re.DOTALL,
)
"""Left out are those that fetch from elsewhere, keep runs on Hugging Face, convert films, or write states to files."""


class OwnCalls:
    """Lets calls to Gradio through that the page makes itself.

    Args:
        app: behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http" and not known(scope["path"]):
            refused = JSONResponse(error_body(404, "the page has no such call", "not_found"), 404)
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)


def known(path: str) -> bool:
    """Whether a path is none of Gradio's calls, or one that the page makes."""
    asked = path.removeprefix(CALLS)
    return asked == path or NEEDED.fullmatch(asked) is not None


def fetch_nothing() -> None:
    """Keep Gradio from fetching what a request names in the place of an upload. It has no setting for that."""

    async def refused(url: str, cache_dir: str) -> str:
        raise UserError(f"{url!r} is no upload; nothing is fetched from elsewhere")

    processing_utils.async_ssrf_protected_download = refused
