"""Text as it is compared: letters and digits alone, whatever their case, width, accents, script or spacing.

Two readings of a character: by its language (case first, so that Cyrillic В and в are one), and by its looks (В is B).
Look-alikes are those of Unicode TR 39, "confusables".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from confusable_homoglyphs.confusables import confusables_data
from numpy.typing import NDArray

__all__ = ["BARRIER", "Squeezed", "code_points", "readings", "spaceless", "squeeze"]

SEPARATOR, IGNORED, TOKEN = 0, 1, 2
BARRIER = "\uffff"
"""Parts texts that were put together: no value reaches across. It is no character, and never let in from outside."""
FILLERS = "\u115f\u1160\u3164\uffa0"
"""Letters by name that show nothing."""
LETTER_NAME = re.compile(r"(?:LATIN|INDICATOR)\b.*\bLETTER (?:SMALL CAPITAL )?([A-Z])(?: WITH .*)?")
SPACELESS = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x9FFF),
    (0x20000, 0x3FFFF),
)
"""Scripts that put no space between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""


@dataclass(frozen=True)
class Squeezed:
    """The letters and digits of a text.

    Attributes:
        text: folded.
        at: where in the original each of them stands `[characters]`.
        breaks: whether words may part before each of them, and after the last one `[characters + 1]`.
        gaps: whether something stood between, or the text's end `[characters + 1]`; letters and digits side by side
            part words without.
        humps: whether a capital follows a small letter there `[characters + 1]`.
    """

    text: str
    at: NDArray[np.int64]
    breaks: NDArray[np.bool_]
    gaps: NDArray[np.bool_]
    humps: NDArray[np.bool_]

    def pieces(self) -> Iterator[Squeezed]:
        """The parts between barriers."""
        first = 0
        for text in self.text.split(BARRIER):
            last = first + len(text)
            own, edges = slice(first, last), slice(first, last + 1)
            yield Squeezed(text, self.at[own], self.breaks[edges], self.gaps[edges], self.humps[edges])
            first = last + 1


def squeeze(text: str) -> Squeezed:
    """The letters and digits of a text, read by their language."""
    return next(readings(text))


def readings(text: str) -> Iterator[Squeezed]:
    """The letters and digits of a text, read by their language; then by their looks, where that differs."""
    codes = code_points(text)
    if not codes.size:
        yield Squeezed("", codes.astype(np.int64), *(np.ones(1, dtype=np.bool_) for _ in range(3)))
        return
    present = np.flatnonzero(np.bincount(codes))
    places = np.zeros(int(codes.max()) + 1, dtype=np.int32)
    places[present] = np.arange(len(present))
    inverse = places[codes]
    plain = [folded(code, False) for code in present.tolist()]
    yield read(codes, inverse, plain)
    looks = [folded(code, True) for code in present.tolist()]
    if looks != plain:
        yield read(codes, inverse, looks)


def code_points(text: str) -> NDArray[np.uint32]:
    """The numbers of a text's characters."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def read(codes: NDArray[np.uint32], inverse: NDArray[np.int32], folds: Sequence[tuple[int, str]]) -> Squeezed:
    """A text by its code points, the place of each in `folds`, and what those count as."""
    kinds = np.array([kind for kind, _ in folds], dtype=np.uint8)[inverse]
    shown = np.flatnonzero(kinds != IGNORED)
    ordinal = np.flatnonzero(kinds[shown] == TOKEN)
    at = shown[ordinal]
    apart = np.diff(ordinal, prepend=-2) > 1
    width = max(len(fold) for _, fold in folds)
    letters = np.zeros((len(folds), max(width, 1)), dtype=np.uint32)
    for row, (_, fold) in enumerate(folds):
        letters[row, : len(fold)] = [ord(c) for c in fold]
    if width <= 1:
        flat = letters[inverse[at], 0]
    else:
        rows = letters[inverse[at]]
        counts = (rows != 0).sum(axis=1)
        flat, at = rows[rows != 0], np.repeat(at, counts)
        spread = np.zeros(len(flat), dtype=np.bool_)
        spread[np.cumsum(counts) - counts] = apart
        apart = spread
    gaps = np.append(apart, True)
    gaps[0] = True
    walls = np.flatnonzero(flat == ord(BARRIER))
    gaps[walls] = gaps[walls + 1] = True
    text = flat.tobytes().decode("utf-32-le", "surrogatepass")
    return Squeezed(text, at, parted(flat, gaps), gaps, humped(codes, at))


def parted(flat: NDArray[np.uint32], gaps: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where words may part: at gaps, between letters and digits, and about characters of scripts without spaces."""
    sort = ((flat >= ord("0")) & (flat <= ord("9"))).astype(np.uint8)
    if flat.max(initial=0) >= SPACELESS[0][0]:
        for low, high in SPACELESS:
            sort[(flat >= low) & (flat <= high)] = 2
    breaks = gaps.copy()
    breaks[1:-1] |= (sort[1:] != sort[:-1]) | (sort[1:] == 2)
    return breaks


def humped(codes: NDArray[np.uint32], at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where an ASCII capital follows an ASCII small letter."""
    found = np.zeros(len(at) + 1, dtype=np.bool_)
    own = codes[at]
    found[1:-1] = (own[1:] >= ord("A")) & (own[1:] <= ord("Z")) & (own[:-1] >= ord("a")) & (own[:-1] <= ord("z"))
    return found


def spaceless(char: str) -> bool:
    """Whether a character belongs to a script that puts no space between words."""
    return any(low <= ord(char) <= high for low, high in SPACELESS)


@cache
def folded(code: int, looks: bool) -> tuple[int, str]:
    """What a character is, and the letters or digits that it counts as."""
    char = chr(code)
    if char == BARRIER:
        return TOKEN, char
    if char.isascii():
        if char.isalnum():
            return TOKEN, char.lower()
        return (SEPARATOR if char.isprintable() or char.isspace() else IGNORED), ""
    category = unicodedata.category(char)
    if category in ("Cf", "Mn", "Me", "Mc") or char in FILLERS:
        return IGNORED, ""
    if category == "Nd":
        return TOKEN, str(unicodedata.decimal(char))
    alike = lookalike(char, category)
    if looks and alike:
        return TOKEN, alike
    bare = "".join(c for c in unicodedata.normalize("NFKD", char) if not unicodedata.category(c).startswith("M"))
    kept = "".join(basic(c) for c in unicodedata.normalize("NFKD", bare.casefold()))
    kept = "".join(c for c in kept if c.isalnum()) or alike
    return (TOKEN, kept) if kept else (SEPARATOR, "")


def basic(char: str) -> str:
    """A small letter as the ASCII letter that it looks like, if it does."""
    if char.isascii():
        return char
    return lookalike(char, unicodedata.category(char)) or char


def lookalike(char: str, category: str) -> str:
    """The ASCII letters or digits that a character looks like; none if it doesn't."""
    if not (category.startswith(("L", "N")) or category == "So"):
        return ""
    for entry in confusables_data.get(char, ()):
        bare = "".join(c for c in unicodedata.normalize("NFKD", entry["c"]) if unicodedata.category(c)[0] != "M")
        if bare.isascii() and bare.isalnum():
            alike = bare.lower().replace("rn", "m")
            return "i" if alike == "l" and char.isupper() else alike  # TR 39 takes I for l
    named = LETTER_NAME.search(unicodedata.name(char, ""))
    return named[1].lower() if named else ""
