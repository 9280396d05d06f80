"""Workspaces of the benches: kept between runs, so that a collection is read once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from understudy.agents import Agent
from understudy.apps.bench.code import portions
from understudy.core.errors import DocumentError
from understudy.core.settings import DeferralSettings, Settings, SmallModelSettings

__all__ = ["bar", "folder", "ready"]


@contextmanager
def bar(label: str, total: int | None) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on stderr; call what it gives with done and total."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done, known: progress.update(task, completed=done, total=known if known is not None else total)


def folder(out: Path) -> Path:
    """Where workspaces lie: under the results, ignored by git."""
    kept = out / "workspaces"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / ".gitignore").write_text("*\n", encoding="utf-8")
    return kept


def retrieval_digest() -> str:
    """Changes when the code that reads, cuts, embeds or stores documents does: old workspaces are not used then."""
    digest = hashlib.sha256()
    for portion in portions():
        for path in sorted((portion / "retrieval").rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


@contextmanager
def ready(name: str, documents: Path, out: Path, model: str = "starter") -> Iterator[Agent]:
    """An agent without experts on a workspace that holds some documents.

    Args:
        name: of the set; its workspace is kept under it.
        documents: the file that holds them.
        out: where results go.
        model: the small model, as `small_model.path` in the settings.

    Raises:
        DocumentError: they are missing.
        ModelFileError: the model can't be loaded.
    """
    if not documents.exists():
        raise DocumentError(f"{documents}: no such file; give the folder of the data sets by --data")
    fixed = DeferralSettings(min_confidence=0.5, audit_rate=0.0)  # without an expert there is nobody to equal
    settings = Settings(small_model=SmallModelSettings(path=model), deferral=fixed)
    with Agent.open(folder(out) / f"{name}-{retrieval_digest()}", settings=settings) as agent:
        with bar(f"reading {name}", None) as advance:
            agent.ingest([documents], on_progress=lambda done, total, passages: advance(done, total))
        yield agent
