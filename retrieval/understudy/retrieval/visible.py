"""What a person who opens a document sees of it: the rest is left out, since it can only mislead.

Left out are comments, and HTML that its own page hides by a style or an attribute; classes of a style sheet are not
looked up. Invisible characters are `core.shown`'s.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["without_comments", "without_hidden"]

COMMENT = re.compile(r"(?P<code>^(?P<fence>`{3,}|~{3,}).*?(?:^(?P=fence)|\Z)|`[^`\n]+`)|<!--.*?-->", re.S | re.M)
HIDING = re.compile(r"display:none|visibility:hidden|(?<![\w-])opacity:0(?:\.0*)?(?:;|$)|font-size:0(?![.\d])", re.I)


def without_comments(markdown: str) -> str:
    """Markdown without its comments; in code they are shown, so there they stay."""
    end = markdown.rfind("-->") + 3  # a comment that never ends is text; looking for its end again and again is slow
    if end < 3:
        return markdown
    return COMMENT.sub(lambda found: found["code"] or "", markdown[:end]) + markdown[end:]


def without_hidden(html: bytes) -> bytes:
    """HTML without comments and without elements that it hides."""
    from bs4 import BeautifulSoup, Comment

    soup = BeautifulSoup(html, "html.parser")
    for comment in soup.find_all(string=lambda text: isinstance(text, Comment)):
        comment.extract()
    for tag in soup.find_all(hides):
        tag.decompose()
    return bytes(soup.encode("utf-8"))


def hides(tag: Any) -> bool:
    """Whether an element is not shown."""
    style = "".join(str(tag.get("style") or "").split())
    return tag.name == "template" or tag.has_attr("hidden") or HIDING.search(style) is not None
