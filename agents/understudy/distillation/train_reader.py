"""The reader's adapter: LoRA from experts' quotes, with a verdict fitted on examples kept apart."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.core.machine import peak_mib
from understudy.core.provenance import behind, dumped, together
from understudy.core.types import Example, Passage, Scope
from understudy.core.workspace import write_atomically
from understudy.distillation.batching import batches_of_like_length
from understudy.distillation.cloze import Reading, cloze_readings
from understudy.distillation.lessons import Lesson, encoded, encoder, lessons_of, says, widened
from understudy.distillation.train_heads import train_heads
from understudy.retrieval.confidence import CALIBRATION, Confidence
from understudy.retrieval.heads import Heads
from understudy.retrieval.hybrid import HybridRetriever
from understudy.retrieval.onnx_models import READER_WEIGHTS
from understudy.retrieval.reader import ANSWERABLE, SpanReader, likeliest
from understudy.retrieval.verdict import VERDICT, evidence_of

__all__ = ["ADAPTER", "HEADS", "READ", "ReaderRecipe", "ReaderTrainer"]

ADAPTER = "reader.safetensors"
HEADS = "heads.safetensors"
READ = "read"
"""Among the figures of a run: all documents behind it, as `core.provenance` dumps them."""
TRAINED, FIGURES = "reader.trained.safetensors", "reader.json"
EXPECTED = [0.0, 0.0, 1.0, 0.0]
"""The verdict that says what is expected."""
LEAST_OF_A_CLASS = 8
"""Held-out cases of either kind below which nothing is fitted."""


@dataclass(frozen=True)
class ReaderRecipe:
    """Everything that decides the outcome, besides the examples."""

    seed: int = 17
    breadth: int = 8
    """Passages that are read for a question: more than the small model is shown, since a reader costs little."""
    layers: int = 3
    """The highest of the encoder's six that are adapted: half of the cost of all, on two cores."""
    others: int = 4
    """Passages without the answer that are learned from, a question."""
    replay: float = 0.2
    """Clozes over the same passages, as a share of all readings: so that it goes on reading what nobody asked."""
    epochs: float = 2.0
    batch: int = 16
    learning_rate: float = 3e-4
    averaged: float = 0.98
    steps: int = 0
    """Set from the examples, the batch and the epochs."""


Wide = tuple[Example, list[Passage]]
"""An example with the passages that are read for it."""


class ReaderTrainer:
    """Trains one adapter in a folder of its own, where a run that was killed goes on.

    Args:
        retriever: of the documents that were asked about.
        recipe: see `ReaderRecipe`.
        base: the reader that is adapted.
    """

    def __init__(
        self, retriever: HybridRetriever, recipe: ReaderRecipe | None = None, base: Path = READER_WEIGHTS
    ) -> None:
        self._retriever = retriever
        self._base = base
        self.recipe = recipe or ReaderRecipe()

    def train(
        self, folder: Path, examples: Sequence[Example], held_out: Sequence[Example], others: Sequence[Example]
    ) -> dict[str, Any]:
        """Train, and give the figures of the run: steps, seconds, CPU-seconds, peak memory.

        Heads learn from `others` too: see there why they may.
        """
        done = folder / FIGURES
        if done.exists():
            return dict(json.loads(done.read_text(encoding="utf-8")))
        import torch

        from understudy.distillation.checkpoint import identity_of
        from understudy.distillation.reader_lora import build_model, export, fit, freeze_lower, rank_of, take_up

        began, cpu = time.monotonic(), time.process_time()
        heads = self._heads(folder, [*examples, *held_out, *others])
        rng, tokenizer = random.Random(self.recipe.seed), encoder()
        wide, watching = self._wide_each(examples), self._wide_each(held_out)
        taught = self._lessons(wide, rng)
        readings = [encoded(lesson, tokenizer) for lesson in [*taught, *self._replayed(taught, rng)]]
        watched = [encoded(lesson, tokenizer) for lesson in self._lessons(watching, rng)]
        recipe = self.recipe
        steps = max(1, math.ceil(len(readings) / recipe.batch * recipe.epochs))
        order = partial(
            batches_of_like_length, length=lambda e: len(e.ids), batch=recipe.batch, pool=20, seed=recipe.seed
        )
        plan = order(readings, steps=steps)
        recipe = ReaderRecipe(**{**asdict(recipe), "steps": steps})
        torch.manual_seed(recipe.seed)
        model = build_model(rank_of(self._base))
        take_up(model, self._base)
        freeze_lower(model, recipe.layers)
        identity = identity_of(
            asdict(recipe), ([*e.ids, e.start, e.end, bool(e.answers)] for batch in plan for e in batch)
        )
        watched_plan = order(watched, steps=math.ceil(len(watched) / recipe.batch)) if watched else []
        trained = fit(model, plan, recipe, folder / "reader.checkpoint.pt", identity, held_out=watched_plan)
        export(trained, asdict(recipe), folder / TRAINED, self._base)
        figures = {
            "examples": len(examples),
            "heads": len({key for key, _ in heads.by_question}) if heads else 0,
            "readings": len(readings),
            "readings_that_answer": sum(lesson.answers for lesson in taught),
            "steps": steps,
            "seconds": round(time.monotonic() - began, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "peak_mib": round(peak_mib()),
            READ: dumped(together(*map(behind, [*examples, *held_out, *others]), read_of([*wide, *watching]))),
        }
        write_atomically(done, json.dumps(figures) + "\n")
        return figures

    def export(self, folder: Path, held_out: Sequence[Example]) -> dict[str, Path]:
        """The adapter's files, its verdict fitted on examples that it was not trained on.

        What its scores mean is left as it was: some dozen examples of one domain would turn the order of spans round
        elsewhere, and how far they can be trusted here is the deferral's to learn.
        """
        from safetensors import safe_open
        from safetensors.numpy import load_file, save_file

        trained, target = folder / TRAINED, folder / ADAPTER
        files = {ADAPTER: target} | ({HEADS: folder / HEADS} if (folder / HEADS).exists() else {})
        if target.exists():
            return files
        confidence = Confidence.load(self._base)
        reader = SpanReader(weights=trained, confidence=confidence)
        retriever = self._retriever.taught(Heads.load(files[HEADS]) if HEADS in files else None)
        seen = [self._seen(reader, retriever, example) for example in held_out]
        tensors = load_file(trained) | {CALIBRATION: confidence.weights}
        verdict = verdict_of(seen)
        if verdict is not None:
            tensors[VERDICT] = verdict
        with safe_open(trained, "numpy") as file:
            metadata = file.metadata()
        partial_file = target.with_suffix(".tmp")
        save_file(tensors, partial_file, metadata)
        partial_file.replace(target)
        return files

    def _heads(self, folder: Path, examples: Sequence[Example]) -> Heads | None:
        """Those that some examples teach, kept in the folder."""
        heads = train_heads(examples, self._retriever.document, self._retriever.embed, self.recipe.seed)
        if heads is not None:
            heads.save(folder / HEADS)
        return heads

    def _wide_each(self, examples: Sequence[Example]) -> list[Wide]:
        found = ((e, self._retriever.search(e.question, e.scope, limit=self.recipe.breadth)) for e in examples)
        return [(e, widened(e, passages)) for e, passages in found]

    def _lessons(self, wide: Sequence[Wide], rng: random.Random) -> list[Lesson]:
        return [lesson for e, passages in wide for lesson in lessons_of(e, passages, self.recipe.others, rng)]

    def _replayed(self, lessons: Sequence[Lesson], rng: random.Random) -> list[Lesson]:
        """Clozes over the passages of the lessons."""
        passages = {(p.document, p.title, p.text): p for p in (lesson.passage for lesson in lessons) if not p.table}
        wanted = round(len(lessons) * self.recipe.replay / (1 - self.recipe.replay))
        chosen = rng.sample(sorted(passages), min(len(passages), wanted))
        by_text = {text: passages[key] for key in chosen for text in [key[2]]}
        made = cloze_readings(chosen, rng, each=1, missing=0.0)
        return [as_lesson(reading, by_text[reading.passage]) for reading in made]

    def _seen(self, reader: SpanReader, retriever: HybridRetriever, example: Example) -> Seen:
        # As it will be in use: what the expert quoted is not added here.
        passages = retriever.search(example.question, example.scope, limit=self.recipe.breadth)
        candidates = reader.candidates(example.question, passages)
        return Seen(
            logits=[s.signals[ANSWERABLE] for s in likeliest(candidates).values()],
            expected=retriever.expect(example.question, example.scope),
            said=says(example),
        )


@dataclass(frozen=True)
class Seen:
    """What the trained reader makes of a held-out example."""

    logits: list[float]
    """Of its passages, that they answer."""
    expected: float | None
    said: bool | None


def read_of(wide: Sequence[Wide]) -> tuple[Scope, ...]:
    """The documents of some passages."""
    return together(Scope(collection=e.scope.collection, document=p.document) for e, found in wide for p in found)


def as_lesson(reading: Reading, passage: Passage) -> Lesson:
    """A cloze on a passage."""
    return Lesson(reading.question, passage, True, reading.start, reading.end)


def verdict_of(seen: Sequence[Seen]) -> NDArray[np.float32] | None:
    """`[4]`: as fitted; what is expected, where too few examples say yes or no; `None` where nothing is."""
    row = logistic([(evidence_of(s.logits, s.expected), s.said) for s in seen if s.said is not None and s.logits])
    if row is None and any(s.expected is not None for s in seen if s.said is not None):
        row = EXPECTED
    return None if row is None else np.array(row, dtype=np.float32)


def logistic(cases: Sequence[tuple[Sequence[float], bool]]) -> list[float] | None:
    """Weights and intercept of a logistic regression; `None` where either class has too few."""
    truth = [right for _, right in cases]
    if min(sum(truth), len(truth) - sum(truth)) < LEAST_OF_A_CLASS:
        return None
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    model = LogisticRegression(C=1.0, max_iter=2000).fit(np.array([signals for signals, _ in cases]), np.array(truth))
    return [*model.coef_[0].tolist(), float(model.intercept_[0])]
