"""Files into a collection: unchanged ones are skipped, changed ones replaced, and nothing finished is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from understudy.core.errors import DocumentError
from understudy.core.names import check_name
from understudy.core.types import Document, Passage
from understudy.retrieval.chunk import chunk
from understudy.retrieval.embed import MiniLM
from understudy.retrieval.load import DATA_SUFFIX, SUFFIXES, count, load
from understudy.retrieval.ranking import body
from understudy.retrieval.store import DocumentStore

__all__ = ["IngestReport", "Progress", "ingest"]

Progress = Callable[[int, int, int], None]
"""Called with documents done, documents there are in all, and passages written."""
GROUP = 256
"""Passages embedded together before their documents are written."""


@dataclass
class IngestReport:
    """What an ingest did. `failed` holds path and reason of what could not be read."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0
    seconds: float = 0.0
    failed: list[tuple[str, str]] = field(default_factory=list)


def files_under(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """The readable files under some paths, with the ids they get. Raises `DocumentError`."""
    found: dict[Path, str] = {}
    for path in paths:
        if not path.exists():
            raise DocumentError(f"{path}: no such file or folder")
        if path.is_file():
            if not path.name.lower().endswith(SUFFIXES):
                raise DocumentError(
                    f"{path}: can't read {path.suffix or 'this kind of file'}; known: {', '.join(SUFFIXES)}"
                )
            found[path.resolve()] = path.name
            continue
        for file in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if file.is_file() and not hidden and file.name.lower().endswith(SUFFIXES) and not is_questions(file):
                found.setdefault(file.resolve(), file.relative_to(path).as_posix())
    return list(found.items())


def is_questions(path: Path) -> bool:
    """Whether a file of a data folder holds questions, not documents."""
    return path.name.endswith(DATA_SUFFIX) and not path.name.startswith("documents")


def ingest(
    store: DocumentStore,
    encoder: MiniLM,
    paths: Sequence[Path],
    *,
    collection: str = "default",
    sensitivity: str | None = None,
    prune: bool = False,
    on_progress: Progress | None = None,
) -> IngestReport:
    """Bring a collection up to date with some files and folders.

    A new collection is "redacted" unless `sensitivity` says otherwise. `prune` takes out documents whose file under
    these paths is gone. Raises `DocumentError` for a path that isn't there; files that can't be read are listed in
    the report instead.
    """
    began = time.monotonic()
    files = files_under(paths)
    if store.sensitivity(collection) is None:
        check_name(collection)
    store.ensure(collection, sensitivity)
    store.repair(collection, lambda pieces: encoder.embed_documents([body(p) for p in pieces]))
    held = {i: (v, source) for i, v, source in store.entries(collection)}
    report = IngestReport()
    writer = Writer(store, encoder, collection, report, on_progress)
    writer.total = sum(count(path) for path, _ in files) if on_progress is not None else 0
    seen: dict[str, str] = {}
    for document, source in documents_of(files, report):
        version, before = held.get(document.id, ("", source))
        taken = seen.get(document.id) or (before if before != source and Path(before).exists() else None)
        if taken is not None:
            report.failed.append((source, f"its id {document.id!r} was taken by {taken}"))
            writer.step()
            continue
        seen[document.id] = source
        if version == document.version:
            report.unchanged += 1
            writer.step()
            continue
        writer.add(document, source, replaces=document.id in held)
    writer.flush()
    store.written()
    if prune:
        report.removed = remove_vanished(store, collection, paths, keep=set(seen), failed={p for p, _ in report.failed})
    report.seconds = time.monotonic() - began
    return report


def remove_vanished(
    store: DocumentStore, collection: str, paths: Sequence[Path], *, keep: set[str], failed: set[str]
) -> int:
    """Take out what came from under these paths and is no longer there; a file that can't be read is still there."""
    roots = [p.resolve() for p in paths]
    removed = 0
    for document, _, source in store.entries(collection):
        under = any(Path(source) == r or r in Path(source).parents for r in roots)
        if under and document not in keep and source not in failed:
            removed += store.remove(collection, document)
    return removed


def documents_of(files: Sequence[tuple[Path, str]], report: IngestReport) -> Iterator[tuple[Document, str]]:
    """Every document with its source; failures go into the report."""
    for path, name in files:
        try:
            for document in load(path, name):
                yield document, str(path)
        except DocumentError as error:
            report.failed.append((str(path), str(error).removeprefix(f"{path}: ")))


class Writer:
    """Collects documents until there are enough passages to embed together, then writes them one by one."""

    def __init__(
        self, store: DocumentStore, encoder: MiniLM, collection: str, report: IngestReport, on_progress: Progress | None
    ) -> None:
        self._store, self._encoder, self._collection = store, encoder, collection
        self._report, self._on_progress = report, on_progress
        self._waiting: list[tuple[Document, str, list[Passage], bool]] = []
        self._size = 0
        self._done = 0
        self.total = 0

    def add(self, document: Document, source: str, *, replaces: bool) -> None:
        """Take a document; write the group when it is full."""
        pieces = chunk(document)
        self._waiting.append((document, source, pieces, replaces))
        self._size += len(pieces)
        if self._size >= GROUP:
            self.flush()

    def flush(self) -> None:
        """Embed and write what is waiting."""
        vectors = self._encoder.embed_documents([body(p) for _, _, pieces, _ in self._waiting for p in pieces])
        at = 0
        for document, source, pieces, replaces in self._waiting:
            self._store.put(self._collection, document, source, pieces, vectors[at : at + len(pieces)])
            at += len(pieces)
            self._report.passages += len(pieces)
            self._report.updated += replaces
            self._report.added += not replaces
            self.step()
        self._waiting, self._size = [], 0

    def step(self) -> None:
        """Report progress."""
        self._done += 1
        if self._on_progress is not None:
            self._on_progress(self._done, max(self.total, self._done), self._report.passages)
