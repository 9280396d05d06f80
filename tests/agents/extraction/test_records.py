"""Records: values as the schema leaves them, nothing lost of what it refuses, and no row lost."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from understudy.agents.extraction.records import Extraction
from understudy.core.jobs import Query, Result
from understudy.core.types import Answer, Citation, Route


class Clauses(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    signed: date = Field(description="When was it signed?", alias="Signed on")
    months: int | None = Field(description="How long?", ge=1)
    rent: Decimal | None = Field(None, description="What is the rent?", decimal_places=2)
    law: str = Field("none", description="Which law?")
    pets: bool | None = Field(None, description="Are pets allowed?")

    @field_validator("law")
    @classmethod
    def known(cls, value: str) -> str:
        if value == "Mars":
            raise ValueError("there is no law on Mars")
        return value.upper()

    @field_validator("rent", mode="before")
    @classmethod
    def per_month(cls, value: Any) -> Any:
        return value.removesuffix(" a month").removeprefix("$") if isinstance(value, str) else value

    @model_validator(mode="after")
    def fits(self) -> Self:
        if self.months == 13:
            raise ValueError("13 is no number of months")
        if self.months == 14:
            raise KeyError("14")
        return self


def cited(kind: str = "quote") -> Citation:
    return Citation.model_validate(
        {
            "kind": kind,
            "document": "a.md",
            "title": "A",
            "location": "p. 1",
            "start": 0,
            "end": 3,
            "quote": "Ann",
            "score": 1.0,
        }
    )


def answer(text: str, route: Route = "local", kind: str = "quote") -> Answer:
    return Answer(question="?", text=text, route=route, reason="", confidence=0.9, thread="t", citations=(cited(kind),))


WHOLE = {"signed": answer("12 March 2021"), "months": answer("twelve (12) months"), "law": answer("Oslo")}


def test_values_come_with_what_they_rest_on() -> None:
    record = Extraction(Clauses).record("a.md", {**WHOLE, "rent": answer("$1250.00 a month"), "pets": answer("No.")})
    assert record.error is None
    assert record.value == Clauses.model_validate(
        {"Signed on": date(2021, 3, 12), "months": 12, "rent": "1250.00", "law": "Oslo", "pets": False}
    )
    assert {name: one.value for name, one in record.fields.items()} == {
        "signed": date(2021, 3, 12), "months": 12, "rent": Decimal("1250.00"), "law": "OSLO", "pets": False,
    }  # fmt: skip
    signed = record.fields["signed"]
    assert (signed.text, signed.confidence, signed.route) == ("12 March 2021", 0.9, "local")
    assert signed.citations == (cited(),)


def test_what_is_not_there_is_null_without_error() -> None:
    gone = answer("I could not find an answer to this.", "declined", "absence")
    said = {**WHOLE, "months": gone, "law": answer("The document doesn't say.", "expert", "absence")}
    record = Extraction(Clauses).record("a.md", {**said, "rent": gone, "pets": answer("No", "local", "absence")})
    found = {name: (one.value, one.error) for name, one in record.fields.items()}
    assert found == {"signed": (date(2021, 3, 12), None), "months": (None, None), "law": (None, None),
                     "rent": (None, None), "pets": (False, None)}  # fmt: skip
    assert record.value is not None
    assert record.value.law == "none", "the model has its default"
    silent = Extraction(Clauses).record("a.md", {"pets": answer("It doesn't say.", "expert", "absence")}).fields["pets"]
    assert (silent.value, silent.error) == (None, None)
    assert record.fields["months"].text is None
    assert record.fields["law"].text == "The document doesn't say."


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("months", "a while", "holds no number"),
        ("months", "0", "input should be greater than or equal to 1"),
        ("law", "Mars", "there is no law on Mars"),
        ("rent", "1.255", "decimal input should have no more than 2 decimal places"),
        ("rent", "much", "input should be a valid decimal"),
    ],
)
def test_what_is_refused_is_null_with_its_words_and_the_rest_stays(name: str, text: str, error: str) -> None:
    record = Extraction(Clauses).record("a.md", {**WHOLE, name: answer(text)})
    one = record.fields[name]
    assert (one.value, one.text) == (None, text)
    assert one.error is not None
    assert one.error.startswith(error)
    assert record.value is not None, "it isn't required"
    assert record.fields["signed"].value == date(2021, 3, 12)


def test_a_required_field_without_a_value_loses_no_row() -> None:
    for signed in (answer("soon"), "the budget is spent", None):
        said = {**WHOLE, "signed": signed} if signed is not None else {"months": WHOLE["months"], "law": WHOLE["law"]}
        record = Extraction(Clauses).record("a.md", said)  # type: ignore[arg-type]
        assert (record.value, record.error) == (None, "signed: is required, and has no value")
        assert record.fields["signed"].error is not None
        assert (record.fields["months"].value, record.fields["law"].value) == (12, "OSLO")


@pytest.mark.parametrize(
    ("months", "error"),
    [("13 months", "13 is no number of months"), ("14 months", "its validators raised KeyError: '14'")],
)
def test_what_a_schema_says_of_the_whole_leaves_the_values(months: str, error: str) -> None:
    record = Extraction(Clauses).record("a.md", {**WHOLE, "months": answer(months)})
    assert (record.value, record.error) == (None, error)
    assert record.fields["law"].value == "OSLO"
    assert record.fields["months"].error is None


class Odd(BaseModel):
    number: int = Field(description="?")

    @field_validator("number")
    @classmethod
    def odd(cls, value: int) -> Any:
        return {5: 2**70, 6: "six"}.get(value, value)


@pytest.mark.parametrize(("text", "why"), [("5", "too large for 64 bits"), ("6", "became str")])
def test_what_no_column_can_hold_is_null(text: str, why: str) -> None:
    one = Extraction(Odd).record("a.md", {"number": answer(text)}).fields["number"]
    assert (one.value, one.text) == (None, text)
    assert why in str(one.error)


def test_results_of_a_document_are_one_record() -> None:
    asked = [Query(question="?", document=d, id=f) for d in ("b.md", "a.md") for f in ("signed", "months")]
    results = [
        Result(number=0, query=asked[0], answer=WHOLE["signed"]),
        Result(number=1, query=asked[1], error="the budget is spent"),
        Result(number=2, query=asked[2]),
    ]
    first, second = Extraction(Clauses).records(results)
    assert (first.document, first.fields["months"].error) == ("b.md", "the budget is spent")
    assert first.fields["law"].error == "rested on a document that was erased; the same command asks it again"
    assert (second.document, second.fields["signed"].error) == ("a.md", "was not asked yet")
