"""The cells of table passages under their labels, and how well words that people use match a label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from understudy.core.types import Finding, Observation, Passage

__all__ = ["Cell", "cells_of", "match", "observed", "words"]

WORD = re.compile(r"[^\W\d_]{3,}(?=\d)|[^\W_]+")
"""A month and a day that were printed together ("December31") are two words; "FY18" and "A1" are one."""
FOOTNOTE = re.compile(r"\(\d{1,2}\)")
RULE = re.compile(r"[|\s:-]+")


@dataclass(frozen=True)
class Cell:
    """A cell, its labels and where it stands (document offsets)."""

    passage: int
    name: str
    """The row's own label."""
    row: str
    """The row's label after its section's."""
    column: str
    text: str
    start: int
    end: int
    line: tuple[int, int]


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
                found.append(
                    Cell(index, texts[0], name, label, texts[n], start + a, start + b, (start, start + len(line)))
                )
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
    found = (w.casefold() for w in WORD.findall(FOOTNOTE.sub("", text)))
    return {w[:-1] if len(w) > 3 and w.endswith("s") else w for w in found} - {"the", "of", "in", "and", "for", "a"}


def match(asked: str, label: str) -> float:
    """Dice overlap of words, 0 when a number that was asked for is missing."""
    left, right = words(asked), words(label)
    if not left or not right or any(w.isdigit() and w not in right for w in left):
        return 0.0
    common = len(left & right)
    dice = 2 * common / (len(left) + len(right))
    return max(dice, 0.8 * common / len(left))


def observed(cell: Cell, text: str, score: float, tables: Sequence[Passage]) -> Observation:
    """What a table tool brings: its answer as a finding that rests on a cell and is cited by the cell's row."""
    found = Finding(
        text=text, score=round(min(score, 1.0), 4), origin="table", passage=0, start=cell.start, end=cell.end,
        quote_start=cell.line[0], quote_end=cell.line[1],
    )  # fmt: skip
    return Observation(
        text=f"{cell.row}, {cell.column}: {cell.text}", passages=(tables[cell.passage],), findings=(found,)
    )
