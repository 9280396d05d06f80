"""Comparison in a table: the column in which a row is highest or lowest, or the row that is so in a column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, Field

from understudy.core.errors import ToolError
from understudy.core.types import Observation, Passage
from understudy.tools.calculator import number_in
from understudy.tools.cells import Cell, cells_of, match, observed, words

__all__ = ["HIGH", "LOW", "CompareArguments", "as_asked", "compare"]

HIGH = re.compile(
    r"\b(?:high|larg|great|bigg|long|heavi|old|strong)(?:er|est)\b|\b(?:more|most|max|maximum|best|top|peak)\b",
    re.IGNORECASE,
)
LOW = re.compile(
    r"\b(?:low|small|few|cheap|short|light|weak)(?:er|est)\b|\b(?:less|least|min|minimum|worst)\b", re.IGNORECASE
)
DASHES = ("-", "–", "—")
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
GOOD_ENOUGH = 0.6
"""Least match of the asked label."""


class CompareArguments(BaseModel):
    """Arguments of the comparison."""

    label: Annotated[str, Field(min_length=1, max_length=1000)]
    """A row, to compare its columns, or a column, to compare its rows."""
    by: Annotated[str, Field(min_length=1, max_length=1000)]
    """Which end: "highest", "larger", "least" and the like."""


def compare(label: str, by: str, tables: Sequence[Passage], question: str = "") -> Observation:
    """The label of the highest or lowest cell. Raises `ToolError`.

    If the question names two or more of the labels that could be the answer, only those compete; else all but totals.
    """
    highest = direction(by)
    cells = [c for index, passage in enumerate(tables) for c in cells_of(index, passage)]
    if not cells:
        raise ToolError("none of these documents has a table")
    named = words(question)
    row = max(cells, key=lambda c: likeness(label, c.row, named))
    column = max(cells, key=lambda c: likeness(label, c.column, named))
    by_row, by_column = match(label, row.row), match(label, column.column)
    if max(by_row, by_column) < GOOD_ENOUGH:
        raise ToolError(f"no row or column {label!r}; nearest are {row.row!r} and {column.column!r}")
    if by_row >= by_column:
        same = [(c.column, c) for c in cells if (c.passage, c.line) == (row.passage, row.line)]
    else:
        table = {i for i, p in enumerate(tables) if same_table(p, tables[column.passage])}
        same = [(c.name, c) for c in cells if c.passage in table and c.column == column.column]
    rivals = competing(same, question)
    if len(rivals) < 2:
        raise ToolError(f"there is nothing to compare {label!r} with")
    name, best = (max if highest else min)(rivals, key=lambda rival: value_of(rival[1]))
    return observed(best, as_asked(name, question), max(by_row, by_column), tables)


def likeness(label: str, other: str, question: set[str]) -> tuple[float, bool, int]:
    """How well a label is the one that is meant: by its words, by being whole in the question, by having few more."""
    return match(label, other), words(other) <= question, -len(words(other))


def same_table(one: Passage, other: Passage) -> bool:
    """Whether two passages are slices of one table: their header stands above both."""
    return (one.document, one.context) == (other.document, other.context)


def value_of(cell: Cell) -> Decimal:
    """The number of a cell; a dash is nothing."""
    return number_in(cell.text) if re.search(r"\d", cell.text) else Decimal(0)


def direction(by: str) -> bool:
    """Whether the highest is asked for. Raises `ToolError`."""
    if LOW.search(by):
        return False
    if HIGH.search(by):
        return True
    raise ToolError(f"{by!r} doesn't say whether the highest or the lowest is meant")


def competing(labelled: Sequence[tuple[str, Cell]], question: str) -> list[tuple[str, Cell]]:
    """The cells with numbers that can win: of those that the question names, if it names two, else all but totals."""
    able = [(name, c) for name, c in labelled if name and (re.search(r"\d", c.text) or c.text in DASHES)]
    asked = words(question)
    named = [(name, c) for name, c in able if words(name) and words(name) <= asked]
    return named if len(named) >= 2 else [(name, c) for name, c in able if not total(name)]


def as_asked(name: str, question: str) -> str:
    """A label, or only its year when a year is asked for."""
    years = YEAR.findall(name)
    return years[0] if len(years) == 1 and words(question) & {"year", "fy"} else name


def total(name: str) -> bool:
    """Whether a label sums up others, or tells a change: no rival of theirs."""
    return bool(words(name) & {"total", "change", "variance", "increase", "decrease", "subtotal", "sum"})
