"""The log as people and other programs get it: selections, and an export that can be verified elsewhere with the key.

An export is JSON Lines. Each line is a record with its code as the first key, `{"mac":"…",` and then exactly the bytes
under that code after their opening brace. A whole log's export ends with a line of its head; a selection has none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from understudy.core.errors import UserError, WorkspaceError
from understudy.privacy.audit.files import AuditFiles, opened_head, sealed_line, unsealed
from understudy.privacy.audit.seal import Seal
from understudy.privacy.audit.verify import Anchor, Finding, Row, Verification, checked, genuine, rows_of

__all__ = ["Selection", "export", "moment", "selected", "verify_export"]


@dataclass(frozen=True)
class Selection:
    """Which records are wanted; `None` means any."""

    since: datetime | None = None
    until: datetime | None = None
    """Not included."""
    kind: str | None = None
    principal: str | None = None
    thread: str | None = None
    expert: str | None = None
    collection: str | None = None
    """That was asked, or that the record rests on."""
    document: str | None = None
    """By id; `collection` must be named too."""

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()

    def takes(self, fields: dict[str, Any], seal: Seal) -> bool:
        """Whether a record is wanted."""
        named = ("kind", "principal", "thread", "expert")
        if any(getattr(self, name) not in (None, fields.get(name)) for name in named):
            return False
        if self.collection not in (None, fields.get("collection"), *fields.get("collections", ())):
            return False
        if self.document is not None:
            wanted = {seal.document(self.collection or "default", name) for name in (self.document, None)}
            if wanted.isdisjoint((fields.get("document"), *fields.get("documents", ()))):
                return False
        at = datetime.fromisoformat(fields["time"])
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


def moment(text: str, *, end: bool = False) -> datetime:
    """A day or a moment as a person writes it, UTC unless it says otherwise. Raises `UserError`.

    Args:
        text: such as 2026-11-28 or 2026-11-28T14:30.
        end: whether a day means its end.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{text!r} is no day or time; write 2026-11-28 or 2026-11-28T14:30") from error
    day = len(text.strip()) <= len("2026-11-28")
    return (found if found.tzinfo else found.replace(tzinfo=UTC)) + timedelta(days=1 if day and end else 0)


def selected(files: AuditFiles, selection: Selection) -> list[dict[str, Any]]:
    """The records that are wanted and genuine, oldest first. Raises `WorkspaceError`."""
    return [fields for _, fields in picked(files, selection)]


def export(files: AuditFiles, selection: Selection) -> Iterator[str]:
    """Lines of an export, without line ends. What isn't genuine is left out, which a check of the export finds.

    Raises `WorkspaceError`.
    """
    for row, _ in picked(files, selection):
        yield sealed_line(row.body, row.code)
    if selection.everything and files.head.exists():
        yield files.head.read_text(encoding="ascii").removesuffix("\n")


def picked(files: AuditFiles, selection: Selection) -> Iterator[tuple[Row, dict[str, Any]]]:
    """The rows that are wanted, with what they say."""
    try:
        rows = rows_of(files.database)
    except sqlite3.Error as error:
        raise WorkspaceError(f"{files.database} can't be read ({error}); run: understudy audit verify") from error
    if not rows:
        return
    seal = Seal.load(files.key)
    for row in rows:
        fields = genuine(row, seal)
        if fields is not None and selection.takes(fields, seal):
            yield row, fields


def verify_export(path: Path, key: Path, anchor: Anchor | None = None) -> Verification:
    """Check an export, away from its workspace. Raises `UserError`, `WorkspaceError`: file or key can't be read."""
    seal = Seal.load(key)
    try:
        lines = path.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"export {path} can't be read: {error}") from error
    head = opened_head(lines[-2], seal) if len(lines) > 1 and not lines[-1] else None
    rows, found = [], []
    for number, line in enumerate(lines[: -2 if head else -1], 1):
        record = unsealed(line)
        if record is None:
            found.append(Finding(kind="unreadable", what=f"line {number} is no line of an export"))
            continue
        fields = genuine(Row(number, *record), seal)
        place = number if head or fields is None else fields["number"]
        rows.append(Row(place, *record))
    if lines[-1]:
        found.append(Finding(kind="cut off", what="the last line is cut off"))
    checks = checked(rows, seal, head, anchor, selection=head is None)
    return checks.model_copy(update={"findings": (*found, *checks.findings)})
