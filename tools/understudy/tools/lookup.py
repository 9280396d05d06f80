"""Table look-up: a row and a column, as people name them, to a cell with its place in the document."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field

from understudy.core.errors import ToolError
from understudy.core.types import Finding, Observation, Passage

__all__ = ["LookupArguments", "lookup"]

WORD = re.compile(r"[^\W_]+")
RULE = re.compile(r"[|\s:-]+")
GOOD_ENOUGH = 0.6
"""Least product of row and column match at which a cell is taken: one word of two in common is another row."""


class LookupArguments(BaseModel):
    """Arguments of the table look-up."""

    row: Annotated[str, Field(min_length=1, max_length=120)]
    column: Annotated[str, Field(min_length=1, max_length=120)]


@dataclass(frozen=True)
class Cell:
    """A cell, its labels and where it stands (document offsets)."""

    passage: int
    row: str
    column: str
    text: str
    start: int
    end: int
    line: tuple[int, int]


def lookup(row: str, column: str, tables: Sequence[Passage]) -> Observation:
    """The best matching cell of some table passages. Raises `ToolError` naming the nearest labels.

    A cell's score is the product of two Dice overlaps of words: the asked row with the row's label, the asked column
    with the column's header lines; a year or other number that was asked for must be there.
    """
    cells = [c for index, passage in enumerate(tables) for c in cells_of(index, passage)]
    if not cells:
        raise ToolError("none of these documents has a table")
    scored = [(cell_score(row, column, c), -i, c) for i, c in enumerate(cells)]
    score, _, best = max(scored)
    if score < GOOD_ENOUGH or not best.text:
        near_row = max((c.row for c in cells), key=lambda label: match(row, label))
        near_column = max((c.column for c in cells), key=lambda label: match(column, label))
        raise ToolError(f"no cell at row {row!r}, column {column!r}; nearest are {near_row!r} and {near_column!r}")
    chosen = Finding(
        text=best.text, score=round(score, 4), origin="table", passage=0, start=best.start, end=best.end,
        quote_start=best.line[0], quote_end=best.line[1],
    )  # fmt: skip
    return Observation(
        text=f"{best.row}, {best.column}: {best.text}", passages=(tables[best.passage],), findings=(chosen,)
    )


def split(line: str) -> list[tuple[int, int]]:
    """Where the stripped cells of a row stand in its line."""
    found = []
    at = line.index("|") + 1
    while (end := line.find("|", at)) >= 0:
        raw = line[at:end]
        start = at + len(raw) - len(raw.lstrip())
        found.append((start, start + len(raw.strip())))
        at = end + 1
    return found


def cells_of(index: int, passage: Passage) -> list[Cell]:
    """All cells of a table passage under its header rows (in its context, or at its top)."""
    header = [line for line in passage.context.split("\n") if line.lstrip().startswith("|")]
    lines: list[tuple[int, str]] = []
    at = passage.start
    for line in passage.text.split("\n"):
        if "|" in line:
            lines.append((at, line))
        at += len(line) + 1
    own_header = 0
    if not header:
        rule = next((i for i, (_, line) in enumerate(lines[:4]) if RULE.fullmatch(line)), None)
        own_header = 1 if rule is None else rule + 1
        header = [line for _, line in lines[:own_header]]
    columns = column_labels([line for line in header if not RULE.fullmatch(line)])
    found = []
    section = ""
    for start, line in lines[own_header:]:
        spans = [] if RULE.fullmatch(line) else split(line)
        texts = [line[a:b] for a, b in spans]
        if texts and texts[0] and not any(texts[1:]):
            section = texts[0]
        for n, (a, b) in enumerate(spans[1:], 1):
            if texts[n] not in ("", "$", "%", "€", "£"):
                label = columns.get(n, "")
                name = f"{section} {texts[0]}" if section else texts[0]
                found.append(Cell(index, name, label, texts[n], start + a, start + b, (start, start + len(line))))
    return found


def column_labels(header: Sequence[str]) -> dict[int, str]:
    """Every column's header, its lines joined; a spanning cell goes on to the empty ones right of it in upper lines."""
    labels: dict[int, list[str]] = {}
    for depth, line in enumerate(header):
        held = ""
        for n, (a, b) in enumerate(split(line)):
            text = line[a:b]
            held = text or (held if depth < len(header) - 1 and n > 0 else "")
            if held:
                labels.setdefault(n, []).append(held)
    return {n: " ".join(parts) for n, parts in labels.items()}


def words(text: str) -> set[str]:
    """Folded words without a plural s."""
    found = (w.casefold() for w in WORD.findall(text))
    return {w[:-1] if len(w) > 3 and w.endswith("s") else w for w in found} - {"the", "of", "in", "and", "for", "a"}


def cell_score(row: str, column: str, cell: Cell) -> float:
    """How well a cell's labels match what was asked: each by itself, or, for less, both found in all words asked.

    A small model may cut a label at the wrong word ("Operating profit in 2023?"); the words are still there.
    """
    strict = match(row, cell.row) * match(column, cell.column)
    asked, row_label, column_label = words(f"{row} {column}"), words(cell.row), words(cell.column)
    if not row_label or not column_label or not (row_label <= asked and column_label & asked):
        return strict
    return max(strict, 0.8 * len(column_label & asked) / len(column_label))


def match(asked: str, label: str) -> float:
    """Dice overlap of words, 0 when a number that was asked for is missing."""
    left, right = words(asked), words(label)
    if not left or not right or any(w.isdigit() and w not in right for w in left):
        return 0.0
    common = len(left & right)
    dice = 2 * common / (len(left) + len(right))
    return max(dice, 0.8 * common / len(left))
