"""Does an audit log hold what was written, all of it, in its order? Read as it lies; nothing is repaired.

Every record carries a code over its own bytes, its number and the code of the record before it among them; the head
carries the number and the code of the last one. So a changed byte breaks a record's own code, and a record that is
taken away, put in or moved contradicts the numbers, the codes before, or the head.
"""

from __future__ import annotations

import hmac
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NamedTuple

from understudy.core.data import Data
from understudy.core.errors import WorkspaceError
from understudy.privacy.audit.files import AuditFiles, Head
from understudy.privacy.audit.seal import Seal

__all__ = ["Anchor", "Finding", "Row", "Verification", "checked", "genuine", "rows_of", "verify"]

Kind = Literal[
    "changed", "inserted", "removed", "cut off", "moved", "replaced",
    "head", "key", "anchor", "interrupted", "unreadable",
]  # fmt: skip


class Finding(Data):
    """Something that isn't as it was written."""

    kind: Kind
    record: int | None = None
    what: str


class Verification(Data):
    """What a check of a log found."""

    records: int = 0
    """That are in it and genuine."""
    head: str | None = None
    """`NUMBER:CODE` of the last record: noted elsewhere, it is the anchor of a later check."""
    complete: bool = True
    """Whether a missing record would have been noticed; in a selection it isn't."""
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class Row(NamedTuple):
    """A record as it lies there; anything may have become of it."""

    place: Any
    body: Any
    code: Any


class Anchor(NamedTuple):
    """The last record of the log as it was noted earlier, elsewhere."""

    number: int
    code: str


def verify(files: AuditFiles, anchor: Anchor | None = None) -> Verification:
    """Check the log of a workspace.

    Args:
        files: where its parts lie.
        anchor: the log must still hold this record.
    """
    try:
        rows = rows_of(files.database)
    except sqlite3.Error as error:
        rows, found = [], [Finding(kind="unreadable", what=f"{files.database} can't be read: {error}")]
    else:
        found = []
    if not (rows or found or files.key.exists() or files.head.exists()):
        return Verification(findings=tuple(unanchored({}, anchor)))
    try:
        seal = Seal.load(files.key)
    except WorkspaceError as error:
        return Verification(findings=(*found, Finding(kind="key", what=str(error))))
    head = None
    try:
        head = files.read_head(seal)
    except WorkspaceError as error:
        found.append(Finding(kind="head", what=str(error)))
    checks = checked(rows, seal, head, anchor)
    return checks.model_copy(update={"findings": (*found, *checks.findings)})


def rows_of(database: Path) -> list[Row]:
    """All rows, as bytes; none where there is no file. Raises `sqlite3.Error`."""
    if not database.exists():
        return []
    with closing(sqlite3.connect(database, timeout=30)) as db:
        db.text_factory = bytes
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return []
        return [Row(*row) for row in db.execute("SELECT number, body, mac FROM records ORDER BY number")]


def genuine(row: Row, seal: Seal) -> dict[str, Any] | None:
    """What a row says, if it is as it was written."""
    if not (isinstance(row.body, bytes) and isinstance(row.code, bytes)):
        return None
    if not hmac.compare_digest(row.code, seal.record(row.body)):
        return None
    fields: dict[str, Any] = json.loads(row.body)
    return fields


def checked(
    rows: Iterable[Row], seal: Seal, head: Head | None, anchor: Anchor | None = None, *, selection: bool = False
) -> Verification:
    """Check rows against their codes, their places and the head.

    Args:
        rows: in the order in which they lie.
        seal: of the log's key.
        head: `None` where it can't be used.
        anchor: the rows must hold this record.
        selection: whether gaps are meant.
    """
    codes: dict[int, str] = {}
    previous: dict[int, str] = {}
    broken: list[Any] = []
    found: list[Finding] = []
    for row in rows:
        fields = genuine(row, seal)
        if fields is None:
            broken.append(row.place)
            continue
        number = fields["number"]
        if number in codes:
            found.append(Finding(kind="inserted", record=number, what=f"record {number} stands there twice"))
            continue
        codes[number], previous[number] = row.code.hex(), fields["previous"]
        if number != row.place:
            found.append(Finding(kind="moved", record=number, what=f"record {number} stands in place {row.place}"))
    end = end_of(codes, head)
    found += damaged(broken, end)
    found += unlinked(codes, previous)
    if not selection:
        found += [*missing(codes, broken, end), *beheaded(codes, head, end)]
    found += unanchored(codes, anchor)
    last = max(codes, default=0)
    return Verification(
        records=len(codes),
        head=f"{last}:{codes[last]}" if last and not selection else None,
        complete=not selection and head is not None,
        findings=tuple(found),
    )


def end_of(codes: Mapping[int, str], head: Head | None) -> int:
    """The number of the last record that there should be."""
    if head is None:
        return max(codes, default=0)
    stored = head.pending is not None and codes.get(head.count + 1) == head.pending
    return head.count + 1 if stored else head.count


def damaged(places: Iterable[Any], end: int) -> Iterator[Finding]:
    """Rows that are no record of this log."""
    for place in places:
        if isinstance(place, int) and 1 <= place <= end:
            yield Finding(kind="changed", record=place, what=f"record {place} is not as it was written")
        else:
            yield Finding(kind="inserted", what=f"what stands in place {place} is no record of this log")


def unlinked(codes: Mapping[int, str], previous: Mapping[int, str]) -> Iterator[Finding]:
    """Genuine records that don't continue the genuine record before them: two states of the log were mixed."""
    for number in sorted(codes):
        if previous[number] != codes.get(number - 1, previous[number] if number > 1 else ""):
            what = f"record {number} doesn't continue record {number - 1}: one of them is from another state of the log"
            yield Finding(kind="replaced", record=number, what=what)


def missing(codes: Mapping[int, str], broken: Iterable[Any], end: int) -> Iterator[Finding]:
    """Records that should be there, in runs."""
    there = {*codes, *(place for place in broken if isinstance(place, int))}
    first = 0
    for number in range(1, end + 2):
        gone = number <= end and number not in there
        if gone and not first:
            first = number
        elif not gone and first:
            kind: Kind = "cut off" if number > end else "removed"
            run = f"record {first} is" if number == first + 1 else f"records {first} to {number - 1} are"
            yield Finding(kind=kind, record=first, what=f"{run} {kind if kind == 'cut off' else 'gone'}")
            first = 0


def beheaded(codes: Mapping[int, str], head: Head | None, end: int) -> Iterator[Finding]:
    """Where the head and the records don't fit."""
    if head is None:
        return
    last = max(codes, default=0)
    if last > end:
        what = f"the head counts {head.count} records, and the log goes on to {last}: the head is older than the log"
        yield Finding(kind="head", what=what)
    if codes.get(head.count, head.last) != head.last:
        yield Finding(kind="head", what=f"the head is of another state of the log: its record {head.count} is another")
    if head.pending is not None and last <= end:
        got = "was written and not counted" if end > head.count else "was announced and not written"
        what = f"the last write was interrupted: record {head.count + 1} {got}; the next record puts it right"
        yield Finding(kind="interrupted", record=head.count + 1, what=what)


def unanchored(codes: Mapping[int, str], anchor: Anchor | None) -> Iterator[Finding]:
    """An anchor that the records don't hold."""
    if anchor is not None and codes.get(anchor.number) != anchor.code:
        what = f"the log doesn't hold record {anchor.number} as it was noted"
        yield Finding(kind="anchor", record=anchor.number, what=what)
