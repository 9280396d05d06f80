"""A row a document: a column for every field of a schema, and beside it what its value rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel

from understudy.agents.extraction.kinds import Kind
from understudy.agents.extraction.records import Extracted, Extraction, Record
from understudy.agents.extraction.schema import columns_of
from understudy.core.jobs import Result

__all__ = ["FATES", "Records"]

DIGITS = 38
FATES = ("found", "not there", "unread", "failed")
"""What may become of a field: a value, none in the document, words that are no value, no answer."""


class Records:
    """The layout of records.

    Args:
        extraction: whose records.
    """

    as_json = ()

    def __init__(self, extraction: Extraction[BaseModel]) -> None:
        self._extraction = extraction
        self.columns = columns_of(extraction.fields)

    def rows(self, results: Iterable[Result]) -> Iterator[Mapping[str, Any]]:
        """The rows, in the order of the documents."""
        return map(row_of, self._extraction.records(results))

    def parquet(self, arrow: Any) -> Any:
        """Every value in its own type."""
        from understudy.apps.batch.parquet import citation_type

        text = arrow.string()
        beside = {"confidence": arrow.float64(), "citations": arrow.list_(citation_type(arrow))}
        kinds = {f"{f.name}_{what}": kind for f in self._extraction.fields for what, kind in beside.items()}
        kinds |= {field.name: type_of(field.kind, arrow) for field in self._extraction.fields}
        return arrow.schema([(name, kinds.get(name, text)) for name in self.columns])

    def counts(self, results: Iterable[Result]) -> dict[str, Counter[str]]:
        """What became of every field, by `FATES`."""
        counts = {field.name: Counter[str]() for field in self._extraction.fields}
        for record in self._extraction.records(results):
            for name, one in record.fields.items():
                counts[name][fate_of(one)] += 1
        return counts


def row_of(record: Record[BaseModel]) -> dict[str, Any]:
    """A record as one row."""
    row: dict[str, Any] = {"document": record.document}
    for name, one in record.fields.items():
        row[name] = bare(one.value)
        row |= {f"{name}_{what}": getattr(one, what) for what in ("text", "error", "confidence", "route")}
        row[f"{name}_citations"] = [c.model_dump(mode="json") for c in one.citations]
    return row | {"error": record.error}


def bare(value: Any) -> Any:
    """A value without what only Python knows of it."""
    if isinstance(value, list):
        return list(map(bare, value))
    return value.value if isinstance(value, Enum) else value


def fate_of(one: Extracted) -> str:
    """What became of one field of one document: one of `FATES`."""
    if one.error is not None:
        return "unread" if one.text is not None else "failed"
    return "found" if one.value is not None else "not there"


def type_of(kind: Kind, arrow: Any) -> Any:
    """The Parquet type of a kind; a choice has that of its options."""
    if kind.name == "list" and kind.of is not None:
        return arrow.list_(type_of(kind.of, arrow))
    if kind.name == "choice":
        plain = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
        return plain[type(bare(kind.options[0]))]
    return {
        "text": arrow.string(),
        "whole": arrow.int64(),
        "float": arrow.float64(),
        "decimal": arrow.decimal128(DIGITS, kind.places),
        "bool": arrow.bool_(),
        "date": arrow.date32(),
        "datetime": arrow.timestamp("us"),
    }[kind.name]
