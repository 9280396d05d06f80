"""Suite `reader`: the reader by itself, on the gold paragraph of measured `squad` questions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.apps.bench.data import Question, sample, squad_questions
from understudy.apps.bench.metrics import auroc, exact_match, interval, quantile, token_f1
from understudy.apps.bench.workspaces import bar
from understudy.apps.starter.corpus import squad_readings
from understudy.core.errors import DocumentError
from understudy.core.types import Observation, Passage
from understudy.retrieval.onnx_models import READER_WEIGHTS
from understudy.retrieval.reader import SpanReader

__all__ = ["FullPrecisionReader", "Read", "figures_of", "measure_reader", "precision_figures"]

PRECISION_SAMPLE = 300
"""Answerable questions that are read at full precision too."""


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


class FullPrecisionReader(SpanReader):
    """The reader with 32-bit weights: the same windows and span search around torch instead of the 8-bit graph."""

    def __init__(self) -> None:
        from understudy.retrieval.torch_models import load_reader

        super().__init__()
        self._session = TorchSession(load_reader(READER_WEIGHTS))


class TorchSession:
    """A torch module behind the one call of an onnxruntime session that readers use."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def run(self, outputs: None, feed: dict[str, NDArray[np.int64]]) -> list[NDArray[np.float32]]:
        """All outputs for a batch."""
        import torch

        with torch.inference_mode():
            found = self._module(**{name: torch.from_numpy(array) for name, array in feed.items()})
        return [tensor.numpy() for tensor in found]


def measure_reader(data: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Exact match and F1, how well its scores tell answerable from unanswerable, and what 8 bits cost."""
    paragraphs = gold_paragraphs(data)
    questions = sample(squad_questions(data), limit or len(paragraphs), seed)
    answerable = [q for q in questions if q.answerable][: min(limit or PRECISION_SAMPLE, PRECISION_SAMPLE)]
    read = read_all(SpanReader(), questions, paragraphs, "reading")
    full = read_all(FullPrecisionReader(), answerable, paragraphs, "reading at full precision")
    return {**figures_of(read, seed), "full_precision": precision_figures(read, full, seed)}


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


def precision_figures(read: Sequence[Read], full: Sequence[Read], seed: int) -> dict[str, Any]:
    """The figures at full precision, and by how much they exceed those of 8 bits on the same questions."""
    by_id = {r.question.id: r for r in read}
    pairs = [(by_id[f.question.id], f) for f in full]
    return {
        "exact_match": interval([f.exact for f in full], seed),
        "f1": interval([f.f1 for f in full], seed),
        "exact_match_lost_by_8_bits": interval([f.exact - r.exact for r, f in pairs], seed),
        "f1_lost_by_8_bits": interval([f.f1 - r.f1 for r, f in pairs], seed),
    }
