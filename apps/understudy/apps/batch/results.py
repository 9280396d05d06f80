"""Results as CSV, JSONL or Parquet: a whole file, or the one that was there before."""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from understudy.apps.batch.columns import Answers, Layout
from understudy.apps.batch.parquet import library, written
from understudy.core.errors import UserError
from understudy.core.jobs import Result

__all__ = ["check_output", "digest_of", "write_results"]

Rows = Iterable[Mapping[str, Any]]


def check_output(path: Path, written: str) -> None:
    """Raise `UserError` where results can't be written, or where a file would be lost that isn't this job's.

    Args:
        path: of the output.
        written: SHA-256 of what this job wrote there, one or two; "" for a job that has written nothing.
    """
    if path.suffix.lower() not in WRITERS:
        known = ", ".join(WRITERS)
        raise UserError(f"--out {path}: can't write {path.suffix or 'this kind of file'}; known: {known}")
    if path.suffix.lower() == ".parquet":
        library()
    if path.is_dir():
        raise UserError(f"--out {path}: is a folder; name a file")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"--out {path}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise UserError(f"--out {path}: can't be written into {folder}; name another place")
    try:
        own = not path.exists() or digest_of(path) in written.split()
    except OSError as error:
        raise UserError(f"--out {path}: can't be read ({error.strerror or error}); name another") from error
    if not own:
        raise UserError(f"--out {path}: is there already, and isn't what this job wrote; move it away, or name another")


def write_results(
    path: Path, results: Iterable[Result], announce: Callable[[str], None], layout: Layout | None = None
) -> None:
    """Write all results. What was there stays until they are whole. Raises `UserError`.

    Args:
        path: of the output.
        results: in order.
        announce: is told the SHA-256 of what is about to be there.
        layout: of the rows; by default one a question.
    """
    layout = layout or Answers()
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        left.unlink(missing_ok=True)  # of a process that was killed
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        WRITERS[path.suffix.lower()](temporary, layout.rows(results), layout)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        announce(digest_of(temporary))
        temporary.replace(path)
    except OSError as error:
        why = f"{path}: can't be written ({error.strerror or error})"
        raise UserError(f"{why}; the answers are kept, and the same command writes them") from error
    finally:
        temporary.unlink(missing_ok=True)


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def as_csv(path: Path, rows: Rows, layout: Layout) -> None:
    """Lists and structures as JSON in their cells."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, layout.columns)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: cell(value) for name, value in row.items()})


def cell(value: Any) -> Any:
    """A value as CSV holds it."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=plain)
    return json.dumps(value) if isinstance(value, bool) else plain(value)


def plain(value: Any) -> Any:
    """Dates as ISO 8601, decimal numbers with all their digits."""
    if isinstance(value, date):
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else value


def as_jsonl(path: Path, rows: Rows, _layout: Layout) -> None:
    """An object a line."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(f"{json.dumps(row, ensure_ascii=False, default=plain)}\n")


def as_parquet(path: Path, rows: Rows, layout: Layout) -> None:
    """With structures, and what has none of its own as JSON."""

    def held(row: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**row, **{name: json.dumps(row[name]) for name in layout.as_json if row[name] is not None}}

    written(path, map(held, rows), layout.parquet)


WRITERS: Mapping[str, Callable[[Path, Rows, Layout], None]] = {
    ".parquet": as_parquet,
    ".csv": as_csv,
    ".jsonl": as_jsonl,
}
