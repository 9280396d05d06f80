"""The one number that words hold, in figures or spelled, with sign, scale and per cent; never a guess."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from understudy.agents.cache.words import ORDINALS, TENS, UNITS
from understudy.core.matching import SCALES, numbers_in, pure_number

__all__ = ["Unread", "number_of", "spelled"]

HUNDRED, THOUSANDS = 100, {"thousand": 10**3, "million": 10**6, "billion": 10**9}
COUNTS = {**UNITS, **TENS, "hundred": HUNDRED, **THOUSANDS}
COUNT = "|".join(sorted(COUNTS, key=len, reverse=True))
RUN = re.compile(
    rf"\b(?P<words>(?:{COUNT})(?:(?:[\s-]+and)?[\s-]+(?:{COUNT}))*)\b(?P<scale>\s*(?:%|percent\b))?",
    re.IGNORECASE,
)
PER_CENT = re.compile(r"\bper\s+cent\b", re.IGNORECASE)
ORDINAL = re.compile(rf"[\s-]+(?:{'|'.join(ORDINALS)}|hundredth|thousandth|millionth)\b", re.IGNORECASE)
ONE_OF = re.compile(r"one\s+of\b", re.IGNORECASE)
UNKNOWN = re.compile(
    r"\b(?:trillions?|dozens?|half|halves|thirds?|quarters?|bl?n|ml?n|mm|k|m|b|bps?|basis\s+points?|crores?|lakhs?)\b"
    r"|\b(?:pct|percentage\s+points?|minus|negative)\b"
    r"|[±‰‱×^]|\d\s*/\s*\d|\d\s*hundreds?\b|\d\.\d+\.\d",
    re.IGNORECASE,
)
DIGITS = 28
"""Of a number; decimal arithmetic rounds longer ones."""
MINUS = re.compile(r"(?:^|(?<=\s))[$€£¥]?[-−][$€£¥]?(?=[\d.])")


class Unread(ValueError):
    """Words that can't be read as a value without guessing; `str()` of it is why."""


@dataclass(frozen=True)
class Said:
    """A number as it stands in a text."""

    value: Decimal
    start: int
    end: int


def number_of(text: str) -> Decimal:
    """The number in a text: 1250 of "$1,250.00 a month", 2 of "two (2) years", 0.035 of "3.5%".

    Raises `Unread`: there is none, or more than one, or it can't be told how much it is.
    """
    text = PER_CENT.sub("percent", text)
    if UNKNOWN.search(text) or any(c.isnumeric() and not c.isdecimal() for c in text):
        raise Unread("counts in a way that can't be read with certainty (a fraction, a range, an abbreviation)")
    found = list(merged(text))
    if len(found) != 1:
        raise Unread(f"holds {len(found)} numbers, not one" if found else "holds no number")
    value = found[0].value
    if value.is_nan():
        raise Unread("holds number words that make no number together")
    if len(value.as_tuple().digits) >= DIGITS:
        raise Unread("holds more digits than can be kept")
    if value < 0 and pure_number(text) is None and not MINUS.search(text):
        raise Unread("has a dash or parentheses that may be a minus, or not")
    return value


def merged(text: str) -> Iterator[Said]:
    """The numbers of a text, in order; one that is said again in parentheses counts once."""
    figures = [Said(n.value, n.start, n.end) for n in numbers_in(text)]
    counted = [run for run in runs(text) if not any(f.start <= run.start < f.end for f in figures)]
    last: Said | None = None
    for said in sorted([*figures, *counted], key=lambda said: said.end):
        again = last is not None and "(" in text[last.end : said.end] and abs(said.value) == abs(last.value)
        if not again:
            yield said
        last = said


def runs(text: str) -> Iterator[Said]:
    """The numbers that are spelled; NaN for words in a row that make none, such as "two five"."""
    for found in RUN.finditer(text):
        if ONE_OF.match(text, found.start()):
            continue  # it counts nothing
        words = [w for w in re.split(r"[\s-]+", found["words"].lower()) if w != "and"]
        value = summed(words)
        known = spelled(value).replace("-", " ").split() == words and not ORDINAL.match(text, found.end())
        scale = SCALES["percent"] if found["scale"] else Decimal(1)
        yield Said(value * scale if known else Decimal("nan"), found.start(), found.end())


def summed(words: list[str]) -> int:
    """What number words in a row amount to."""
    total = current = 0
    for word in words:
        if word in THOUSANDS:
            total, current = total + max(1, current) * THOUSANDS[word], 0
        elif word == "hundred":
            current = max(1, current) * HUNDRED
        else:
            current += COUNTS[word]
    return total + current


def spelled(number: int) -> str:
    """A number in words, from 0 to below a trillion: "two hundred thirty-five"."""
    for name, size in [*reversed(THOUSANDS.items()), ("hundred", HUNDRED)]:
        if number >= size:
            rest = number % size
            return f"{spelled(number // size)} {name}" + (f" {spelled(rest)}" if rest else "")
    if number < len(UNITS):
        return list(UNITS)[number]
    ten = list(TENS)[number // 10 - 2]
    return f"{ten}-{list(UNITS)[number % 10]}" if number % 10 else ten
