"""The reader: finds the spans of passages that may answer a question, and says how likely they answer it at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from understudy.core.types import Finding, Observation, Passage
from understudy.retrieval.embed import padded
from understudy.retrieval.onnx_models import reader_session, tokenizer_path

__all__ = ["SpanReader"]

MAX_TOKENS = 288
STRIDE = 96
LONGEST_SPAN = 30
LONGEST_QUESTION = 96
"""Tokens of a question that are read: the window must hold more than `STRIDE` tokens of passage besides."""
CELL_EDGE = re.compile(r"[|\n]")
"""No span crosses a table cell or a line."""
SENTENCE_EDGE = re.compile(r"[.!?][\"')\]”]*\s+(?=[A-Z0-9\"“(])")


@dataclass(frozen=True)
class Span:
    """A candidate in passage coordinates."""

    passage: int
    start: int
    end: int
    score: float


class SpanReader:
    """An extractive reader on the embedder's encoder (a low-rank update and two heads).

    Args:
        threads: of onnxruntime; all cores by default.
        spans: how many findings at most.
    """

    def __init__(self, *, threads: int | None = None, spans: int = 4) -> None:
        self._session: Any = reader_session(threads)
        self._tokenizer = Tokenizer.from_file(str(tokenizer_path()))
        self._tokenizer.no_padding()
        self._questions = Tokenizer.from_file(str(tokenizer_path()))
        self._questions.no_padding()
        self._questions.enable_truncation(LONGEST_QUESTION)
        self._tokenizer.enable_truncation(MAX_TOKENS, stride=STRIDE, strategy="only_second")
        self._spans = spans

    def read(self, question: str, passages: Sequence[Passage]) -> Observation:
        """Findings, best first, and the probability that these passages answer the question."""
        if not passages:
            return Observation(answerable=0.0)
        question = self._shortened(question)
        windows = [
            (index, window)
            for index, passage in enumerate(passages)
            for window in self._windows(question, f"{passage.title}\n{passage.text}")
        ]
        candidates: list[Span] = []
        best = 0.0
        prefix = [len(p.title) + 1 for p in passages]
        for at in range(0, len(windows), 16):
            part = windows[at : at + 16]
            feed = padded([w.ids for _, w in part], [w.type_ids for _, w in part])
            spans, answerable = self._session.run(None, feed)
            for (index, window), logits, logit in zip(part, spans, answerable, strict=True):
                found, probability = candidates_of(window, logits, float(logit), index, prefix[index])
                candidates += found
                best = max(best, probability)
        whole = [c for c in candidates if not CELL_EDGE.search(passages[c.passage].text, c.start, c.end)]
        chosen = non_overlapping(sorted(whole, key=lambda s: -s.score), self._spans)
        return Observation(findings=tuple(finding(s, passages[s.passage]) for s in chosen), answerable=best)

    def _windows(self, question: str, text: str) -> list[Any]:
        encoding = self._tokenizer.encode(question, text)
        return [encoding, *encoding.overflowing]

    def _shortened(self, question: str) -> str:
        """The question as far as it is read (a tokenizer that truncates passages only must fit it whole)."""
        question = question.strip()
        offsets = self._questions.encode(question, add_special_tokens=False).offsets
        return question[: offsets[-1][1]] if offsets else ""


def candidates_of(
    window: Any, logits: NDArray[np.float32], answerable: float, index: int, prefix: int
) -> tuple[list[Span], float]:
    """The best spans of one window, and the probability that it answers at all.

    A span's score is its probability against "no answer here" and the window's other spans, times the
    answerability of the window.
    """
    offsets = np.array(window.offsets)
    inside = (np.array(window.type_ids) == 1) & (offsets[:, 0] >= prefix) & (offsets[:, 1] > offsets[:, 0])
    positions = np.flatnonzero(inside)
    if not len(positions):
        return [], 0.0
    starts, ends = logits[: len(offsets), 0], logits[: len(offsets), 1]
    null = float(starts[0] + ends[0])
    table = starts[positions][:, None] + ends[positions][None, :]
    width = positions[None, :] - positions[:, None]
    table = np.where((width >= 0) & (width < LONGEST_SPAN), table, -np.inf)
    top = max(float(table.max()), null)
    mass = np.exp(table - top)
    total = float(mass.sum()) + float(np.exp(null - top))
    gate = 1 / (1 + float(np.exp(-answerable)))
    flat = np.argsort(table, axis=None)[::-1][:40]
    found = []
    for i, j in zip(*np.unravel_index(flat, table.shape), strict=True):
        if np.isfinite(table[i, j]):
            start, end = int(offsets[positions[i], 0]) - prefix, int(offsets[positions[j], 1]) - prefix
            found.append(Span(index, start, end, float(mass[i, j]) / total * gate))
    return found, (1 - float(np.exp(null - top)) / total) * 0.5 + gate * 0.5


def non_overlapping(spans: Sequence[Span], count: int) -> list[Span]:
    """The first spans of a ranking that don't overlap one before them."""
    kept: list[Span] = []
    for span in spans:
        if all(k.passage != span.passage or span.end <= k.start or span.start >= k.end for k in kept):
            kept.append(span)
        if len(kept) == count:
            break
    return kept


def finding(span: Span, passage: Passage) -> Finding:
    """A span in document coordinates, with the sentence or table row around it."""
    start, end = around(passage.text, span.start, span.end, table=passage.table)
    return Finding(
        text=passage.text[span.start : span.end], score=span.score, origin="reader", passage=span.passage,
        start=passage.start + span.start, end=passage.start + span.end,
        quote_start=passage.start + start, quote_end=passage.start + end,
    )  # fmt: skip


def around(text: str, start: int, end: int, *, table: bool) -> tuple[int, int]:
    """The row of a table, or the sentences, that hold a span."""
    line_start, line_end = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end
    if table:
        return line_start, line_end
    line = text[line_start:line_end]
    edges = [(m.start() + len(m.group().rstrip()), m.end()) for m in SENTENCE_EDGE.finditer(line)]
    first = max((after for _, after in edges if line_start + after <= start), default=0)
    last = min((before for before, _ in edges if line_start + before >= end), default=len(line))
    return line_start + first, line_start + last
