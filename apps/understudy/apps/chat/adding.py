"""Uploaded files on their way into a collection, one after another, in a thread that goes on if the page is closed."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from understudy.agents import Agent
from understudy.core.access import Principal
from understudy.core.errors import DocumentError, UnderstudyError

__all__ = ["Check", "File", "adding"]

Check = Callable[[Path], None]
"""Raises `DocumentError` for a file that isn't let in."""
Fate = Literal["waiting", "reading", "added", "updated", "unchanged", "failed"]


@dataclass(frozen=True)
class File:
    """One of the files, and how far it is."""

    name: str
    fate: Fate = "waiting"
    words: str = ""
    """Passages written so far, or why it isn't taken, in one line."""

    @property
    def done(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.fate not in ("waiting", "reading")


def adding(
    agent: Agent, uploads: Sequence[Path], collection: str, sensitivity: str | None, by: Principal, check: Check
) -> Iterator[list[File]]:
    """Ingest uploaded files, and delete each upload once it is read; gives all files whenever one has changed.

    Args:
        agent: whose workspace.
        uploads: copies, named as the documents are to be.
        collection: where to.
        sensitivity: of a new collection; `None` leaves it as it is.
        by: who adds them.
        check: looks at each before anything reads it.
    """
    files = [File(path.name) for path in uploads]
    news: queue.SimpleQueue[tuple[int, File] | None] = queue.SimpleQueue()

    def changed(at: int, file: File) -> None:
        news.put((at, file))

    def work() -> None:
        try:
            for at, path in enumerate(uploads):
                tell = partial(changed, at)
                tell(File(path.name, "reading"))
                tell(added(agent, path, collection, sensitivity, by, check, tell))
        finally:
            for path in uploads:
                path.unlink(missing_ok=True)
            news.put(None)

    with ThreadPoolExecutor(1, "adding") as pool:
        working = pool.submit(work)
        yield list(files)
        while (told := news.get()) is not None:
            files[told[0]] = told[1]
            yield list(files)
        working.result()


def added(
    agent: Agent,
    path: Path,
    collection: str,
    sensitivity: str | None,
    by: Principal,
    check: Check,
    tell: Callable[[File], None],
) -> File:
    """One file, and what became of it."""

    def progress(done: int, total: int, passages: int) -> None:
        if total > 1:
            tell(File(path.name, "reading", f"{done} of {total} documents"))

    try:
        check(path)
        clear(agent, path, collection, by)
        report = agent.ingest(
            [path], collection=collection, sensitivity=sensitivity, on_progress=progress, principal=by.name
        )
    except UnderstudyError as error:
        return File(path.name, "failed", plain(str(error), path))
    finally:
        path.unlink(missing_ok=True)
    if report.failed and not (report.added or report.updated or report.unchanged):
        return File(path.name, "failed", plain(report.failed[0][1], path))
    fate: Fate = "added" if report.added else "updated" if report.updated else "unchanged"
    several = f", {len(report.failed)} of its documents can't be read" if report.failed else ""
    passages = f"{report.passages} passage{'' if report.passages == 1 else 's'}" if report.passages else ""
    return File(path.name, fate, f"{passages}{several}".removeprefix(", "))


def clear(agent: Agent, path: Path, collection: str, by: Principal) -> None:
    """Raise `DocumentError` where the name belongs to a file that is kept elsewhere: it would come back from there."""
    for name, _, source in agent.documents_of(by).entries(collection):
        if name == path.name and Path(source) != path and Path(source).exists():
            raise DocumentError("a document of this name was added from a folder that is still there; rename this one")


def plain(reason: str, path: Path) -> str:
    """A reason without the place on the server where the upload lay."""
    return reason.removeprefix(f"{path}: ").replace(f"{path.parent}/", "")
