"""An expert's quotes, found in the passages it was shown; what can't be found is no citation."""

from __future__ import annotations

import re
from collections.abc import Sequence

from understudy.agents.quoting import unmarked
from understudy.core.types import Citation, Passage

__all__ = ["locate"]


def locate(quote: str, passages: Sequence[Passage]) -> Citation | None:
    """The citation of a quote, white space aside, with offsets into its document.

    An expert may copy a quote with the marks that it was shown, or without them.
    """
    return found(quote, passages) or found(unmarked(quote), passages)


def found(quote: str, passages: Sequence[Passage]) -> Citation | None:
    """The citation of a quote exactly as it is given, white space aside."""
    words = quote.split()
    if not words:
        return None
    pattern = re.compile(r"\s+".join(map(re.escape, words)))
    for passage in passages:
        match = pattern.search(passage.text)
        if match:
            return Citation(
                document=passage.document,
                title=passage.title,
                location=passage.location,
                start=passage.start + match.start(),
                end=passage.start + match.end(),
                quote=match[0],
                score=passage.score,
            )
    return None
