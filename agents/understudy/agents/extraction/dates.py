"""The one date that words hold, where its day, month and year are certain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

from understudy.agents.cache.words import MONTH, MONTHS
from understudy.agents.extraction.numbers import Unread

__all__ = ["date_of", "moment_of"]

DAY, YEAR = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?", r"(?P<year>\d{4})(?!\d)"
GAP = r"[\s,./-]*"
WRITTEN = (
    re.compile(r"(?<!\d)(?P<year>\d{4})(?P<sign>[-/.])(?P<number>\d{1,2})(?P=sign)(?P<day>\d{1,2})(?!\d)"),
    re.compile(rf"(?<!\d){DAY}\s*(?:day\s+)?(?:of\s+)?{GAP}\b(?P<month>{MONTH})\b{GAP}{YEAR}", re.IGNORECASE),
    re.compile(rf"\b(?P<month>{MONTH})\b{GAP}(?:the\s+)?{DAY}{GAP}{YEAR}", re.IGNORECASE),
)
FIGURES = re.compile(rf"(?<!\d)(?P<a>\d{{1,2}})(?P<sign>[-/.])(?P<b>\d{{1,2}})(?P=sign){YEAR}")
CLOCK = re.compile(
    r"(?<!\d)(?:T|\b)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?\s*(?P<half>[APap]\.?\s?[Mm]\b\.?)?"
    r"\s*(?P<zone>Z\b|UTC\b|GMT\b|[+-]\d{2}:?\d{2}\b)?(?P<other>\s*\(?[A-Z]{2,5}\b)?",
)
HERE = "\x1f"
"""Stands in a text where its date was."""
ANOTHER = re.compile(
    rf"(?<!\d)\d{{4}}(?!\d)|\b(?:{MONTH})\b\s*\d|\d(?:st|nd|rd|th)?\s+(?:of\s+)?(?:{MONTH})\b"
    rf"|\d(?:st|nd|rd|th)?\s*(?:[-–—/&]|to|and|or|until|through)\s*{HERE}",
    re.IGNORECASE,
)
HOURS = re.compile(r"\d|\b(?:noon|midnight|o['’]clock)\b", re.IGNORECASE)


def date_of(text: str) -> date:
    """The date in a text, such as "12 March 2021", "March 12, 2021" or "2021-03-12".

    Raises `Unread`: there is none, or more than one, or it can be read in two ways.
    """
    return dated(text)[0]


def moment_of(text: str) -> datetime:
    """The date in a text with its time; midnight where none is said. Raises `Unread`."""
    with suppress(ValueError):
        return datetime.fromisoformat(text.strip())
    day, rest = dated(text)
    found = list(CLOCK.finditer(rest))
    if len(found) > 1:
        raise Unread("holds more than one time of day")
    if HOURS.search(CLOCK.sub(" ", rest)):
        raise Unread("holds figures, or a time of day, that can't be read with certainty")
    if not found:
        return datetime.combine(day, time())
    return datetime.combine(day, clock_of(found[0]), tzinfo=zone_of(found[0]))


def dated(text: str) -> tuple[date, str]:
    """The one date of a text, and the text without it."""
    found: set[date] = set()
    rest = text
    for pattern in (*WRITTEN, FIGURES):
        found |= set(map(day_of, pattern.finditer(rest)))
        rest = pattern.sub(f" {HERE} ", rest)
    if not found:
        raise Unread("holds no date with day, month and year" if ANOTHER.search(text) else "holds no date")
    if len(found) > 1 or ANOTHER.search(rest):
        raise Unread("holds more than one date")
    return found.pop(), rest


def day_of(found: re.Match[str]) -> date:
    """What a match says. Raises `Unread`: there is no such day, or there are two."""
    parts = found.groupdict()
    year = int(parts["year"])
    if "a" in parts:
        possible = set(days(year, int(parts["a"]), int(parts["b"])))
    elif "month" in parts:
        month = 1 + [m[:3] for m in MONTHS].index(parts["month"][:3].lower())
        possible = set(days(year, month, int(parts["day"]), either=False))
    else:
        possible = set(days(year, int(parts["number"]), int(parts["day"]), either=False))
    if len(possible) != 1:
        raise Unread("holds a date that can be read in two ways" if possible else "holds a day that no month has")
    return possible.pop()


def days(year: int, first: int, second: int, either: bool = True) -> Iterator[date]:
    """The days that month and day amount to, in the other order too."""
    for month, day in [(first, second), *([(second, first)] if either else [])]:
        with suppress(ValueError):
            yield date(year, month, day)


def clock_of(found: re.Match[str]) -> time:
    """The time of day of a match."""
    hour, half = int(found["hour"]), (found["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        raise Unread("holds a time of day that no clock shows")
    if half:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    try:
        return time(hour, int(found["minute"]), int(found["second"] or 0))
    except ValueError as error:
        raise Unread("holds a time of day that no clock shows") from error


def zone_of(found: re.Match[str]) -> tzinfo | None:
    """The offset that a match names, if it does."""
    if found["other"]:
        raise Unread("names a time zone that can't be read with certainty; an offset such as +02:00 can")
    zone = found["zone"]
    if zone is None:
        return None
    if zone[0] not in "+-":
        return UTC
    ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return timezone(-ahead if zone[0] == "-" else ahead)
