"""What MCP servers say, as text: results, reasons of failures, names and descriptions. None of it is trusted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["LONGEST_RESULT", "described", "nameable", "reason_of", "text_of"]

LONGEST_RESULT = 2_000
"""Characters of a result that are shown: more would push the question out of a small model's context."""
LONGEST_DESCRIPTION = 300
LONGEST_REASON = 200
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""Of tools and arguments: names stand in the small model's instructions, where a line break begins a line of ours."""


def nameable(name: str) -> bool:
    """Whether a name may stand in instructions."""
    return NAME.fullmatch(name) is not None


def described(description: str) -> str:
    """A tool's own description on one line, cut: it stands in the small model's instructions."""
    return clipped(description, LONGEST_DESCRIPTION)


def clipped(text: str, limit: int) -> str:
    """Text on one line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def text_of(content: object, artifact: Mapping[str, Any] | None) -> str:
    """A tool's result as the small model sees it: its text, or else its data; what is neither is named."""
    blocks = content if isinstance(content, Sequence) and not isinstance(content, str) else [content]
    parts = [shown(block) for block in blocks]
    text = "\n".join(part for part in parts if part)
    if not text and artifact:
        text = json.dumps(artifact.get("structured_content"), ensure_ascii=False)
    if len(text) <= LONGEST_RESULT:
        return text
    return f"{text[:LONGEST_RESULT]}… (cut here: {len(text)} characters in all)"


def shown(block: object) -> str:
    """One block of a result."""
    if isinstance(block, Mapping):
        return str(block["text"]) if block.get("type") == "text" else f"[{block.get('type', 'something')}]"
    return str(block)


def reason_of(error: BaseException | None, timeout_s: float) -> str:
    """Why a server could not be used, on one line: of nested errors the innermost."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case None:
            return "it ended"
        case FileNotFoundError():
            return f"there is no command {error.filename!r}"
        case TimeoutError():
            return f"no reply within {timeout_s:g} s"
        case _ if type(error).__name__ in ("ConnectError", "ConnectTimeout"):
            return "no connection"
        case _ if type(error).__name__ in ("ClosedResourceError", "BrokenResourceError", "EndOfStream"):
            return "it ended"
        case _:
            return clipped(str(error), LONGEST_REASON) or type(error).__name__
