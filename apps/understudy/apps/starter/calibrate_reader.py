"""Fit what the reader's scores mean, and measure it, on articles that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from understudy.apps.starter.corpus import (
    held_for_planner,
    squad_readings,
    tatqa_readings,
)
from understudy.apps.starter.search import TrainingIndex
from understudy.core.matching import exact_match, token_f1
from understudy.core.types import Passage, Scope
from understudy.distillation.cloze import Reading
from understudy.retrieval.confidence import CALIBRATION, SIGNALS, Confidence
from understudy.retrieval.reader import Span, SpanReader

__all__ = ["calibrate", "evaluate"]

RIGHT = 0.6
"""Token F1 with the gold span from which a span counts as right."""
UNANSWERABLE_SHARE = 0.4
"""What part of users' questions is taken to have no answer: the few held ones that have none are weighted up to it."""


@dataclass
class Labelled:
    """Signals of likeliest spans, with what was true of them."""

    signals: list[tuple[float, ...]] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    answers: list[bool] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)


def held_readings(data: Path) -> list[Reading]:
    """Questions of the groups kept from the reader's training."""
    return [r for r in [*squad_readings(data), *tatqa_readings(data)] if held_for_planner(r.group)]


def calibrate(data: Path, out: Path, weights: Path) -> dict[str, float]:
    """Fit both probabilities, write them into the reader's file, and give its scores on the held articles."""
    readings = held_readings(data)
    uncalibrated = Confidence(np.zeros((2, len(SIGNALS) + 1), dtype=np.float32))
    labelled = label(readings, TrainingIndex(data, out), SpanReader(weights=weights, confidence=uncalibrated))
    rows = [fitted(labelled, labelled.right), fitted(labelled, labelled.answers)]
    with safe_open(weights, "numpy") as file:
        metadata = file.metadata()
    tensors = load_file(weights) | {CALIBRATION: np.array(rows, dtype=np.float32)}
    save_file(tensors, weights, metadata)
    return evaluate(readings, SpanReader(weights=weights))


def label(readings: Sequence[Reading], index: TrainingIndex, reader: SpanReader) -> Labelled:
    """The likeliest span of every passage that a search for the question brings, and of the gold one."""
    found = Labelled()
    none = sum(r.start is None for r in readings)
    weight = UNANSWERABLE_SHARE / (1 - UNANSWERABLE_SHARE) * (len(readings) - none) / max(1, none)
    for reading in readings:
        passages = [*index.retriever.search(reading.question, Scope(), limit=5)]
        if not any(p.text in reading.passage for p in passages):
            passages.append(as_passage(reading))
        gold = "" if reading.start is None else reading.passage[reading.start : reading.end]
        best: dict[int, Span] = {}
        for span in reader.candidates(reading.question, passages):
            if span.passage not in best or span.signals[0] > best[span.passage].signals[0]:
                best[span.passage] = span
        for span in best.values():
            text = passages[span.passage].text
            found.signals.append(span.signals)
            found.right.append(bool(gold) and token_f1(text[span.start : span.end], [gold]) >= RIGHT)
            found.answers.append(bool(gold) and text in reading.passage and gold in text)
            found.weights.append(1.0 if gold else weight)
    return found


def fitted(labelled: Labelled, truth: Sequence[bool]) -> list[float]:
    """Weights and intercept of a logistic regression."""
    model = LogisticRegression(C=1.0, max_iter=2000)
    model.fit(np.array(labelled.signals), np.array(truth), sample_weight=np.array(labelled.weights))
    return [*model.coef_[0].tolist(), float(model.intercept_[0])]


def as_passage(reading: Reading) -> Passage:
    """A reading's passage as the retriever would give it."""
    text = reading.passage
    return Passage(
        document=reading.group, title=reading.title, version="", location="", start=0, end=len(text), text=text
    )


def evaluate(readings: Sequence[Reading], reader: SpanReader) -> dict[str, float]:
    """Exact match, F1 and AUROC on gold passages."""
    exact, f1, scores, truth = [], [], [], []
    for reading in readings:
        read = reader.read(reading.question, [as_passage(reading)])
        scores.append(read.answerable or 0.0)
        truth.append(reading.start is not None)
        if reading.start is not None:
            gold, said = reading.passage[reading.start : reading.end], read.findings[0].text if read.findings else ""
            exact.append(exact_match(said, [gold]))
            f1.append(token_f1(said, [gold]))
    return {
        "questions": len(readings),
        "exact_match": round(sum(exact) / len(exact), 4),
        "f1": round(sum(f1) / len(f1), 4),
        "auroc_where_fitted": round(float(roc_auc_score(truth, scores)), 4),
    }
