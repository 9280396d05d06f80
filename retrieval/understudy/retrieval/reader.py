"""The reader: finds the spans of passages that may answer a question, and says how likely they answer it at all."""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from understudy.core.types import Finding, Observation, Passage
from understudy.retrieval.confidence import SIGNALS, Confidence, missing_share, stop_ids
from understudy.retrieval.embed import padded
from understudy.retrieval.onnx_models import READER_WEIGHTS, reader_session, tokenizer_path
from understudy.retrieval.verdict import NO, YES, Verdict, polar

__all__ = ["SpanReader"]

MAX_TOKENS = 288
STRIDE = 96
BREADTH = 5
"""Passages that a reader is given, unless an adapter has learned to read more."""
ANSWERABLE = SIGNALS.index("answerable")
AT_ONCE = 4
"""Windows of a run: what they need in between stays in a core's cache then, which saves a third of the time."""
LONGEST_SPAN = 48
CANDIDATES = 20
"""Spans of a window that are looked at."""
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
    signals: tuple[float, ...]
    """In the order of `SIGNALS`."""


class SpanReader:
    """An extractive reader on the embedder's encoder (a low-rank update and two heads).

    Args:
        threads: of onnxruntime; all cores by default.
        spans: how many findings at most.
        weights: other than the shipped ones, such as an adapter's.
        confidence: other than what lies in the weights.
        breadth: passages that it is to be given.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        spans: int = 4,
        weights: Path = READER_WEIGHTS,
        confidence: Confidence | None = None,
        breadth: int = BREADTH,
    ) -> None:
        self.breadth = breadth
        self._session: Any = reader_session(threads, weights)
        self._confidence = confidence or Confidence.load(weights)
        self._verdict = Verdict.load(weights)
        self._tokenizer = Tokenizer.from_file(str(tokenizer_path()))
        self._tokenizer.no_padding()
        self._questions = Tokenizer.from_file(str(tokenizer_path()))
        self._questions.no_padding()
        self._questions.enable_truncation(LONGEST_QUESTION)
        self._tokenizer.enable_truncation(MAX_TOKENS, stride=STRIDE, strategy="only_second")
        self._stop = stop_ids(self._questions)
        self._spans = spans
        self._weights = weights
        self._turns: AbstractContextManager[object] = nullcontext()

    def in_parallel(self, cores: int) -> SpanReader:
        """The same, for several questions at once, each read by one core: no core waits for another then."""
        other = copy.copy(self)
        other._session, other._turns = reader_session(1, self._weights), threading.BoundedSemaphore(cores)
        return other

    def read(self, question: str, passages: Sequence[Passage], expected: float | None = None) -> Observation:
        """Findings, best first, and the probability that these passages answer the question.

        A finding's score is the probability that it is the right answer. With a verdict, a question for yes or no
        gets that as its only finding: "Yes" with the words that it rests on, or "No", which rests on all passages.
        """
        candidates = self.candidates(question, passages)
        if self._verdict is not None and candidates and polar(question):
            said = verdict_finding(self._verdict, candidates, passages, expected)
            return Observation(findings=(said,), answerable=said.score)
        rated = [(*self._confidence.of(span.signals), span) for span in candidates]
        ranked = sorted(rated, key=lambda r: -r[0])
        chosen = non_overlapping([(right, span) for right, _, span in ranked], self._spans)
        return Observation(
            findings=tuple(finding(span, right, passages[span.passage]) for right, span in chosen),
            answerable=max((answers for _, answers, _ in rated), default=0.0),
        )

    def candidates(self, question: str, passages: Sequence[Passage]) -> list[Span]:
        """The likeliest spans of every window of every passage, with their signals."""
        question = self._shortened(question)
        texts = [heading(p) + p.text for p in passages]
        windows = [(index, window) for index, text in enumerate(texts) for window in self._windows(question, text)]
        prefix = [len(heading(p)) for p in passages]
        edges = [np.array([m.start() for m in CELL_EDGE.finditer(text)], dtype=np.int64) for text in texts]
        read = self._run([window for _, window in windows])
        found: list[Span] = []
        for (index, window), (logits, logit) in zip(windows, read, strict=True):
            missing = missing_share(*sides(window), self._stop)
            found += candidates_of(window, logits, logit, missing, edges[index], index, prefix[index])
        return [s for s in found if any(map(str.isalnum, passages[s.passage].text[s.start : s.end]))]

    def _run(self, windows: Sequence[Any]) -> list[tuple[NDArray[np.float32], float]]:
        """The logits of spans and of answerability, by window. Batches are small and of like length."""
        order = sorted(range(len(windows)), key=lambda n: len(windows[n].ids))
        read: dict[int, tuple[NDArray[np.float32], float]] = {}
        for at in range(0, len(order), AT_ONCE):
            part = order[at : at + AT_ONCE]
            feed = padded([windows[n].ids for n in part], [windows[n].type_ids for n in part])
            with self._turns:
                spans, answerable = self._session.run(None, feed)
            read |= {n: (logits, float(logit)) for n, logits, logit in zip(part, spans, answerable, strict=True)}
        return [read[n] for n in range(len(windows))]

    def _windows(self, question: str, text: str) -> list[Any]:
        encoding = self._tokenizer.encode(question, text)
        return [encoding, *encoding.overflowing]

    def _shortened(self, question: str) -> str:
        """The question as far as it is read (a tokenizer that truncates passages only must fit it whole)."""
        question = question.strip()
        offsets = self._questions.encode(question, add_special_tokens=False).offsets
        return question[: offsets[-1][1]] if offsets else ""


def heading(passage: Passage) -> str:
    """What is read before a passage's text, and no span is taken of: its title, and a table's header."""
    return f"{passage.title}\n{passage.context}\n" if passage.table and passage.context else f"{passage.title}\n"


def sides(window: Any) -> tuple[list[int], list[int]]:
    """The token ids of a window's question and of its passage."""
    pairs = list(zip(window.ids, window.type_ids, window.special_tokens_mask, strict=True))
    return [i for i, t, special in pairs if t == 0 and not special], [i for i, t, _ in pairs if t == 1]


def candidates_of(
    window: Any,
    logits: NDArray[np.float32],
    answerable: float,
    missing: float,
    edges: NDArray[np.int64],
    index: int,
    prefix: int,
) -> list[Span]:
    """The best spans of one window that stay inside one line and cell.

    Args:
        window: the tokenizer's encoding of question and passage.
        logits: of starts and ends, `[tokens, 2]`; those of position 0 stand for "no answer here".
        answerable: the logit of the answerability head.
        missing: share of the question's words that the passage lacks.
        edges: where lines and cells end in what was read, in characters.
        index: of the passage.
        prefix: characters before the passage's text, of which no span is taken.
    """
    offsets = np.array(window.offsets)
    inside = (np.array(window.type_ids) == 1) & (offsets[:, 0] >= prefix) & (offsets[:, 1] > offsets[:, 0])
    inside &= ~np.isin(offsets[:, 0], edges)
    positions = np.flatnonzero(inside)
    if not len(positions):
        return []
    starts, ends = logits[: len(offsets), 0], logits[: len(offsets), 1]
    null = float(starts[0] + ends[0])
    table = starts[positions][:, None] + ends[positions][None, :]
    width = positions[None, :] - positions[:, None]
    cell = np.searchsorted(edges, offsets[positions, 0])
    whole = (width >= 0) & (width < LONGEST_SPAN) & (cell[:, None] == cell[None, :])
    table = np.where(whole, table, -np.inf)
    top = float(table.max())
    all_spans = top + float(np.log(np.exp(table - top).sum()))
    found = []
    for flat in np.argsort(table, axis=None)[::-1][:CANDIDATES]:
        i, j = np.unravel_index(flat, table.shape)
        if np.isfinite(table[i, j]):
            start, end = int(offsets[positions[i], 0]) - prefix, int(offsets[positions[j], 1]) - prefix
            logit = float(table[i, j])
            signals = (logit - null, answerable, logit - all_spans, missing)
            found.append(Span(index, start, end, signals))
    return found


def non_overlapping(spans: Sequence[tuple[float, Span]], count: int) -> list[tuple[float, Span]]:
    """The first spans of a ranking that don't overlap one before them."""
    kept: list[tuple[float, Span]] = []
    for score, span in spans:
        if all(k.passage != span.passage or span.end <= k.start or span.start >= k.end for _, k in kept):
            kept.append((score, span))
        if len(kept) == count:
            break
    return kept


def likeliest(candidates: Sequence[Span]) -> dict[int, Span]:
    """By passage, the span of the highest answerability, and of that window the likeliest."""
    best: dict[int, Span] = {}
    for span in candidates:
        held = best.get(span.passage)
        if held is None or (span.signals[ANSWERABLE], span.signals[0]) > (held.signals[ANSWERABLE], held.signals[0]):
            best[span.passage] = span
    return best


def verdict_finding(
    verdict: Verdict, candidates: Sequence[Span], passages: Sequence[Passage], expected: float | None
) -> Finding:
    """Yes, with the sentence around the likeliest span of the likeliest passage; or no, with none."""
    best = likeliest(candidates)
    yes = verdict.of([span.signals[ANSWERABLE] for span in best.values()], expected)
    if yes < 0.5:
        return Finding(text=NO, score=1 - yes, origin="reader")
    span = max(best.values(), key=lambda s: s.signals[ANSWERABLE])
    around_it = finding(span, yes, passages[span.passage])
    return around_it.model_copy(update={"text": YES, "start": None, "end": None})


def finding(span: Span, score: float, passage: Passage) -> Finding:
    """A span in document coordinates, with the sentence or table row around it."""
    start, end = around(passage.text, span.start, span.end, table=passage.table)
    return Finding(
        text=passage.text[span.start : span.end], score=score, origin="reader", passage=span.passage,
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
