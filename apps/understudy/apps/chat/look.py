"""How the pages look. Nothing is loaded from elsewhere: fonts are the system's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["CSS", "FOLLOW", "HEAD", "ON_PRESS", "READY", "THEME_BUTTON", "TO_QUOTE", "theme"]

HERE = Path(__file__).parent
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
CSS = "".join((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "panels.css"))
ON_PRESS = (HERE / "press.js").read_text(encoding="utf-8")
HEAD = '<meta name="referrer" content="same-origin">'
FOLLOW = "watch('value', () => element.scrollIntoView({ block: 'nearest' }));"
"""What is being answered stays in sight."""
TO_QUOTE = "watch('value', () => element.querySelector('#u-quote')?.scrollIntoView({ block: 'center' }));"
READY = """() => {
  const name = (id, label) => document.querySelector(`#${id} .toggle-button`)?.setAttribute('aria-label', label);
  name('u-left', 'Earlier questions'); name('u-right', 'Source');
  if (innerWidth < 768) document.querySelector('#u-left.open .toggle-button')?.click();
}"""
"""Gradio's buttons that fold the sides have no names; on a narrow screen the threads would cover everything."""
THEME_BUTTON = "() => { document.body.classList.toggle('dark') }"


def theme() -> Any:
    """Gradio's plainest, with the system's fonts."""
    import gradio as gr

    return gr.themes.Base(primary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=MONO, radius_size="md")
