"""What recognisers find, and how finds that overlap become spans that don't."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

__all__ = ["TYPES", "Found", "Recogniser", "apart"]

TYPES = (
    "PERSON",
    "PLACE",
    "ORGANISATION",
    "ADDRESS",
    "EMAIL",
    "PHONE",
    "IBAN",
    "CARD",
    "ACCOUNT",
    "NATIONAL_ID",
    "RECORD_NUMBER",
    "BIRTH_DATE",
    "AGE",
    "IP",
    "URL",
    "OTHER",
    "TEXT",
)
"""Types that the project's own recognisers give. `TEXT` is text that only looks like a placeholder. A dictionary and
the owner's patterns may bring more, each of capitals and underscores."""


class Found(NamedTuple):
    """A stretch of a text that names somebody or something: `text` is what stands at `start` to `end` (code points)."""

    start: int
    end: int
    type: str
    text: str


class Recogniser(Protocol):
    """Finds identifiers of one kind. What it finds may overlap what others find."""

    def find(self, text: str) -> Iterable[Found]:
        """Stretches of a text, in any order. Raises `EgressRefused` where it can't tell."""
        ...


def apart(text: str, ranked: Sequence[Iterable[Found]]) -> list[Found]:
    """Finds without overlap, in the order of the text, that cover everything that any recogniser found.

    A find inside another gives way to it. Where two cross, the one of higher rank keeps its whole, the other what is
    left of it.

    Args:
        text: that they were found in.
        ranked: the finds of each recogniser, the one to be believed first before the others.
    """
    spans = [(whole(text, f), rank) for rank, found in enumerate(ranked) for f in found if f.start < f.end]
    # The longer first at the same start, so that what lies inside another is met after it.
    spans.sort(key=lambda s: (s[0].start, -s[0].end, s[1]))
    kept: list[tuple[Found, int]] = []
    for found, rank in spans:
        if not kept or found.start >= kept[-1][0].end:
            kept.append((found, rank))
            continue
        before, its_rank = kept[-1]
        if found.end <= before.end:
            continue
        if rank < its_rank:
            kept[-1] = (cut(text, before, before.start, found.start), its_rank)
            kept.append((found, rank))
        else:
            kept.append((cut(text, found, before.end, found.end), rank))
    return [found for found, _ in kept if found.text.strip()]


def cut(text: str, found: Found, start: int, end: int) -> Found:
    """A part of a find."""
    return Found(start, end, found.type, text[start:end])


def whole(text: str, found: Found) -> Found:
    """A find widened until it cuts no word or number of ASCII letters and digits in two.

    Half a word beside a placeholder tells the other half, and half a number could be taken for a placeholder's.
    """
    start, end = found.start, found.end
    while start > 0 and joined(text[start - 1], text[start]):
        start -= 1
    while end < len(text) and joined(text[end - 1], text[end]):
        end += 1
    return found if (start, end) == (found.start, found.end) else Found(start, end, found.type, text[start:end])


def joined(left: str, right: str) -> bool:
    """Whether two neighbours belong to one word."""
    return left.isascii() and right.isascii() and is_word(left) and is_word(right)


def is_word(character: str) -> bool:
    """A letter, a digit or an underscore."""
    return character.isalnum() or character == "_"
