"""What was found of a document, by the fields of a schema: typed values, each with what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError, ValidationInfo, create_model, field_validator
from pydantic_core import ErrorDetails

from understudy.agents.extraction.reading import Unread, held, read
from understudy.agents.extraction.schema import Field, fields_of
from understudy.core.jobs import Result
from understudy.core.types import Answer, Citation, Route

__all__ = ["Extracted", "Extraction", "Record"]

M = TypeVar("M", bound=BaseModel)
VALID: ContextVar[dict[str, Any]] = ContextVar("valid")
"""The fields that were valid when a whole record was not."""


@dataclass(frozen=True)
class Extracted:
    """What was found for one field of a document."""

    value: Any = None
    """As the schema has it; `None` where nothing was found, or `error` says why."""
    text: str | None = None
    """The answer's words; `None` where nothing was answered."""
    error: str | None = None
    """Why the words are no value, or why there are none. That a document doesn't say is no error."""
    confidence: float | None = None
    route: Route | None = None
    citations: tuple[Citation, ...] = ()
    """What the words rest on, or what was searched."""


@dataclass(frozen=True)
class Record(Generic[M]):
    """What was found of one document."""

    document: str
    value: M | None
    """The model, where all of it is valid; fields that weren't found have their defaults."""
    fields: Mapping[str, Extracted]
    error: str | None = None
    """Why there is no model: what is missing, or what its own validators say of the whole."""


class Extraction(Generic[M]):
    """Turns answers into records of a schema.

    Args:
        schema: a pydantic model whose fields' descriptions are questions.

    Raises:
        UserError: one asks nothing, or holds what can't be extracted.
    """

    def __init__(self, schema: type[M]) -> None:
        self.schema = schema
        self.fields = fields_of(schema)

    def records(self, results: Iterable[Result]) -> Iterator[Record[M]]:
        """The records of documents whose questions stand together, in their order; a query's id is its field."""
        for document, group in groupby(results, key=lambda result: result.query.document):
            outcomes = {r.query.id or "": r.answer or r.error or "was not asked yet" for r in group}
            yield self.record(document or "", outcomes)

    def record(self, document: str, outcomes: Mapping[str, Answer | str]) -> Record[M]:
        """The record of a document, by what became of each field's question: an answer, or the line of an error."""
        found = {field.name: extracted(field, outcomes.get(field.name)) for field in self.fields}
        given = {f.name: found[f.name].value for f in self.fields if self.is_given(f, found[f.name])}
        while True:
            value, whole, wrong = self.validated(given)
            if not wrong:
                break
            for name, why in wrong.items():
                found[name] = replace(found[name], value=None, error=why)
                given = {n: v for n, v in given.items() if n != name}
                if self.is_given(self.field(name), found[name]):
                    given[name] = None
        return self.settled(document, found, given, value, whole)

    def is_given(self, field: Field, one: Extracted) -> bool:
        """Whether pydantic gets a value: what was found, or `None` where that is allowed and must be said."""
        return one.value is not None or (field.required and field.kind.nullable)

    def field(self, name: str) -> Field:
        """A field by its name."""
        return next(field for field in self.fields if field.name == name)

    def validated(self, given: Mapping[str, Any]) -> tuple[M | None, str | None, dict[str, str]]:
        """The model, or what is wrong with the whole, or with values that were given."""
        try:
            return called(lambda: self.schema.model_validate(dict(given), by_alias=False, by_name=True)), None, {}
        except ValidationError as error:
            said = [(str(e["loc"][0]) if e["loc"] else "", message_of(e)) for e in error.errors(include_url=False)]
        except Unread as error:
            said = [("", str(error))]
        wrong = {name: why for name, why in said if given.get(name) is not None}
        if wrong:
            return None, None, wrong
        return None, "; ".join(f"{name}: {why}" if name else why for name, why in said), {}

    def settled(
        self, document: str, found: dict[str, Extracted], given: Mapping[str, Any], value: M | None, whole: str | None
    ) -> Record[M]:
        """The record with every value as the schema's validators left it."""
        valid = self.valid(given) if value is None else {name: getattr(value, name) for name in given}
        fields = {}
        for field in self.fields:
            one, left = found[field.name], valid.get(field.name)
            why = None if left is None else held(left, field.kind)
            fields[field.name] = replace(one, value=left if why is None else None, error=one.error or why)
        return Record(document, value, fields, whole)

    def valid(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a record that is not valid as a whole, as far as each is by itself."""
        noted: dict[str, Any] = {}
        token = VALID.set(noted)
        try:
            called(lambda: self._noting.model_validate(dict(given), by_alias=False, by_name=True))
        except (ValidationError, Unread):
            pass
        finally:
            VALID.reset(token)
        return {name: value for name, value in noted.items() if name in given}

    @cached_property
    def _noting(self) -> type[BaseModel]:
        """The schema, noting in `VALID` what is valid."""
        validators: dict[str, Callable[..., Any]] = {"_noting": field_validator("*", mode="wrap")(noting)}
        return create_model(self.schema.__name__, __base__=self.schema, __validators__=validators)


def noting(value: Any, inner: Callable[[Any], Any], info: ValidationInfo) -> Any:
    """Note a field that is valid."""
    valid = inner(value)
    if info.field_name is not None:
        VALID.get()[info.field_name] = valid
    return valid


def extracted(field: Field, outcome: Answer | str | None) -> Extracted:
    """What an answer says of a field, before the schema's own validators."""
    if outcome is None:
        return Extracted(error="rested on a document that was erased; the same command asks it again")
    if isinstance(outcome, str):
        return Extracted(error=outcome)
    found = Extracted(confidence=outcome.confidence, route=outcome.route, citations=outcome.citations)
    if outcome.route == "declined" or not outcome.text.strip():
        return found
    found = replace(found, text=outcome.text)
    absent = bool(outcome.citations) and all(c.kind == "absence" for c in outcome.citations)
    if absent and field.kind.name != "bool":
        return found  # that it isn't there
    if field.reads_itself:
        return replace(found, value=outcome.text)
    try:
        return replace(found, value=read(outcome.text, field.kind))
    except Unread as error:
        return found if absent else replace(found, error=str(error))


def called(work: Callable[[], M]) -> M:
    """A schema's validation. Whatever else its own validators raise is `Unread`: one record must not end a job."""
    try:
        return work()
    except ValidationError:
        raise
    except Exception as error:
        raise Unread(f"its validators raised {type(error).__name__}: {error}") from error


def message_of(error: ErrorDetails) -> str:
    """What pydantic says, in one line of our style."""
    if error["type"] == "missing":
        return "is required, and has no value"
    line = " ".join(error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").split())
    return line[:1].lower() + line[1:] if line[1:2].islower() else line
