"""Text of documents inside a message: marked line by line, so that nothing in it can pass for the message's own words.

A mark at every line needs no secret and no escaping: whatever a document says, each of its lines begins like data.
Delimiters before and after it would not do, since a document can write them too.
"""

from __future__ import annotations

import re

__all__ = ["MARK", "as_data", "defused", "on_one_line", "unmarked"]

MARK = "> "
TOKEN = r"[/|｜]?[\w▁|｜][\w▁|｜\\ -]{0,46}>", r"/?[A-Z][A-Z_\\]+\]"
"""Control tokens of chat templates behind their first character: `<|im_start|>`, `<s>`, `</s>`, `<<SYS>>`,
`<start_of_turn>`, `<｜User｜>`; `[INST]`, `[/INST]`, `[TOOL_CALLS]`; Markdown's escapes in them too."""
CONTROL = re.compile(rf"<(?={TOKEN[0]})|\[(?={TOKEN[1]})")
SPACED = re.compile(rf"(?<=<) (?={TOKEN[0]})|(?<=\[) (?={TOKEN[1]})")
MARKED = re.compile(r"(?m)^> ?")


def as_data(text: str) -> str:
    """Text with the mark before every line. Every kind of line break ends a line, or one of them could begin one."""
    return "\n".join(MARK + line for line in text.splitlines() or [""])


def on_one_line(text: str) -> str:
    """Text for the place behind a label of ours: what follows its first line is marked."""
    return as_data(text).removeprefix(MARK)


def defused(text: str) -> str:
    """Text without control tokens of chat templates: a space after their first character makes them plain text.

    Many servers tokenise a message with control tokens recognised wherever they stand; our own small model doesn't.
    """
    return CONTROL.sub(lambda found: f"{found[0]} ", text)


def unmarked(quote: str) -> str:
    """A quote copied from marked and defused lines as it stands in its document, white space aside."""
    return SPACED.sub("", MARKED.sub("", quote))
