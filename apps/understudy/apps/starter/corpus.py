"""What the starter may train on, and what it is measured on: read from a data folder, split by permanent rules.

The rules are the data folder's own: `squad` train in full, `squad` dev and `medquad` only where the first hex digit
of an md5 is 4 to f, `tatqa` dev, `finqa` train and dev. Everything else is for measuring.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from understudy.apps.folder import may_train, read_lines
from understudy.distillation.cloze import Reading

FIRST_CELL = re.compile(r"^\| ([^|\n]+) \|", re.MULTILINE)
WORDED = re.compile(r"(?=.*[A-Za-z]{3})[^\"\\{}?]{3,60}")


def held_for_planner(group: str) -> bool:
    """An eighth of the training groups, unseen by the reader: its scores are fitted, and the planner learns, on them.

    Of `squad` they are five articles, every one with as many questions that have no answer as have one.
    """
    return hashlib.sha256(b"held out:" + group.encode()).digest()[0] < 32


def squad_readings(data: Path, *, training: bool = True) -> Iterator[Reading]:
    """`squad` questions with their gold paragraph: the training side, or the measured one."""
    documents = {d["id"]: d for d in read_lines(data / "squad" / "documents.jsonl.gz")}
    splits = ("train", "dev") if training else ("dev",)
    for split in splits:
        for record in read_lines(data / "squad" / f"questions.{split}.jsonl.gz"):
            document = documents[record["doc_ids"][0]]
            title = document["title"]
            if split == "dev" and may_train(title) != training:
                continue
            evidence = record["meta"]["evidence"]
            span = min(evidence, key=lambda e: len(e["text"])) if evidence else None
            yield Reading(
                record["question"],
                title,
                document["text"],
                span["start"] if span else None,
                span["end"] if span else None,
                title,
            )


def tatqa_readings(data: Path) -> Iterator[Reading]:
    """`tatqa` dev questions answered by one span, each on a window of its page: a paragraph, or the table's rows.

    The evidence named there is the whole paragraph or table; questions whose answer stands in it more than once, or not
    at all, are left out.
    """
    documents = {d["id"]: d for d in read_lines(data / "tatqa" / "documents.jsonl.gz")}
    for record in read_lines(data / "tatqa" / "questions.dev.jsonl.gz"):
        evidence = record["meta"]["evidence"]
        if record["meta"]["answer_type"] != "span" or len(evidence) != 1 or evidence[0]["start"] is None:
            continue
        document, answer = documents[record["doc_ids"][0]], record["answers"][0].strip()
        block = document["text"][evidence[0]["start"] : evidence[0]["end"]]
        places = [m.start() for m in re.finditer(rf"(?<![\w.,]){re.escape(answer)}(?![\w]|[.,]\d)", block)]
        if not answer or len(places) != 1:
            continue
        at = evidence[0]["start"] + places[0]
        window = passage_around(document["text"], at, at + len(answer))
        if window is not None:
            passage, start = window
            yield Reading(record["question"], document["title"], passage, start, start + len(answer), document["id"])


def asked_about(data: Path, name: str, splits: tuple[str, ...]) -> list[dict[str, Any]]:
    """The documents of a set that questions of some splits are about."""
    asked = {i for s in splits for r in read_lines(data / name / f"questions.{s}.jsonl.gz") for i in r["doc_ids"]}
    return [d for d in read_lines(data / name / "documents.jsonl.gz") if d["id"] in asked]


def training_documents(data: Path) -> Iterator[dict[str, Any]]:
    """Every document that may be trained on, unless its normalised text is that of one that is measured."""
    sides: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for document in read_lines(data / "squad" / "documents.jsonl.gz"):
        sides[document["id"].startswith("squad-v1") or may_train(document["title"])].append(document)
    for document in read_lines(data / "medquad" / "documents.jsonl.gz"):
        sides[may_train(document["id"])].append(document)
    for name, splits in (("tatqa", ("dev",)), ("finqa", ("train", "dev")), ("pubmedqa", ("train",))):
        training = {d["id"] for d in asked_about(data, name, splits)}
        for document in read_lines(data / name / "documents.jsonl.gz"):
            sides[document["id"] in training].append(document)
    sides[False] += read_lines(data / "convfinqa" / "documents.jsonl.gz")
    measured = {normalised_text(d["text"]) for d in sides[False]}
    yield from (d for d in sides[True] if normalised_text(d["text"]) not in measured)


def normalised_text(text: str) -> str:
    """Lower case, letters and digits alone: what two copies of a text have in common."""
    return "".join(c for c in text.lower() if c.isalnum())


def row_labels(data: Path) -> list[str]:
    """Labels of rows in the tables of `tatqa` dev and `finqa` train and dev, as generated tables use them."""
    labels: dict[str, None] = {}
    for name, splits in (("tatqa", ("dev",)), ("finqa", ("train", "dev"))):
        for document in asked_about(data, name, splits):
            labels |= dict.fromkeys(first.strip(" :") for first in FIRST_CELL.findall(document["text"]))
    return [label for label in labels if WORDED.fullmatch(label)]


def passage_around(text: str, start: int, end: int, *, limit: int = 900) -> tuple[str, int] | None:
    """The passage a chunker would make around a span: its paragraph, or its table rows under the header."""
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end
    if text[line_start:line_end].lstrip().startswith("|"):
        table_start = text.rfind("\n\n", 0, start) + 2
        header_end = table_start
        for _ in range(4):
            header_end = text.find("\n", header_end) + 1
        header = text[table_start : min(header_end, line_start)]
        body_start = max(text.rfind("\n", 0, max(line_start - limit // 3, 0)) + 1, min(header_end, line_start))
        body = text[body_start : min(line_end + limit // 3, len(text))]
        if len(header) + len(body) > 2 * limit:
            return None
        return header + body, len(header) + start - body_start
    if line_end - line_start > limit:
        line_start = max(line_start, text.rfind(". ", 0, max(start - limit // 2, 0)) + 2)
        line_end = min(line_end, max(text.find(". ", end + limit // 3) + 1, end))
    return text[line_start:line_end], start - line_start
