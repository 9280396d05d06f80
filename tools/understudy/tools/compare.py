"""Comparison in a table: the column in which a row is highest or lowest, or the row that is so in a column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from understudy.core.errors import ToolError
from understudy.core.types import Finding, Observation, Passage
from understudy.tools.calculator import number_in
from understudy.tools.cells import Cell, cells_of, match, words

__all__ = ["CompareArguments", "compare"]

HIGH = re.compile(
    r"\b(?:high|larg|great|bigg|long|heavi|old|strong)(?:er|est)\b|\b(?:more|most|max|maximum|best|top|peak)\b",
    re.IGNORECASE,
)
LOW = re.compile(
    r"\b(?:low|small|few|cheap|short|light|weak)(?:er|est)\b|\b(?:less|least|min|minimum|worst)\b", re.IGNORECASE
)
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
GOOD_ENOUGH = 0.6
"""Least match of the asked label."""


class CompareArguments(BaseModel):
    """Arguments of the comparison."""

    label: Annotated[str, Field(min_length=1, max_length=120)]
    """A row, to compare its columns, or a column, to compare its rows."""
    by: Annotated[str, Field(min_length=1, max_length=40)]
    """Which end: "highest", "larger", "least" and the like."""


def compare(label: str, by: str, tables: Sequence[Passage], question: str = "") -> Observation:
    """The label of the highest or lowest cell. Raises `ToolError`.

    If the question names two or more of the labels that could be the answer, only those compete; totals never do.
    """
    highest = direction(by)
    cells = [c for index, passage in enumerate(tables) for c in cells_of(index, passage)]
    if not cells:
        raise ToolError("none of these documents has a table")
    by_row, row = max((match(label, c.row), c.row) for c in cells)
    by_column, column = max((match(label, c.column), c.column) for c in cells)
    if max(by_row, by_column) < GOOD_ENOUGH:
        raise ToolError(f"no row or column {label!r}; nearest are {row!r} and {column!r}")
    along = by_row >= by_column
    line = next(c for c in cells if (c.row == row if along else c.column == column))
    table = [c for c in cells if c.passage == line.passage]
    if along:
        rivals = competing([(c.column, c) for c in table if c.line == line.line], question)
    else:
        rivals = competing([(c.name, c) for c in table if c.column == column], question)
    if len(rivals) < 2:
        raise ToolError(f"there is nothing to compare {label!r} with")
    name, best = (max if highest else min)(rivals, key=lambda rival: number_in(rival[1].text))
    chosen = Finding(
        text=as_asked(name, question), score=round(max(by_row, by_column), 4), origin="table", passage=0,
        start=best.start, end=best.end, quote_start=best.line[0], quote_end=best.line[1],
    )  # fmt: skip
    return Observation(
        text=f"{best.row}, {best.column}: {best.text}", passages=(tables[best.passage],), findings=(chosen,)
    )


def direction(by: str) -> bool:
    """Whether the highest is asked for. Raises `ToolError`."""
    if LOW.search(by):
        return False
    if HIGH.search(by):
        return True
    raise ToolError(f"{by!r} doesn't say whether the highest or the lowest is meant")


def competing(labelled: Sequence[tuple[str, Cell]], question: str) -> list[tuple[str, Cell]]:
    """The cells with numbers that can win: of those that the question names, if it names two, else of all."""
    able = [(name, c) for name, c in labelled if name and re.search(r"\d", c.text) and not total(name)]
    asked = words(question)
    named = [(name, c) for name, c in able if words(name) and words(name) <= asked]
    return named if len(named) >= 2 else able


def as_asked(name: str, question: str) -> str:
    """A label, or only its year when a year is asked for."""
    years = YEAR.findall(name)
    return years[0] if len(years) == 1 and words(question) & {"year", "fy"} else name


def total(name: str) -> bool:
    """Whether a label sums up others, or tells a change: no rival of theirs."""
    return bool(words(name) & {"total", "change", "variance", "increase", "decrease", "subtotal", "sum"})
