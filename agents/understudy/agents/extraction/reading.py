"""Words as a value of a kind, where that takes no guess."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any

from understudy.agents.extraction.dates import date_of, moment_of
from understudy.agents.extraction.kinds import Kind, KindName
from understudy.agents.extraction.numbers import Unread, number_of
from understudy.core.matching import contains_answer, denied, normalised

__all__ = ["Unread", "held", "read"]

POLAR = re.compile(r"\W*(yes|no|true|false)(?=\s*(?:$|[.,:!)—–]))", re.IGNORECASE)
EXCEPTED = re.compile(r"\b(?:except|excluding|other\s+than|unless|instead\s+of|rather\s+than)\b", re.IGNORECASE)
PARTS = re.compile(r"\s*(?:;|\n)\s*(?:[-•*]\s+)?")
LARGEST = 2**63
DIGITS = 38
"""Of a decimal number, before and after its point; what Parquet's readers can hold."""
PYTHON: Mapping[KindName, type] = {
    "text": str, "whole": int, "float": float, "decimal": Decimal, "bool": bool, "date": date, "datetime": datetime,
    "list": list,
}  # fmt: skip


def read(text: str, kind: Kind) -> Any:
    """The value that words say. Raises `Unread`: they don't, or not with certainty."""
    if kind.name == "choice":
        return choice_of(text, kind.options)
    if kind.name == "list":
        assert kind.of is not None
        return [read(part, kind.of) for part in PARTS.split(text.strip(" \n;-•*")) if part]
    return READERS[kind.name](text)


def whole_of(text: str) -> int:
    """The whole number in a text."""
    number = number_of(text)
    if number != int(number):
        raise Unread(f"holds {number:f}, which is no whole number")
    return int(number)


def truth_of(text: str) -> bool:
    """What a text begins by saying: yes or no."""
    said = {found[1].lower() in ("yes", "true") for part in text.split(";") if (found := POLAR.match(part))}
    if len(said) != 1:
        raise Unread("says both yes and no" if said else "says neither yes nor no")
    return said.pop()


def choice_of(text: str, options: tuple[Any, ...]) -> Any:
    """The one option that a text is, or else the one that it names and neither denies nor excepts."""
    forms = {option: forms_of(option) for option in options}
    exact = [option for option, known in forms.items() if normalised(text) in known]
    named = [option for option, known in forms.items() if contains_answer(text, known)]
    found = exact or ([] if denied(text) or EXCEPTED.search(text) else named)
    if len(found) != 1:
        raise Unread(f"names {len(found)} of the possible values" if found else "names none of the possible values")
    return found[0]


def forms_of(option: Any) -> set[str]:
    """How an option may be written."""
    if isinstance(option, Enum):
        return {normalised(str(option.value)), normalised(option.name.replace("_", " "))} - {""}
    return {normalised(str(option))} - {""}


def held(value: Any, kind: Kind) -> str | None:
    """Why a value can't be held in a column of its kind; `None` if it can. A schema's validators may give anything."""
    if kind.name == "list" and isinstance(value, list) and kind.of is not None:
        return next((why for item in value if (why := held(item, kind.of)) is not None), None)
    if kind.name == "choice":
        known = any(value in (option, getattr(option, "value", option)) for option in kind.options)
        return None if known else "is none of the possible values"
    if type(value) is not PYTHON[kind.name] and not (kind.name == "text" and isinstance(value, str)):
        return f"became {type(value).__name__} by the schema's own validators"
    if isinstance(value, float) and not isfinite(value):
        return "is no finite number"
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        return "is a number too large for 64 bits"
    if isinstance(value, Decimal) and not fits(value, kind.places):
        return f"is a number with more than {DIGITS - kind.places} digits before, or {kind.places} after the point"
    return None


def fits(value: Decimal, places: int) -> bool:
    """Whether a decimal number can be written with so many digits after the point, and none is lost."""
    if not value.is_finite():
        return False
    _, digits, exponent = value.normalize().as_tuple()
    assert isinstance(exponent, int)
    return -exponent <= places and len(digits) + exponent <= DIGITS - places


READERS: Mapping[KindName, Callable[[str], Any]] = {
    "text": str,
    "whole": whole_of,
    "float": lambda text: float(number_of(text)),
    "decimal": number_of,
    "bool": truth_of,
    "date": date_of,
    "datetime": moment_of,
}
