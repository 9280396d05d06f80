"""What a field of a schema may hold, by its annotation."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

__all__ = ["Kind", "KindName", "kind_of"]

KindName: TypeAlias = Literal["text", "whole", "float", "decimal", "bool", "date", "datetime", "choice", "list"]
PLAIN: dict[Any, KindName] = {
    str: "text", int: "whole", float: "float", Decimal: "decimal", bool: "bool", date: "date", datetime: "datetime",
}  # fmt: skip
KNOWN = (
    "str, int, float, Decimal, bool, date, datetime, Literal or Enum of one type, a list of these, and each with | None"
)
PLACES = 12
"""Digits after the point of a `Decimal` that doesn't say how many it has."""
NONE = type(None)


@dataclass(frozen=True)
class Kind:
    """What a field holds."""

    name: KindName
    nullable: bool = False
    options: tuple[Any, ...] = ()
    """Of a choice."""
    of: Kind | None = None
    """Of a list: its items."""
    places: int = PLACES


def kind_of(annotation: Any, metadata: tuple[Any, ...] = ()) -> Kind:
    """The kind of an annotation. Raises `TypeError`, with what it may be, where there is none for it."""
    annotation = getattr(annotation, "__value__", annotation)  # of `type Name = …`
    origin, inner = get_origin(annotation), get_args(annotation)
    places = next(iter(places_in(metadata)), PLACES)
    if origin is Annotated:
        return kind_of(inner[0], (*metadata, *inner[1:]))
    if origin in (Union, types.UnionType):
        (*others,) = (a for a in inner if a is not NONE)
        if len(others) == 1 and len(others) < len(inner):
            kind = kind_of(others[0], metadata)
            return Kind(kind.name, True, kind.options, kind.of, kind.places)
    elif origin is list and inner:
        kind = kind_of(inner[0])
        if kind.name != "list" and not kind.nullable:
            return Kind("list", of=kind)
    elif origin is Literal:
        options = tuple(option for option in inner if option is not None)
        if alike(options):
            return Kind("choice", None in inner, options)
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        if alike(tuple(option.value for option in annotation)):
            return Kind("choice", options=tuple(annotation))
    elif annotation in PLAIN:
        return Kind(PLAIN[annotation], places=places)
    raise TypeError(f"it may be {KNOWN}")


def alike(options: tuple[Any, ...]) -> bool:
    """Whether they are of one plain type, so that a column can hold them."""
    kinds = set(map(type, options))
    return len(kinds) == 1 and kinds <= {str, int, float, bool}


def places_in(metadata: tuple[Any, ...]) -> Iterator[int]:
    """The digits after the point that constraints allow; pydantic keeps them in `Field`s, and in a class of its own."""
    for item in metadata:
        places = getattr(item, "decimal_places", None)
        if isinstance(places, int):
            yield places
        yield from places_in(tuple(getattr(item, "metadata", ())))
