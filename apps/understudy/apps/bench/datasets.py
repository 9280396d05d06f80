"""Questions to measure on: only what the starter was never trained on."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from pathlib import Path
from typing import Any

from understudy.core.errors import DocumentError

__all__ = ["documents_file", "squad_questions", "tatqa_questions"]

Question = dict[str, Any]


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a `.jsonl.gz` file. Raises `DocumentError` where there is none."""
    if not path.exists():
        raise DocumentError(f"{path}: no such data; name the folder of data sets with --data")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def documents_file(data: Path, name: str) -> Path:
    """A data set's documents."""
    path = data / name / "documents.jsonl.gz"
    if not path.exists():
        raise DocumentError(f"{path}: no such data; name the folder of data sets with --data")
    return path


def squad_questions(data: Path, count: int, seed: int, *, answerable: bool | None = None) -> list[Question]:
    """A sample of `squad` dev on articles whose title's md5 begins with 0 to 3."""
    titles = {d["id"]: d["title"] for d in read(documents_file(data, "squad"))}
    measured = [
        q
        for q in read(data / "squad" / "questions.dev.jsonl.gz")
        if hashlib.md5(titles[q["doc_ids"][0]].encode()).hexdigest()[0] in "0123"
        and answerable in (None, q["answerable"])
    ]
    return random.Random(seed).sample(measured, min(count, len(measured)))


def tatqa_questions(data: Path, count: int, seed: int) -> list[Question]:
    """A sample of `tatqa` test."""
    questions = read(data / "tatqa" / "questions.test.jsonl.gz")
    return random.Random(seed).sample(questions, min(count, len(questions)))
