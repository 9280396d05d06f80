"""A real browser before the real server: Debian's headless Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

CHROMIUM = os.environ.get("UNDERSTUDY_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDE, NARROW = ViewportSize(width=1280, height=860), ViewportSize(width=390, height=800)
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def browsing(url: str, size: ViewportSize = WIDE, scheme: str = "light") -> Iterator[Page]:
    """A page of the server. Fails where it asks for anything from elsewhere, or a script of it fails."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium isn't installed: apt-get install chromium")
    outside: list[str] = []
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE_MS)
        own = url.partition("//")[2]
        page.on(
            "request", lambda r: None if own in r.url or r.url.startswith(("data:", "blob:")) else outside.append(r.url)
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(url)
        try:
            yield page
        finally:
            browser.close()
    assert outside == []
    assert problems == []


def picture(page: Page, name: str) -> None:
    """Keep what the page shows, for the documentation."""
    page.wait_for_timeout(400)
    IMAGES.mkdir(exist_ok=True)
    page.screenshot(path=IMAGES / f"{name}.png")
