"""Quotes of a redacted passage, found again where its document has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from understudy.core.types import Citation, Passage

__all__ = ["as_stored"]

PLACEHOLDER = re.compile(r"⟦([A-Z][A-Z_]*)_([0-9]{1,6})⟧")
ValueOf = Callable[[tuple[str, int]], str | None]


def as_stored(
    citation: Citation, shown: Sequence[Passage], stored: Sequence[Passage], value_of: ValueOf
) -> Citation | None:
    """A citation of passages as they were shown, or as they are stored, as one of the stored ones.

    Args:
        citation: with offsets as if a document had the passage as it was shown.
        shown: passages as they were redacted.
        stored: the same passages as their documents have them.
        value_of: what a placeholder stands for.

    Returns:
        `None` where the quote is in neither.
    """
    for seen, kept in zip(shown, stored, strict=True):
        if kept.document != citation.document:
            continue
        start, end = citation.start - kept.start, citation.end - kept.start
        if start >= 0 and seen.text[start:end] == citation.quote:
            first = stored_at(seen.text, start, value_of, after=False)
            last = stored_at(seen.text, end, value_of, after=True)
        elif start >= 0 and kept.text[start:end] == citation.quote:  # a recording has the documents' own words
            first, last = start, end
        else:
            continue
        return citation.model_copy(
            update={
                "title": kept.title,
                "location": kept.location,
                "start": kept.start + first,
                "end": kept.start + last,
                "quote": kept.text[first:last],
            }
        )
    return None


def stored_at(shown: str, at: int, value_of: ValueOf, *, after: bool) -> int:
    """The place in a text of a place in it as it was redacted; one inside a placeholder is before or after it."""
    shift = 0
    for match in PLACEHOLDER.finditer(shown):
        value = value_of((match[1], int(match[2])))
        if at <= match.start():
            break
        if value is None:  # the text's own words
            continue
        if at < match.end():
            return match.start() + shift + (len(value) if after else 0)
        shift += len(value) - len(match[0])
    return at + shift
