"""A pydantic model as questions: each field asks its description of every document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo
from pydantic.functional_validators import BeforeValidator, PlainValidator, WrapValidator

from understudy.agents.asked import question_of
from understudy.agents.extraction.kinds import Kind, kind_of
from understudy.core.errors import QuestionError, UserError
from understudy.core.jobs import Query

__all__ = ["Field", "columns_of", "fields_of", "queries_of"]

BESIDE = ("text", "error", "confidence", "route", "citations")
"""What stands beside every value, in columns that end so."""


@dataclass(frozen=True)
class Field:
    """A field of a schema."""

    name: str
    question: str
    kind: Kind
    required: bool
    reads_itself: bool
    """Its own validator comes first, and gets the words as they were found."""


def fields_of(schema: type[BaseModel]) -> list[Field]:
    """The fields of a schema, in order. Raises `UserError`: one asks nothing, or holds what can't be extracted."""
    if issubclass(schema, RootModel) or not schema.model_fields:
        raise UserError(f"{schema.__name__} has no fields; give it some, each with a description that asks for it")
    reading = set(self_reading(schema))
    found = [
        field_of(f"{schema.__name__}.{name}", name, info, name in reading or "*" in reading)
        for name, info in schema.model_fields.items()
    ]
    columns = columns_of(found)
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{schema.__name__} would have two columns {twice!r}; give the field another name")
    return found


def field_of(path: str, name: str, info: FieldInfo, reads_itself: bool) -> Field:
    """A field with its question. Raises `UserError`."""
    if not (info.description or "").strip():
        raise UserError(f'{path} has no description; say what to ask for it: Field(description="What is …?")')
    try:
        question = question_of(" ".join(str(info.description).split()))
    except QuestionError as error:
        raise UserError(f"{path}: {error}") from error
    try:
        kind = kind_of(info.annotation, tuple(info.metadata))
    except TypeError as error:
        what = "holds another model" if nested(info.annotation) else f"is {shown(info.annotation)}"
        raise UserError(f"{path} {what}, which can't be extracted; {error}") from error
    first = any(isinstance(m, BeforeValidator | PlainValidator | WrapValidator) for m in info.metadata)
    return Field(name, question, kind, info.is_required(), reads_itself or first)


def nested(annotation: object) -> bool:
    """Whether it is a model, or holds one."""
    inner = getattr(annotation, "__args__", ())
    return (isinstance(annotation, type) and issubclass(annotation, BaseModel)) or any(map(nested, inner))


def shown(annotation: object) -> str:
    """An annotation as people write it."""
    return annotation.__name__ if type(annotation) is type else str(annotation).replace("typing.", "")


def self_reading(schema: type[BaseModel]) -> Iterator[str]:
    """The fields that validators of the class take before pydantic does."""
    for validator in schema.__pydantic_decorators__.field_validators.values():
        if validator.info.mode != "after":
            yield from validator.info.fields


def columns_of(fields: Sequence[Field]) -> list[str]:
    """The columns of a table of records."""
    return ["document", *(c for f in fields for c in (f.name, *(f"{f.name}_{what}" for what in BESIDE))), "error"]


def queries_of(fields: Sequence[Field], documents: Sequence[str]) -> list[Query]:
    """Every field's question of every document; a query's id is its field."""
    return [Query(question=f.question, document=document, id=f.name) for document in documents for f in fields]
