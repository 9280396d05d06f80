"""What a row of results holds: what was asked, every field of its answer, and why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from understudy.core.jobs import Result
from understudy.core.types import Answer

__all__ = ["COLUMNS", "Answers", "Layout"]

ASKED = ("id", "question", "document", "answers")
COLUMNS = (*ASKED, *(name for name in Answer.model_fields if name != "question"), "error")


class Layout(Protocol):
    """What becomes of a job's results in a file."""

    @property
    def columns(self) -> Sequence[str]:
        """Their names, in order."""
        ...

    @property
    def as_json(self) -> Sequence[str]:
        """Those that are JSON text in Parquet."""
        ...

    def rows(self, results: Iterable[Result]) -> Iterator[Mapping[str, Any]]:
        """The rows, with a value for every column."""
        ...

    def parquet(self, arrow: Any) -> Any:
        """The columns as Parquet has them."""
        ...

    def counts(self, results: Iterable[Result]) -> Mapping[str, Mapping[str, int]]:
        """What became of every field of a schema; none where there is no schema."""
        ...


class Answers:
    """A row a question."""

    columns = COLUMNS
    as_json = ("steps",)

    def rows(self, results: Iterable[Result]) -> Iterator[Mapping[str, Any]]:
        """Questions with their answers, as plain data."""
        return map(row_of, results)

    def parquet(self, arrow: Any) -> Any:
        """With structures; steps have none, since each kind has fields of its own."""
        from understudy.apps.batch.parquet import citation_type

        text, number, whole = arrow.string(), arrow.float64(), arrow.int64()
        side = arrow.struct([(name, whole) for name in ("evaluated", "reused", "forced", "generated")])
        expert = arrow.struct([("input", whole), ("output", whole)])
        kinds = {
            "version": whole,
            "confidence": number,
            "cost_usd": number,
            "latency_s": number,
            "answers": arrow.list_(text),
            "citations": arrow.list_(citation_type(arrow)),
            "tokens": arrow.struct([("small", side), ("expert", expert)]),
        }
        return arrow.schema([(name, kinds.get(name, text)) for name in COLUMNS])

    def counts(self, _results: Iterable[Result]) -> Mapping[str, Mapping[str, int]]:
        """None: there is no schema."""
        return {}


def row_of(result: Result) -> dict[str, Any]:
    """A question with its answer, as plain data."""
    query = result.query
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    if result.answer is not None:
        row |= result.answer.model_dump(mode="json")
    row |= {"id": query.id, "question": query.question, "document": query.document, "answers": list(query.answers)}
    return row | {"error": result.error}
