"""Suite `reader`: the reader by itself, on the gold paragraph of measured `squad` questions."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.apps.bench.data import Question, sample, squad_questions
from understudy.apps.bench.workspaces import bar
from understudy.apps.metrics import auroc, interval, quantile
from understudy.apps.starter.corpus import squad_readings
from understudy.core.errors import DocumentError
from understudy.core.matching import exact_match, token_f1
from understudy.core.types import Observation, Passage
from understudy.retrieval.onnx_models import READER_OUTPUTS, READER_WEIGHTS, export_quantized, session
from understudy.retrieval.reader import SpanReader

__all__ = ["EightBitReader", "Read", "figures_of", "measure_reader", "precision_figures"]

PRECISION_SAMPLE = 300
"""Answerable questions that are read with 8 bits too."""


@dataclass(frozen=True)
class Read:
    """What the reader made of a question on its gold paragraph."""

    question: Question
    text: str
    """Its best span, whether or not it thinks that there is an answer."""
    score: float
    answerable: float
    seconds: float

    @property
    def exact(self) -> float:
        """Exact match of the best span."""
        return exact_match(self.text, self.question.answers)

    @property
    def f1(self) -> float:
        """F1 of the best span."""
        return token_f1(self.text, self.question.answers)


class EightBitReader(SpanReader):
    """The reader with 8-bit weights, which costs more than it saves: kept here to be measured."""

    def __init__(self, room: Path) -> None:
        from understudy.retrieval.torch_models import load_reader

        super().__init__()
        target = room / "reader.onnx"
        export_quantized(load_reader(READER_WEIGHTS), READER_OUTPUTS, target)
        self._session = session(target, None)


def measure_reader(data: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Exact match and F1, how well its scores tell answerable from unanswerable, and what 8 bits cost."""
    paragraphs = gold_paragraphs(data)
    questions = sample(squad_questions(data), limit or len(paragraphs), seed)
    answerable = [q for q in questions if q.answerable][: min(limit or PRECISION_SAMPLE, PRECISION_SAMPLE)]
    read = read_all(SpanReader(), questions, paragraphs, "reading")
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as room:
        eight = read_all(EightBitReader(Path(room)), answerable, paragraphs, "reading with 8 bits")
    return {**figures_of(read, seed), "eight_bits": precision_figures(read, eight, seed)}


def gold_paragraphs(data: Path) -> dict[str, Passage]:
    """The gold paragraph of every measured `squad` question, by the question's id."""
    questions = squad_questions(data)
    readings = list(squad_readings(data, training=False))
    if [q.text for q in questions] != [r.question for r in readings]:
        raise DocumentError(f"{data / 'squad'}: its questions and readings don't agree")
    return {
        q.id: Passage(
            document=q.document, title=r.title, version="", location="", start=0, end=len(r.passage), text=r.passage
        )
        for q, r in zip(questions, readings, strict=True)
    }


def read_all(
    reader: SpanReader, questions: Sequence[Question], paragraphs: dict[str, Passage], label: str
) -> list[Read]:
    """Questions read one by one, each on its paragraph."""
    found = []
    with bar(label, len(questions)) as advance:
        for done, question in enumerate(questions, 1):
            began = time.perf_counter()
            observation = reader.read(question.text, [paragraphs[question.id]])
            found.append(read_of(question, observation, time.perf_counter() - began))
            advance(done, None)
    return found


def read_of(question: Question, observation: Observation, seconds: float) -> Read:
    """The best finding of an observation; none is the empty answer."""
    best = observation.findings[0] if observation.findings else None
    text, score = (best.text, best.score) if best else ("", 0.0)
    return Read(question, text, score, observation.answerable or 0.0, seconds)


def figures_of(read: Sequence[Read], seed: int) -> dict[str, Any]:
    """The figures of a reader."""
    yes = [r for r in read if r.question.answerable]
    no = [r for r in read if not r.question.answerable]
    return {
        "questions": len(read),
        "answerable": {
            "exact_match": interval([r.exact for r in yes], seed),
            "f1": interval([r.f1 for r in yes], seed),
        },
        "auroc": {
            "answerable": auroc([r.answerable for r in yes], [r.answerable for r in no], seed),
            "best_span_score": auroc([r.score for r in yes], [r.score for r in no], seed),
        },
        "seconds_p50": round(quantile([r.seconds for r in read], 0.5), 4),
    }


def precision_figures(read: Sequence[Read], eight: Sequence[Read], seed: int) -> dict[str, Any]:
    """The figures with 8 bits, and by how much those at full precision exceed them on the same questions."""
    by_id = {r.question.id: r for r in read}
    pairs = [(by_id[e.question.id], e) for e in eight]
    return {
        "exact_match": interval([e.exact for e in eight], seed),
        "f1": interval([e.f1 for e in eight], seed),
        "exact_match_lost": interval([r.exact - e.exact for r, e in pairs], seed),
        "f1_lost": interval([r.f1 - e.f1 for r, e in pairs], seed),
        "seconds_p50": round(quantile([e.seconds for e in eight], 0.5), 4),
    }
