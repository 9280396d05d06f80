"""Pages of the chat app in a real browser: headless Chromium against a real server on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from browser_parts import CHROMIUM, FLAGS, IMAGES, PATIENCE_MS
from server_parts import eventually, running

__all__ = ["IMAGES", "browser", "overflows", "shown", "visiting", "whole"]

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from understudy.agents import Agent


@contextmanager
def shown(pages: dict[str, Callable[[], None]], principal: str | None = None) -> Iterator[str]:
    """The address of an app with a tab for each page, as one principal sees it."""
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI

    from understudy.apps.chat import look

    with gr.Blocks(title="Understudy", analytics_enabled=False, fill_width=True) as app, gr.Tabs():
        for name, build in {"Ask": lambda: None, **pages}.items():
            with gr.Tab(name):
                build()
    server = FastAPI()
    gr.mount_gradio_app(
        server, app, path="/", auth_dependency=lambda _request: principal or "owner", css=look.CSS, theme=look.theme(),
        footer_links=[], ssr_mode=False,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = uvicorn.Server(uvicorn.Config(server, log_level="error"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        eventually(lambda: running.started)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join(20)


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playing:
        opened = playing.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def whole(agent: Agent) -> Iterator[str]:
    """The address of the whole app, as its owner sees it."""
    with running(agent, chat_page=True) as server:
        yield server.url


@contextmanager
def visiting(chromium: Browser, url: str, tab: str, width: int = 1280, dark: bool = False) -> Iterator[Page]:
    """A page with one tab open. Nothing may be asked of another host, and nothing may go wrong in it."""
    context = chromium.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    wrong: list[Any] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if own(request.url, url) else wrong.append(request.url))
    page.goto(f"{url}/{'?__theme=dark' if dark else '?__theme=light'}")
    page.get_by_role("tab", name=tab).click()
    try:
        yield page
    finally:
        context.close()
    assert wrong == []


def own(asked: str, url: str) -> bool:
    """Whether a request stays at home."""
    return urlsplit(asked).scheme in ("data", "blob") or asked.startswith(url)


def overflows(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
