"""Table look-up: a row and a column, as people name them, to a cell with its place in the document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from understudy.core.errors import ToolError
from understudy.core.types import Observation, Passage
from understudy.tools.cells import Cell, cells_of, match, observed, words

__all__ = ["LookupArguments", "lookup"]

GOOD_ENOUGH = 0.6
"""Least product of row and column match at which a cell is taken: one word of two in common is another row."""


class LookupArguments(BaseModel):
    """Arguments of the table look-up."""

    row: Annotated[str, Field(min_length=1, max_length=1000)]
    column: Annotated[str, Field(min_length=1, max_length=1000)]


def lookup(row: str, column: str, tables: Sequence[Passage], question: str = "") -> Observation:
    """The best matching cell of some table passages. Raises `ToolError` naming the nearest labels.

    A cell's score is the product of two Dice overlaps of words: the asked row with the row's label, the asked column
    with the column's header lines; a year or other number that was asked for must be there. The question decides
    between rows that hold what was asked: of "Audit fees" and "Total fees", the one whose words it has.
    """
    cells = [c for index, passage in enumerate(tables) for c in cells_of(index, passage)]
    if not cells:
        raise ToolError("none of these documents has a table")
    named = words(question)
    scored = [(cell_score(row, column, c, named), -i, c) for i, c in enumerate(cells)]
    score, _, best = max(scored)
    if score < GOOD_ENOUGH or not best.text:
        near_row = max((c.row for c in cells), key=lambda label: match(row, label))
        near_column = max((c.column for c in cells), key=lambda label: match(column, label))
        raise ToolError(f"no cell at row {row!r}, column {column!r}; nearest are {near_row!r} and {near_column!r}")
    return observed(best, best.text, score, tables)


def cell_score(row: str, column: str, cell: Cell, question: set[str]) -> float:
    """How well a cell's labels match what was asked: each by itself, or, for less, both found in all words asked.

    A small model may cut a label at the wrong word ("Operating profit in 2023?", or "fees" of "total fees"); the words
    are still there, or in the question.
    """
    strict = match(row, cell.row) * match(column, cell.column)
    asked, row_label, column_label = words(f"{row} {column}"), words(cell.row), words(cell.column)
    if not row_label or not column_label:
        return strict
    for label in (row_label, words(cell.name)):
        if words(row) < label <= question:
            strict = max(strict, (1 + 0.01 * len(label)) * match(column, cell.column))
    if not (row_label <= asked and column_label & asked):
        return strict
    return max(strict, 0.8 * len(column_label & asked) / len(column_label))
