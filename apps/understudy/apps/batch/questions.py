"""The questions of a job, from CSV, JSONL or Parquet: one row a question, or every question of every document."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from understudy.core.errors import UserError
from understudy.core.jobs import Query

__all__ = ["of_each", "read_questions"]

SUFFIXES = (".csv", ".jsonl", ".parquet")
LONGEST = 20_000
"""Characters of a question, which no context holds."""
LONGEST_CELL = 1 << 24
Given = Mapping[str, Any]


def read_questions(path: Path) -> list[Query]:
    """The questions of a file, in order; a row that can't be asked says why in `problem`.

    Columns: `question`, and optionally `document`, `id`, `answers`. Raises `UserError` where the file can't be read.
    """
    readers = {".csv": from_csv, ".jsonl": from_jsonl, ".parquet": from_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: can't read {path.suffix or 'this kind of file'}; known: {', '.join(SUFFIXES)}")
    try:
        found = [query_of(row) for row in reader(path)]
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror or 'no such file, or unreadable'}; name a file of questions"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    if not found:
        raise UserError(f"{path}: holds no questions")
    return found


def of_each(queries: Sequence[Query], documents: Sequence[str]) -> list[Query]:
    """Every question of every document: those of one document stand together.

    Raises `UserError` where a question names a document itself.
    """
    if any(query.document is not None for query in queries):
        raise UserError("--each-document asks every question of every document; leave the column document out")
    return [query.model_copy(update={"document": document}) for document in documents for query in queries]


def from_csv(path: Path) -> Iterator[Given]:
    """Rows of a CSV file with a header."""
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        try:
            check_columns(path, rows.fieldnames or ())
            for row in rows:
                yield {name: value for name, value in row.items() if value not in ("", None)}
        except csv.Error as error:
            raise UserError(f"{path}: line {max(1, rows.line_num)} is no CSV ({error}); mend it") from error


def from_jsonl(path: Path) -> Iterator[Given]:
    """Objects of a file with one a line."""
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}: line {number} is no JSON; mend it") from error
            if not isinstance(row, dict):
                raise UserError(f'{path}: line {number} is no object; give each question as {{"question": …}}')
            if "question" not in row:
                check_columns(path, row)
            yield row


def from_parquet(path: Path) -> Iterator[Given]:
    """Rows of a Parquet file."""
    from understudy.apps.batch.parquet import rows_of

    columns, rows = rows_of(path)
    check_columns(path, columns)
    yield from rows


def check_columns(path: Path, columns: Iterable[str]) -> None:
    """Raise `UserError` unless there are questions among them."""
    names = list(columns)
    if "question" not in names:
        raise UserError(f"{path}: has no column 'question'; it has {', '.join(names) or 'none'}")


def query_of(row: Given) -> Query:
    """A row, whatever stands in it."""
    question, document, answers = row.get("question"), row.get("document"), row.get("answers")
    problem = None
    if not isinstance(question, str):
        problem = "the question is no text" if question is not None else "the question is empty; ask something"
    elif len(question) > LONGEST:
        problem = f"the question has {len(question)} characters; ask a shorter one"
    elif document is not None and not isinstance(document, str):
        problem = "the document's name is no text"
    elif halved(question) or halved(document or ""):
        problem = "the question or its document holds half characters (lone surrogates); take them out"
    return Query(
        question=plain(question)[:LONGEST] if isinstance(question, str) else "",
        document=plain(document) if isinstance(document, str) else None,
        id=None if row.get("id") is None else plain(str(row["id"])),
        answers=tuple(map(plain, answers_of(answers))),
        problem=problem,
    )


def halved(text: str) -> bool:
    """Whether it holds half characters, which JSON can spell and UTF-8 can't."""
    return text != plain(text)


def plain(text: str) -> str:
    """A text that can be written."""
    return text.encode("utf-8", "replace").decode()


def answers_of(given: Any) -> tuple[str, ...]:
    """Known answers: a list, a JSON list in a cell, or one of them."""
    if isinstance(given, str) and given.lstrip().startswith("["):
        with suppress(ValueError):
            given = json.loads(given)
    if given is None:
        return ()
    return tuple(map(str, given)) if isinstance(given, list | tuple) else (str(given),)
