"""Train the reader: LoRA on the packaged encoder, a span head and an answerability head.

Run by `understudy starter train reader --data DIR --out DIR`. What it is trained on is made in
`reader_data.py`. Deterministic from the seed; a killed run resumes from its last checkpoint.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console

from understudy.apps.starter.calibrate_reader import calibrate
from understudy.apps.starter.card import write_card
from understudy.apps.starter.reader_data import ReaderRecipe, training_plan
from understudy.distillation.checkpoint import identity_of
from understudy.distillation.reader_lora import build_model, export, fit

__all__ = ["ReaderRecipe", "train_reader"]

console = Console(stderr=True)


def train_reader(data: Path, out: Path, recipe: ReaderRecipe, device: str = "cpu") -> None:
    """Train, calibrate and measure on articles kept apart; writes `out/reader.safetensors` and its model card.

    Args:
        data: the folder of data sets.
        out: also keeps the checkpoint, from which a killed run goes on.
        recipe: everything that decides the outcome.
        device: where torch computes, such as `cuda`.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    plan = training_plan(data, recipe)
    identity = identity_of(asdict(recipe), ([*e.ids, e.start, e.end] for batch in plan for e in batch))
    model = build_model(recipe.rank, recipe.dropout)
    trained = fit(model, plan, recipe, out / "reader.checkpoint.pt", identity, device)
    weights = out / "reader.safetensors"
    export(trained, asdict(recipe), weights)
    scores = calibrate(data, out, weights)
    console.print(scores)
    write_card(out / "reader.md", "reader", weights, asdict(recipe), scores)
