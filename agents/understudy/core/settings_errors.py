"""What is wrong with settings, in one plain line that names the table, the key and what it should be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from understudy.core.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["settings_error"]

SHOULD: Mapping[str, str] = {
    "missing": "it is missing",
    "value_error": "{error}",
    "model_type": "it should be a table",
    "dict_type": "it should be a table",
    "tuple_type": "it should be a list",
    "string_type": "it should be a text",
    "path_type": "it should be a path",
    "string_too_short": "it should not be empty",
    "string_pattern_mismatch": "it should match {pattern}",
    "bool_type": "it should be true or false",
    "bool_parsing": "it should be true or false",
    "int_type": "it should be a whole number",
    "int_parsing": "it should be a whole number",
    "int_from_float": "it should be a whole number",
    "float_type": "it should be a number",
    "float_parsing": "it should be a number",
    "greater_than": "it should be more than {gt:g}",
    "greater_than_equal": "it should be {ge:g} or more",
    "less_than": "it should be less than {lt:g}",
    "less_than_equal": "it should be {le:g} or less",
    "literal_error": "it should be {expected}",
}
"""By pydantic's name for what is wrong, in our words."""


def settings_error(model: type[BaseModel], error: ValidationError, where: str) -> SettingsError:
    """The first thing that is wrong.

    Args:
        model: of all settings.
        error: what pydantic found.
        where: the file, or what else the settings came from.
    """
    first = error.errors()[0]
    path = [part for part in first["loc"] if part != "[key]"]
    place = ".".join(str(part) for part in path)
    if first["type"] == "extra_forbidden":
        known = known_keys(model, path[:-1])
        nearest = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.0)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        return SettingsError(f"{where}: unknown key {place!r}{hint}")
    # A URL of examples may hold a password; what is missing, or wrong as a whole, is no value to show.
    secret = path[:1] == ["examples"] or isinstance(first["input"], dict | list | tuple)
    given = "" if secret or first["type"] == "missing" else f", not {first['input']!r}"
    return SettingsError(f"{where}: {place}: {plain(first)}{given}")


def plain(wrong: ErrorDetails) -> str:
    """What pydantic says is wrong, in our words, on one line."""
    said = SHOULD.get(wrong["type"])
    if said is None:
        return " ".join(wrong["msg"].split())
    return " ".join(said.format(**wrong.get("ctx", {})).split())


def known_keys(model: type[BaseModel], path: Iterable[int | str]) -> list[str]:
    """The keys allowed in the table at `path` of a settings model."""
    for part in path:
        if isinstance(part, int) or (isinstance(part, str) and part not in model.model_fields):
            continue
        model = table_type(model.model_fields[str(part)].annotation) or model
    return list(model.model_fields)


def table_type(annotation: Any) -> type[BaseModel] | None:
    """The settings model inside an annotation such as `tuple[ExpertSettings, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((t for t in map(table_type, get_args(annotation)) if t is not None), None)
