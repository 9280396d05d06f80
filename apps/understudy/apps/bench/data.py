"""Questions of a data folder, sampled by permanent rules."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.apps.folder import may_train, read_lines

__all__ = [
    "Question",
    "medquad_documents",
    "medquad_questions",
    "other_questions",
    "pubmedqa_questions",
    "sample",
    "squad_questions",
    "tatqa_questions",
]


@dataclass(frozen=True)
class Question:
    """A question with its gold answers (none when it can't be answered)."""

    id: str
    text: str
    document: str
    answers: tuple[str, ...]
    answerable: bool
    kind: str = ""
    """Of `tatqa`: span, multi-span, arithmetic or count; of `pubmedqa`: yes/no/maybe."""


def squad_questions(data: Path) -> list[Question]:
    """The `squad` dev questions of measured articles, unanswerable ones too."""
    titles = {d["id"]: d["title"] for d in read_lines(data / "squad" / "documents.jsonl.gz")}
    records = read_lines(data / "squad" / "questions.dev.jsonl.gz")
    return [question_of(r) for r in records if not may_train(titles[r["doc_ids"][0]])]


def tatqa_questions(data: Path) -> list[Question]:
    """The `tatqa` test questions."""
    return [question_of(r) for r in read_lines(data / "tatqa" / "questions.test.jsonl.gz")]


def medquad_documents(data: Path) -> list[dict[str, Any]]:
    """The `medquad` documents that are measured on."""
    return [d for d in read_lines(data / "medquad" / "documents.jsonl.gz") if not may_train(d["id"])]


def medquad_questions(data: Path) -> list[Question]:
    """The `medquad` questions on measured documents."""
    records = read_lines(data / "medquad" / "questions.all.jsonl.gz")
    return [question_of(r) for r in records if not may_train(r["doc_ids"][0])]


def pubmedqa_questions(data: Path, split: str = "test") -> list[Question]:
    """The `pubmedqa` questions of a split, answered by yes, no or maybe."""
    return [question_of(r) for r in read_lines(data / "pubmedqa" / f"questions.{split}.jsonl.gz")]


def other_questions(data: Path, name: str, split: str) -> list[Question]:
    """The questions of a set that nothing is trained on, such as `policyqa` and `covidqa`."""
    return [question_of(r) for r in read_lines(data / name / f"questions.{split}.jsonl.gz")]


def question_of(record: dict[str, Any]) -> Question:
    """A record as a question."""
    return Question(
        id=str(record["id"]),
        text=record["question"],
        document=record["doc_ids"][0],
        answers=tuple(record["answers"]) if record["answerable"] else (),
        answerable=bool(record["answerable"]),
        kind=record["meta"].get("answer_type", ""),
    )


def sample(questions: list[Question], size: int, seed: int) -> list[Question]:
    """At most `size` questions, the same ones for the same seed whatever their order in the file."""
    ordered = sorted(questions, key=lambda q: q.id)
    return random.Random(seed).sample(ordered, min(size, len(ordered)))
