"""Documents into passages: whole paragraphs and table rows where possible, headings and table headers as context."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from understudy.core.types import Document, Passage

__all__ = ["chunk"]

TARGET = 600
"""Characters a passage grows to before the next block starts another."""
LONGEST = 900
"""Characters at which a paragraph is cut, at a sentence end if there is one."""
HEADING = re.compile(r"(#{1,6})\s+(.+)")
SENTENCE_END = re.compile(r"[.!?。！？][\"'”)\]]*\s+|\n")
RULE = re.compile(r"\|?[\s:|-]+\|[\s:|-]*$")

PERIOD = re.compile(
    r"(?:(?:fiscal|year|years|quarter|months|ended|FY|Q[1-4]|[A-Z][a-z]{2,8}\.?|\d{1,2},?) )*"
    r"(?:19|20)\d\d(?: ?\(\d\))?|FY ?\d\d"
)
"""A cell that names a period and nothing else: "2019", "January 31, 2020", "FY19", "Year ended March 2018 (1)"."""


@dataclass(frozen=True)
class Block:
    """A paragraph or a table: a slice of the text under its headings."""

    start: int
    end: int
    headings: tuple[str, ...]
    table: bool = False


def chunk(document: Document) -> list[Passage]:
    """The passages of a document, in order; `text == document.text[start:end]`, never blank."""
    starts = [m.start for m in document.marks]

    def passage(start: int, end: int, context: str, *, table: bool) -> Passage | None:
        text = document.text[start:end]
        start += len(text) - len(text.lstrip())
        text = text.strip()
        if not text:
            return None
        at = bisect_right(starts, start) - 1
        return Passage(
            document=document.id, title=document.title, version=document.version, start=start, end=start + len(text),
            location=document.marks[at].location if at >= 0 else "", text=text, context=context, table=table,
        )  # fmt: skip

    made = []
    previous: Block | None = None
    for block in merged(blocks(document.text), starts):
        context = " > ".join(block.headings)
        if block.table:
            caption = caption_before(document.text, previous, block)
            for start, end, header in table_slices(document.text, block):
                lines = [part for part in (context, caption, header) if part]
                made.append(passage(start, end, "\n".join(lines), table=True))
        else:
            made += [passage(start, end, context, table=False) for start, end in sentence_slices(document.text, block)]
        previous = block
    return [p for p in made if p is not None]


def blocks(text: str) -> Iterator[Block]:
    """Paragraphs and tables under their headings; a heading with nothing under it is a paragraph itself."""
    path: list[tuple[int, str]] = []
    bare: Block | None = None
    start: int | None = None
    table = False
    at = 0
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        is_row = stripped.startswith("|") and stripped.endswith("|") and len(stripped) > 1
        heading = HEADING.match(stripped)
        if start is not None and (not stripped or heading or is_row != table):
            yield Block(start, at, tuple(h for _, h in path), table)
            start = None
        if heading:
            if bare is not None and len(heading[1]) <= path[-1][0]:
                yield bare
            level = len(heading[1])
            path = [(n, h) for n, h in path if n < level] + [(level, heading[2].strip())]
            bare = Block(at, at + len(line), tuple(h for _, h in path[:-1]))
        elif stripped and start is None:
            start, table, bare = at, is_row, None
        at += len(line)
    if start is not None:
        yield Block(start, at, tuple(h for _, h in path), table)
    elif bare is not None:
        yield bare


def merged(found: Iterator[Block], marks: list[int]) -> Iterator[Block]:
    """Short neighbouring paragraphs under the same headings and on the same page, as one block."""
    pending: Block | None = None
    for block in found:
        if (
            pending is not None
            and not (pending.table or block.table)
            and pending.headings == block.headings
            and bisect_right(marks, pending.start) == bisect_right(marks, block.start)
            and block.end - pending.start <= TARGET
        ):
            pending = Block(pending.start, block.end, block.headings)
            continue
        if pending is not None:
            yield pending
        pending = block
    if pending is not None:
        yield pending


def sentence_slices(text: str, block: Block) -> Iterator[tuple[int, int]]:
    """A block whole, or cut at sentence ends into slices of at most `LONGEST` characters."""
    start = block.start
    while block.end - start > LONGEST:
        ends = [m.end() for m in SENTENCE_END.finditer(text, start + TARGET // 3, start + LONGEST)]
        near = [e for e in ends if e - start <= TARGET] or ends[:1]
        cut = near[-1] if near else text.rfind(" ", start + TARGET, start + LONGEST) + 1
        if cut <= start:
            cut = start + LONGEST
        yield start, cut
        start = cut
    yield start, block.end


def table_slices(text: str, block: Block) -> Iterator[tuple[int, int, str]]:
    """Runs of whole rows with the header lines that stand above them outside the slice."""
    lines: list[tuple[int, int]] = []
    at = block.start
    for line in text[block.start : block.end].splitlines(keepends=True):
        lines.append((at, at + len(line)))
        at += len(line)
    head = header_height([text[a:b].strip() for a, b in lines])
    header = text[lines[0][0] : lines[head - 1][1]].strip() if head else ""
    first = head if head < len(lines) else 0
    while first < len(lines):
        last = first + 1
        while last < len(lines) and lines[last][1] - lines[first][0] <= TARGET:
            last += 1
        yield lines[first][0], lines[last - 1][1], header if first >= head else ""
        first = last


def header_height(rows: list[str]) -> int:
    """How many lines at the top are header: to the rule, and rows below it that hold no data.

    Those are rows with an empty first cell (years, units), and the first one with nothing but periods after its first
    cell, if the line above has neither periods nor a name for every column ("Years ended March 31," over
    "(in thousands) | 2019 | 2018").
    """
    rule = next((i for i, row in enumerate(rows[:4]) if RULE.fullmatch(row)), None)
    height = 0 if rule is None else rule + 1
    while height < min(len(rows) - 1, 5) and rule is not None:
        cells, above = cells_of(rows[height]), [cells_of(row)[1:] for row in rows[:height] if not RULE.fullmatch(row)]
        periods = [bool(PERIOD.fullmatch(c)) for c in cells[1:] if c]
        unnamed = not any(all(line) or any(map(PERIOD.fullmatch, line)) for line in above)
        names_periods = len(periods) > 1 and all(periods) and unnamed
        if not any(cells) or (cells[0] and not names_periods):
            break
        height += 1
    return height


def cells_of(row: str) -> list[str]:
    """The stripped cells of a row."""
    return [c.strip() for c in row.strip().strip("|").split("|")]


def caption_before(text: str, previous: Block | None, table: Block) -> str:
    """The last sentence before a table, under the same headings, if it is short enough to be its caption."""
    if previous is None or previous.table or previous.headings != table.headings:
        return ""
    last = re.split(r"(?<=[.!?])\s+|\n", text[previous.start : previous.end].strip())[-1]
    return last if len(last) <= 160 else ""
