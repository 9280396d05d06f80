"""Text that is safe to show: without characters that show nothing, and without what fetches something when it is shown.

Invisible characters: Boucher and Anderson 2021, "Trojan Source", arXiv 2111.00169; tag characters spell ASCII.
"""

from __future__ import annotations

import re

__all__ = ["inert", "visible"]

INVISIBLE = re.compile(
    "[\x01-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]+"
)
"""Control characters but for white space, bidirectional marks, zero-width ones, fillers, tags. Not the soft hyphen:
in many a PDF it is the minus sign."""
JOINERS, SELECTORS = "\u200c\u200d", "\ufe00-\ufe0f\U000e0100-\U000e01ef"
STRAY = re.compile(
    f"(?<![^\x00-\u024f])[{JOINERS}{SELECTORS}]+|[{JOINERS}]+(?![^\x00-\u024f])|(?<=[{JOINERS}])[{JOINERS}]+"
    f"|(?<=[{SELECTORS}])[{SELECTORS}]+"
)
"""Joiners and variation selectors where they do nothing: beside Latin letters, or one after the other."""
IMAGE = re.compile(r"!\[([^\[\]]*)\](?:\(([^()]*)\)|\[([^\[\]]*)\])")
FETCHING = re.compile(
    r"<(?=(?:img|image|iframe|object|embed|video|audio|source|track|link|script|style|svg|base|meta)\b)", re.I
)


def visible(text: str) -> str:
    """Text without characters that show nothing."""
    return STRAY.sub("", INVISIBLE.sub("", text))


def inert(text: str) -> str:
    """An answer that makes no program fetch anything where it is shown as Markdown or HTML: it is left as plain words.

    An address that a document or an expert thought of could carry what was read to somebody else, without a click.
    """
    plain = IMAGE.sub(lambda found: " ".join(filter(None, found.groups())), visible(text))
    return FETCHING.sub("< ", plain).replace("![", "! [")
