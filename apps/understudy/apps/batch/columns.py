"""The columns of results: what was asked, every field of its answer, and why there is none."""

from __future__ import annotations

from typing import Any

from understudy.core.jobs import Result
from understudy.core.types import Answer

__all__ = ["COLUMNS", "row_of"]

ASKED = ("id", "question", "document", "answers")
COLUMNS = (*ASKED, *(name for name in Answer.model_fields if name != "question"), "error")


def row_of(result: Result) -> dict[str, Any]:
    """A question with its answer, as plain data."""
    query = result.query
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    if result.answer is not None:
        row |= result.answer.model_dump(mode="json")
    row |= {"id": query.id, "question": query.question, "document": query.document, "answers": list(query.answers)}
    return row | {"error": result.error}
