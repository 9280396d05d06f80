"""The pages that are not the chat app's: logging in, what the API can do, and a word where no app is installed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import math
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from understudy.apps.api.errors import ApiError
from understudy.apps.server.auth import session_of
from understudy.apps.server.headers import STRICT_POLICY
from understudy.apps.server.served import served
from understudy.apps.server.sessions import COOKIE, Session

__all__ = ["page", "router"]

router = APIRouter(include_in_schema=False)
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .2rem; }
input, button { font: inherit; padding: .5rem .7rem; border: 1px solid GrayText; border-radius: .4rem; }
input { width: 100%; box-sizing: border-box; margin: .3rem 0 .8rem; }
button { cursor: pointer; } .wrong { color: #b3261e; }
@media (prefers-color-scheme: dark) { .wrong { color: #f2b8b5; } }
code { font-size: .95em; }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"{STRICT_POLICY}; style-src 'sha256-{STYLE_HASH}'"
FIELD_BYTES = 1000
"""Of a key that is typed in, at most."""


def page(title: str, body: str, status: int = 200) -> HTMLResponse:
    """A page that runs no script. `body` is HTML."""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main><h1>{html.escape(title)}</h1>{body}</main></body></html>"
    )
    return HTMLResponse(text, status, headers={"Content-Security-Policy": POLICY})


def login_page(wrong: str = "", status: int = 200) -> HTMLResponse:
    """Where a key is typed in."""
    said = f'<p class="wrong" role="alert">{html.escape(wrong)}</p>' if wrong else ""
    form = (
        '<form method="post" action="/login"><label for="key">API key</label>'
        '<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>'
        "<button>Log in</button></form><p>Who runs this server makes keys with <code>understudy keys create</code>.</p>"
    )
    return page("Understudy", said + form, status)


@router.get("/login")
async def show_login() -> Response:
    """The page to log in at."""
    return login_page()


@router.post("/login")
async def login(request: Request) -> Response:
    """Come in with a key."""
    using = served(request)
    if wait := math.ceil(using.logins.take(request.client.host if request.client else "")):
        refused = login_page(f"Too many attempts; try again in {wait} s.", 429)
        refused.headers["Retry-After"] = str(wait)
        return refused
    key = await asyncio.to_thread(using.keys.find, (await field_of(request, "key")).strip())
    if key is None:
        return login_page("This key is wrong, was revoked, or has expired.", 401)
    arrived = RedirectResponse("/", 303)
    arrived.set_cookie(
        COOKIE,
        await asyncio.to_thread(using.sessions.begin, key),
        max_age=using.sessions.seconds,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return arrived


@router.post("/logout")
async def logout(request: Request) -> Response:
    """Go out; the session is over, whoever else may have its cookie."""
    session = session_of(request)
    if session is not None:
        if not session.sent_back(request.headers.get("x-csrf-token") or await field_of(request, "csrf")):
            raise ApiError(403, "log out by the page's own button", "csrf")
        await asyncio.to_thread(served(request).sessions.end, request.cookies.get(COOKIE, ""))
    gone = RedirectResponse("/login", 303)
    gone.delete_cookie(COOKIE, path="/")
    return gone


async def field_of(request: Request, name: str) -> str:
    """A field of a form of ours; "" where there is none that could be one."""
    async with request.form(max_files=0, max_fields=4, max_part_size=FIELD_BYTES) as form:
        given = form.get(name)
    return given if isinstance(given, str) else ""


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The API in short, from its description."""
    rows = [row for path, held in request.app.openapi()["paths"].items() for row in operations(path, held)]
    return page("The API", '<p>In full: <a href="/openapi.json">openapi.json</a></p>' + "".join(rows))


def operations(path: str, held: dict[str, Any]) -> list[str]:
    """A path's methods, with what they are for."""
    return [
        f"<h2><code>{method.upper()} {html.escape(path)}</code></h2><p>{html.escape(found.get('description', ''))}</p>"
        for method, found in held.items()
    ]


def plain_start(session: Session | None) -> HTMLResponse:
    """What stands at `/` where the chat app isn't."""
    out = (
        ""
        if session is None
        else f'<form method="post" action="/logout"><input type="hidden" name="csrf" value="{session.csrf}">'
        "<button>Log out</button></form>"
    )
    return page(
        "Understudy", '<p>This server answers programs at <code>/v1</code>: <a href="/docs">the API</a>.</p>' + out
    )
