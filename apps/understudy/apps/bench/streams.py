"""Streams of questions with an oracle to consult: what a workspace would see over its first weeks."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.agents.deferral.agreement import agreement
from understudy.apps.folder import read_lines
from understudy.core.matching import pure_number
from understudy.core.types import Answer, Draft, Evidence, Example, ExpertAnswer, Scope
from understudy.core.workspace import write_atomically
from understudy.retrieval.verdict import polarity

__all__ = ["Asked", "Stream", "cuad_stream", "documents_of", "kind_of", "right", "tatqa_stream", "write_oracle"]

DEVELOPED_ON = 60
"""Contracts that were looked at while this was built: nothing is measured on them."""
CONTRACTS, EACH = 150, 10
SENTENCE = re.compile(r"(?<=[.;:])\s+|\n+")
SHORTEST_QUOTE = 20
NOT_THERE = "The document does not say."


@dataclass(frozen=True)
class Asked:
    """A question of one document, with its gold answers: none where the document doesn't hold one."""

    text: str
    document: str
    answers: tuple[str, ...]
    evidence: tuple[str, ...]
    """Words of the document that the answer rests on."""
    kind: str
    """Of the gold answer: every kind counts the same where classes are balanced."""


@dataclass(frozen=True)
class Stream:
    """Questions in the order of asking, and others of documents that are never asked about in it."""

    name: str
    questions: tuple[Asked, ...]
    held_out: tuple[Asked, ...]


def kind_of(answers: Sequence[str], *, numbers: bool) -> str:
    """What sort of answer gold is; numbers are one where the documents are full of them."""
    said = polarity(answers[0]) if answers else None
    if said is not None and len(answers[0].strip(" .")) <= len("yes"):
        return "yes" if said else "no"
    if not answers:
        return "not there"
    return "number" if numbers and pure_number(answers[0]) else "words"


def cuad_stream(data: Path, seed: int) -> Stream:
    """Contracts one after another, each with ten of the 41 questions that recur; other contracts are held out."""
    by_contract: dict[str, list[Asked]] = {}
    for record in read_lines(data / "cuad" / "questions.all.jsonl.gz"):
        by_contract.setdefault(str(record["doc_ids"][0]), []).append(asked(record, numbers=False))
    contracts = sorted(by_contract)
    random.Random(7).shuffle(contracts)
    order = contracts[DEVELOPED_ON:]
    rng = random.Random(seed)
    rng.shuffle(order)
    drawn = [q for c in order for q in rng.sample(by_contract[c], min(EACH, len(by_contract[c])))]
    in_stream = frozenset(order[:CONTRACTS])
    return Stream(
        "cuad",
        tuple(q for q in drawn if q.document in in_stream),
        tuple(q for q in drawn if q.document not in in_stream),
    )


def tatqa_stream(data: Path, seed: int) -> Stream:
    """Reports one after another with their questions; the last sixth of them is held out."""
    by_report: dict[str, list[Asked]] = {}
    for record in read_lines(data / "tatqa" / "questions.test.jsonl.gz"):
        by_report.setdefault(str(record["doc_ids"][0]), []).append(asked(record, numbers=True))
    order = sorted(by_report)
    random.Random(seed).shuffle(order)
    cut = len(order) * 5 // 6
    streamed, held = (tuple(q for r in part for q in by_report[r]) for part in (order[:cut], order[cut:]))
    return Stream("tatqa", streamed, held)


def asked(record: Mapping[str, Any], *, numbers: bool) -> Asked:
    """A record as a question."""
    evidence = record["meta"].get("evidence") or []
    answers = tuple(record["answers"]) if record["answerable"] else ()
    return Asked(
        text=str(record["question"]),
        document=str(record["doc_ids"][0]),
        answers=answers,
        evidence=tuple(str(e["text"]) for e in evidence if e.get("text")),
        kind=kind_of(answers, numbers=numbers),
    )


def documents_of(questions: Sequence[Asked], name: str, data: Path, out: Path) -> Path:
    """A file of the documents alone that are asked about, of the set `name`."""
    import gzip

    path = out / f"{name}-stream.jsonl.gz"
    wanted = {q.document for q in questions}
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for document in read_lines(data / name / "documents.jsonl.gz"):
            if document["id"] in wanted:
                file.write(json.dumps(document) + "\n")
    return path


def write_oracle(stream: Stream, path: Path) -> None:
    """What the oracle says to every question, as recorded answers: gold, with the gold evidence sentence by sentence.

    To a question for yes or no whose document holds nothing of the kind it says "No", resting on nothing that is there.
    """
    lines = []
    for question in (*stream.questions, *stream.held_out):
        there = question.kind not in ("no", "not there")
        quotes = [{"document": question.document, "quote": q} for q in quotes_of(question)] if there else []
        lines.append(
            {
                "question": question.text,
                "document": question.document,
                "text": question.answers[0] if question.answers else NOT_THERE,
                "citations": quotes,
                "not_in_documents": not there,
            }
        )
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in lines))


def quotes_of(question: Asked) -> Iterator[str]:
    """The evidence in pieces that a passage can hold; the answer itself, where that is all there is."""
    for text in question.evidence:
        pieces = [piece.strip() for piece in SENTENCE.split(text)]
        kept = [piece for piece in pieces if len(piece) >= SHORTEST_QUOTE]
        yield from kept or [text.strip()]


def right(question: Asked, answer: Answer) -> float:
    """Whether an answer is as good as the oracle's."""
    if answer.route == "expert":
        return 1.0
    if answer.route == "declined":
        return float(question.kind == "not there")
    return right_text(question, answer.text)


def right_text(question: Asked, text: str) -> float:
    """Whether some words are right, as quality is compared in use."""
    if question.kind in ("yes", "no"):
        return float(polarity(text) == (question.kind == "yes"))
    said = Draft(text=text, citations=(), mean_logprob=0.0, min_logprob=0.0, removed_mass=0.0)
    return max((agreement(said, ExpertAnswer(text=gold, expert="oracle")) for gold in question.answers), default=0.0)


def as_example(question: Asked, small_model: str) -> Example:
    """A question as the small model plays it alone; nothing is learned from it."""
    return Example(
        question=question.text,
        scope=Scope(document=question.document),
        transcript=(),
        evidence=Evidence(),
        draft=None,
        expert=ExpertAnswer(text=question.answers[0] if question.answers else NOT_THERE, expert="oracle"),
        small_model=small_model,
        principal="owner",
    )


Streams: Mapping[str, Callable[[Path, int], Stream]] = {"cuad": cuad_stream, "tatqa": tatqa_stream}
