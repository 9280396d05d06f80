"""What the reader is trained on: clozes over all that may be trained on, and questions that people asked."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from tokenizers import Tokenizer

from understudy.apps.starter.corpus import (
    held_for_planner,
    squad_readings,
    tatqa_readings,
    training_documents,
)
from understudy.apps.starter.variation import changed_questions, cropped, near_misses, noisy
from understudy.distillation.batching import batches_of_like_length
from understudy.distillation.cloze import Reading, cloze_readings
from understudy.distillation.encoded import Encoded
from understudy.retrieval.onnx_models import packaged_weights

__all__ = ["Encoded", "ReaderRecipe", "encode", "training_plan"]

console = Console(stderr=True)
Titled = tuple[str, str, str]
"""Group, title and text of a passage."""


@dataclass(frozen=True)
class ReaderRecipe:
    """Everything that decides the outcome of a training run."""

    seed: int = 17
    rank: int = 32
    cloze_steps: int = 1200
    """Steps on cloze readings alone, before those on all readings."""
    steps: int = 4000
    batch: int = 16
    learning_rate: float = 6e-4
    averaged: float = 0.998
    """Decay of the moving average of the weights, which is what is shipped."""
    dropout: float = 0.1
    """Of hidden states alone: on attention weights it slows a step too much."""
    max_tokens: int = 288
    clozes: int = 8
    """A passage of `squad`; a quarter of them a passage of the other sets."""
    variants: int = 3
    """How often a reading comes, each time in another form."""
    finance: int = 4
    """How many times more often those of `tatqa` come, of which there are few."""
    doubtful: int = 2
    """How many times more often the questions of articles come that have unanswerable ones, which people wrote."""
    other_passage: float = 0.15
    """Near misses, as a share of the answerable readings: the question on another passage of its article."""
    other_question: float = 0.2
    """Near misses: a question that was changed so that its passage no longer answers it."""


def encode(tokenizer: Tokenizer, reading: Reading, max_tokens: int, with_title: bool) -> Encoded | None:
    """Question and passage (under its title) as one input; `None` when the span falls behind the cut."""
    prefix = f"{reading.title}\n" if with_title else ""
    tokenizer.enable_truncation(max_tokens, strategy="only_second")
    encoding = tokenizer.encode(reading.question.strip(), prefix + reading.passage)
    start = end = 0
    if reading.start is not None and reading.end is not None:
        first, last = reading.start + len(prefix), reading.end + len(prefix)
        inside = [
            i
            for i, (a, b) in enumerate(encoding.offsets)
            if encoding.type_ids[i] == 1 and b > a and a < last and b > first
        ]
        if not inside or encoding.offsets[inside[-1]][1] < last:
            return None
        start, end = inside[0], inside[-1]
    return Encoded(encoding.ids, encoding.type_ids, start, end)


def passages_for_clozes(data: Path, rng: random.Random) -> tuple[list[Titled], list[Titled]]:
    """Passages of `squad`, and two at most of every other training document, but for those kept for the planner."""
    articles: list[Titled] = []
    others: list[Titled] = []
    for document in training_documents(data):
        article = document["meta"].get("article")
        group = document["title"] if article else document["id"]
        if held_for_planner(group):
            continue
        pieces = [document["text"]] if article else paragraphs(document["text"])
        for piece in rng.sample(pieces, min(2, len(pieces))):
            (articles if article else others).append((group, document["title"], piece))
    return articles, others


def paragraphs(text: str, *, least: int = 300, most: int = 900) -> list[str]:
    """The prose of a document in pieces of a passage's length."""
    pieces, piece = [], ""
    for line in text.split("\n"):
        if line.lstrip().startswith("|"):
            continue
        piece = f"{piece}\n{line}".strip()
        if len(piece) >= least:
            pieces.append(piece[:most])
            piece = ""
    return pieces


def cloze_examples(data: Path, recipe: ReaderRecipe, rng: random.Random) -> list[Reading]:
    """Clozes over all that may be trained on."""
    articles, others = passages_for_clozes(data, rng)
    return [
        *cloze_readings(articles, rng, each=recipe.clozes, missing=0.25),
        *cloze_readings(others, rng, each=recipe.clozes // 4, missing=0.25),
    ]


def real_examples(data: Path, recipe: ReaderRecipe, rng: random.Random) -> list[Reading]:
    """Questions that people asked, every one in several forms, and near misses made from them."""
    squad = [r for r in squad_readings(data) if not held_for_planner(r.group)]
    tatqa = [r for r in tatqa_readings(data) if not held_for_planner(r.group)]
    made: list[Reading] = []
    for at in range(recipe.variants):
        readings = squad + of_doubtful_articles(squad) * (recipe.doubtful - 1) + tatqa * recipe.finance
        readings += near_misses(squad, recipe.other_passage, rng)
        readings += changed_questions(squad, recipe.other_question, rng)
        made += readings if at == 0 else [varied(r, rng) for r in readings]
    return made


def of_doubtful_articles(readings: list[Reading]) -> list[Reading]:
    """The readings of articles of which some questions have no answer."""
    groups = {r.group for r in readings if r.start is None}
    return [r for r in readings if r.group in groups]


def varied(reading: Reading, rng: random.Random) -> Reading:
    """The reading as it might have been: part of its passage, its question typed in a hurry."""
    reading = cropped(reading, rng) if rng.random() < 0.6 else reading
    return replace(reading, question=noisy(reading.question, rng)) if rng.random() < 0.3 else reading


def training_plan(data: Path, recipe: ReaderRecipe) -> list[list[Encoded]]:
    """All batches in order: clozes first, then real questions with a tenth of clozes among them."""
    rng = random.Random(recipe.seed)
    tokenizer = Tokenizer.from_file(str(packaged_weights() / "tokenizer.json"))
    tokenizer.no_padding()

    def encoded(readings: Iterable[Reading]) -> list[Encoded]:
        found = (encode(tokenizer, r, recipe.max_tokens, rng.random() < 0.7) for r in readings)
        return [e for e in found if e is not None]

    clozes = encoded(cloze_examples(data, recipe, rng))
    real = encoded(real_examples(data, recipe, rng))
    real += rng.sample(clozes, len(real) // 10)
    for name, examples in (("clozes", clozes), ("questions", real)):
        tokens = sum(len(e.ids) for e in examples) // len(examples)
        none = sum(e.start == 0 for e in examples)
        console.print(f"{len(examples)} {name}, {none} without an answer, {tokens} tokens each")
    order = partial(batches_of_like_length, length=lambda e: len(e.ids), batch=recipe.batch, pool=50, seed=recipe.seed)
    return order(clozes, steps=recipe.cloze_steps) + order(real, steps=recipe.steps - recipe.cloze_steps)
