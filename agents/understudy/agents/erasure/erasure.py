"""One document out of a workspace, with all that rests on it, so that no byte of it remains.

What is to go is found by its traces (`core.provenance`), written into a journal, and taken out holding by holding; then
every database is cleaned of deleted bytes. Each step may be done again: an erasure that was killed goes on when the
workspace is next opened. In the end only a marker is left, which doesn't name the document.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from understudy.core.audit import AuditLog
from understudy.core.audit import Erasure as Marker
from understudy.core.data import Data
from understudy.core.errors import ScopeError, WorkspaceError
from understudy.core.sqlite import now, scrub
from understudy.core.types import Scope
from understudy.core.workspace import Workspace, write_atomically
from understudy.retrieval.store import Entry

__all__ = ["Erasure", "ErasureReport", "Holding"]

COUNTED = ("passages", "cache_entries", "examples", "outcomes", "threads", "placeholders", "job_answers")
TEMPORARY = re.compile(r"^\..+\.\d+\.tmp$")
"""What a process that was killed while it wrote a file leaves."""


class Holding(Protocol):
    """Something that keeps what was made from documents."""

    @property
    def kind(self) -> str:
        """What it keeps, as the report counts it: a field of `ErasureReport`."""
        ...

    def found(self, document: Scope) -> Sequence[str]:
        """Names of what would go; changes nothing."""
        ...

    def forget(self, document: Scope) -> None:
        """Take it out. Doing so again does no harm."""
        ...


class ErasureReport(Data):
    """What went, or would go."""

    document: str
    collection: str
    passages: int = 0
    cache_entries: int = 0
    examples: int = 0
    outcomes: int = 0
    threads: int = 0
    placeholders: int = 0
    job_answers: int = 0
    adapters: tuple[str, ...] = ()
    """Those that were trained on it, which are withdrawn: `domain/label/version`, and whether it was live."""
    done: bool = True
    """False where it was only looked at."""


class Journal(Data):
    """An erasure under way."""

    by: str
    """Who had it erased."""
    began: str
    report: ErasureReport


@dataclass(frozen=True)
class Erasure:
    """Erases documents from a workspace that nobody else is using meanwhile.

    Args:
        workspace: of which.
        holdings: all that keeps anything of documents, in the order in which they forget. The documents come last.
        entries: the documents of a collection.
        traced: documents that something rests on still, though they may be gone.
        cleaned: cleans what holdings have outside the workspace's own databases, and what is in memory.
        audit: gets the marker, which doesn't name the document.
    """

    workspace: Workspace
    holdings: Sequence[Holding]
    entries: Callable[[str], Sequence[Entry]]
    traced: Callable[[], Iterable[Scope]]
    cleaned: Callable[[Scope], None]
    audit: AuditLog

    @property
    def journal(self) -> Path:
        """Names the document while it is being erased, and is deleted after."""
        return self.workspace.root / "erasing.json"

    def named(self, name: str, collection: str) -> Scope:
        """The document that an id or a path means. Raises `ScopeError`."""
        entries = self.entries(collection)
        path = str(Path(name).expanduser().resolve())
        inside = [name] if any(i == name for i, _, _ in entries) else [i for i, _, s in entries if s == path]
        if len(inside) > 1:
            raise ScopeError(f"{name} holds {len(inside)} documents; name one of them, such as {inside[0]!r}")
        if inside:
            return Scope(collection=collection, document=inside[0])
        known = {i for i, _, _ in entries}
        known |= {s.document for s in self.traced() if s.collection == collection and s.document is not None}
        if name in known:
            return Scope(collection=collection, document=name)
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
        hint = f"nearest is {near[0]!r}" if near else "it is empty"
        raise ScopeError(f"no document {name!r} in collection {collection!r}; {hint}")

    def looked_at(self, document: Scope) -> ErasureReport:
        """What would go."""
        found: dict[str, list[str]] = {}
        for holding in self.holdings:
            found.setdefault(holding.kind, []).extend(holding.found(document))
        adapters = tuple(found.pop("adapters", ()))
        counts = {kind: len(names) for kind, names in found.items()}
        named = {"document": document.document, "collection": document.collection, "adapters": adapters, "done": False}
        return ErasureReport.model_validate(named | counts)

    def erase(self, document: Scope, by: str) -> ErasureReport:
        """Take a document out for good, on somebody's behalf."""
        report = self.looked_at(document).model_copy(update={"done": True})
        journal = Journal(by=by, began=now(), report=report)
        write_atomically(self.journal, journal.model_dump_json())
        return self.finished(journal)

    def resume(self) -> ErasureReport | None:
        """Finish one that was killed, if any was. Raises `WorkspaceError` where its journal is damaged."""
        if not self.journal.exists():
            return None
        try:
            journal = Journal.model_validate_json(self.journal.read_text(encoding="utf-8"))
        except ValueError as error:
            raise WorkspaceError(f"{self.journal} is damaged; delete it, and erase the document again") from error
        return self.finished(journal)

    def finished(self, journal: Journal) -> ErasureReport:
        """All steps, from the first."""
        report = journal.report
        document = Scope(collection=report.collection, document=report.document)
        for holding in self.holdings:
            holding.forget(document)
        self.cleaned(document)
        for path in sorted({*self.workspace.root.glob("*.sqlite")} - {self.workspace.audit}):  # which only grows
            scrub(path)
        for path in self.workspace.root.rglob(".*.tmp"):
            if TEMPORARY.match(path.name):
                path.unlink()
        gone = {kind: getattr(report, kind) for kind in COUNTED} | {"adapters": len(report.adapters)}
        self.audit.append(
            Marker(by=journal.by, collection=report.collection, document=report.document, gone=gone)
        )  # killed before the journal goes, there will be two of it
        self.journal.unlink()
        return report
