"""A tiny chat model of a real architecture with random weights, that is shown whole passages."""

from __future__ import annotations

from pathlib import Path

import torch
from families import QWEN, network, vocabulary

from understudy.apps.starter.export import export_gguf
from understudy.core.settings import SmallModelSettings
from understudy.distillation.train_decoder import LoraRecipe

RECIPE = LoraRecipe(
    rank=4,
    alpha=8,
    learning_rate=2e-2,
    epochs=2,
    batch=4,
    at_once=4,
    every=2,
    longest=2048,
    targets=("v_proj", "o_proj"),
)
"""Of seconds."""


def tiny_model(path: Path) -> Path:
    """The GGUF."""
    words = vocabulary(QWEN)
    sizes = QWEN.small | {"max_position_embeddings": 2048}
    weights = network(QWEN, sizes, words.tokenizer.get_vocab_size(), dtype=torch.float32, spread=0.1)
    export_gguf(weights, words, path, name="tiny")
    return path


def tiny_settings(path: Path) -> SmallModelSettings:
    """To run it with: it has nothing to say."""
    return SmallModelSettings(path=str(path), context=2048, max_steps=2, max_step_tokens=24, threads=1)
