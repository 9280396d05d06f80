"""A schema's fields as questions, and what is no schema."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, create_model, field_validator

from understudy.agents.extraction.schema import columns_of, fields_of, queries_of
from understudy.core.errors import UserError
from understudy.core.jobs import Query


class Clauses(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    signed: date = Field(description="When was it signed?", alias="Signed on", title="The day")
    term: int | None = None
    """How many months
    does it run?"""
    own: Annotated[str, BeforeValidator(str.upper)] = Field(description="Own?")
    shouted: str = Field(description="Shouted?")

    @field_validator("shouted", mode="before")
    @classmethod
    def shout(cls, value: Any) -> Any:
        return value


def test_descriptions_are_questions_and_names_are_columns() -> None:
    fields = fields_of(Clauses)
    assert [(f.name, f.question, f.required, f.reads_itself) for f in fields] == [
        ("signed", "When was it signed?", True, False),
        ("term", "How many months does it run?", False, False),
        ("own", "Own?", True, True),
        ("shouted", "Shouted?", True, True),
    ]
    assert columns_of(fields)[:7] == [
        "document", "signed", "signed_text", "signed_error", "signed_confidence", "signed_route", "signed_citations",
    ]  # fmt: skip
    assert columns_of(fields)[-1] == "error"
    assert queries_of(fields[:2], ["a.md", "b.md"]) == [
        Query(question=f.question, document=document, id=f.name) for document in ("a.md", "b.md") for f in fields[:2]
    ]


class Inner(BaseModel):
    x: int = Field(description="X?")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"term": (int, ...)}, r"S\.term has no description; say what to ask for it"),
        ({"term": (int, Field(description=" \n"))}, r"S\.term has no description"),
        ({"term": (int, Field(description="a\0b"))}, r"S\.term: the question holds null bytes"),
        ({"party": (Inner, Field(description="Who?"))}, r"S\.party holds another model.*; it may be str, int"),
        ({"party": (list[Inner], Field(description="Who?"))}, r"S\.party holds another model"),
        ({"party": (bytes, Field(description="Who?"))}, r"S\.party is bytes, which can't be extracted"),
        ({n: (str, Field(description="?")) for n in ("a", "a_text")}, r"two columns 'a_text'"),
        ({"document": (str, Field(description="?"))}, r"two columns 'document'"),
        ({}, "S has no fields"),
    ],
)
def test_what_is_no_schema_is_one_line(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=why) as error:
        fields_of(create_model("S", **fields))
    assert "\n" not in str(error.value)


def test_a_root_model_has_no_fields() -> None:
    with pytest.raises(UserError, match="has no fields"):
        fields_of(RootModel[int])


class Reads(BaseModel):
    a: int = Field(description="A?")
    b: int = Field(description="B?")

    @field_validator("*", mode="before")
    @classmethod
    def read(cls, value: Any) -> Any:
        return len(value)


def test_a_validator_of_all_fields_reads_them_all() -> None:
    assert [field.reads_itself for field in fields_of(Reads)] == [True, True]
