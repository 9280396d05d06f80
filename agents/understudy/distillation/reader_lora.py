"""LoRA for the reader: its modules, its loss, and a training run that resumes and stops early.

The starter's reader is trained by these means from fresh heads, an adapter of it from the weights of the one it adapts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from understudy.distillation.checkpoint import load_checkpoint, progress, save_checkpoint
from understudy.distillation.encoded import Encoded
from understudy.retrieval.confidence import CALIBRATION
from understudy.retrieval.torch_models import LORA_TARGETS, SpanReader, load_encoder

__all__ = [
    "Average",
    "Recipe",
    "build_model",
    "collate",
    "export",
    "fit",
    "freeze_lower",
    "loss_of",
    "rank_of",
    "take_up",
    "trained_state",
]


console = Console(stderr=True)
EVERY = 100
"""Steps between checkpoints."""
PATIENCE = 3
"""Checkpoints without progress that end a run."""
IGNORED = -100
LAYER = re.compile(r"\.layer\.(\d+)\.")


class Recipe(Protocol):
    """What a run goes by."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        ...

    @property
    def learning_rate(self) -> float:
        """The highest one; it rises over the first 6% of steps, then falls to nought."""
        ...

    @property
    def averaged(self) -> float:
        """Decay of the moving average of the weights, which is what is kept."""
        ...


def collate(batch: list[Encoded]) -> dict[str, Tensor]:
    """Padded tensors `[batch, tokens]`, span positions `[batch]`, and whether the passage answers `[batch]`."""
    width = max(len(e.ids) for e in batch)
    pad = [width - len(e.ids) for e in batch]
    return {
        "input_ids": torch.tensor([e.ids + [0] * p for e, p in zip(batch, pad, strict=True)]),
        "attention_mask": torch.tensor([[1] * len(e.ids) + [0] * p for e, p in zip(batch, pad, strict=True)]),
        "token_type_ids": torch.tensor([e.types + [0] * p for e, p in zip(batch, pad, strict=True)]),
        "start": torch.tensor([e.start for e in batch]),
        "end": torch.tensor([e.end for e in batch]),
        "answers": torch.tensor([e.start > 0 if e.answers is None else e.answers for e in batch]),
    }


def loss_of(model: SpanReader, inputs: dict[str, Tensor]) -> Tensor:
    """Span cross-entropy (position 0 is "no answer") plus binary cross-entropy of the answerability head.

    Where the passage answers and no span is known, there is nothing to learn about spans.
    """
    spans, answerable = model(inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"])
    allowed = inputs["token_type_ids"].bool()
    allowed[:, 0] = True
    logits = spans.float().masked_fill(~allowed.unsqueeze(-1), -1e4)
    known = (inputs["start"] > 0) | ~inputs["answers"]
    start = inputs["start"].masked_fill(~known, IGNORED)
    end = inputs["end"].masked_fill(~known, IGNORED)
    span_loss = torch.zeros(())
    if known.any():
        span_loss = nn.functional.cross_entropy(logits[..., 0], start, ignore_index=IGNORED)
        span_loss = span_loss + nn.functional.cross_entropy(logits[..., 1], end, ignore_index=IGNORED)
    answers = inputs["answers"].float()
    return span_loss / 2 + nn.functional.binary_cross_entropy_with_logits(answerable.float(), answers)


class LowRank(nn.Module):
    """`W + 2BA` in place of a frozen weight `W` (LoRA, Hu et al. 2021), formed once a step.

    PEFT adds the two factors to the activations instead, which on two cores and a width of 384 costs a third more.
    """

    def __init__(self, rows: int, columns: int, rank: int) -> None:
        super().__init__()
        self.lora_A = nn.Parameter(torch.randn(rank, columns) / rank)
        self.lora_B = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The effective weight `[rows, columns]`."""
        return weight + 2 * (self.lora_B @ self.lora_A)


def build_model(rank: int, dropout: float = 0.1) -> SpanReader:
    """The packaged encoder, frozen, under low-rank updates, with fresh heads."""
    encoder = load_encoder(attention="sdpa").train().requires_grad_(False)
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0 if "attention.self" in name else dropout
        if isinstance(module, nn.Linear) and name.endswith(LORA_TARGETS):
            register_parametrization(module, "weight", LowRank(module.out_features, module.in_features, rank))
    return SpanReader(encoder)


def trained_state(model: SpanReader) -> dict[str, Tensor]:
    """The tensors that training changed, by name."""
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def export(
    trained: Mapping[str, Tensor], recipe: Mapping[str, object], weights: Path, base: Path | None = None
) -> None:
    """A reader's file, but for its calibration: half-precision LoRA factors and heads.

    Args:
        trained: the tensors that training changed.
        recipe: what the run went by.
        weights: the file.
        base: the reader that keeps all else.
    """
    kept = {} if base is None else {n: t for n, t in load_file(base).items() if n != CALIBRATION}
    tensors = kept | {stored_name(name): t.half().contiguous() for name, t in trained.items()}
    save_file(tensors, str(weights), {"recipe": json.dumps(dict(recipe))})


def take_up(model: SpanReader, weights: Path) -> None:
    """Let a model of the same rank go on from a reader's file."""
    tensors = {name: tensor.float() for name, tensor in load_file(weights).items()}
    state = {name: tensors[stored_name(name)] for name in trained_state(model)}
    model.load_state_dict(state, strict=False)


def freeze_lower(model: SpanReader, layers: int) -> None:
    """Leave all but the highest `layers` of the encoder as they are: what needs no gradient costs no backward pass."""
    numbered = [(int(n[1]), p) for name, p in model.named_parameters() if (n := LAYER.search(name))]
    first = max(number for number, _ in numbered) + 1 - layers
    for number, parameter in numbered:
        if number < first:
            parameter.requires_grad_(False)


def rank_of(weights: Path) -> int:
    """The rank of the low-rank updates in a reader's file."""
    return next(int(t.shape[0]) for name, t in load_file(weights).items() if name.endswith(".lora_A"))


def stored_name(name: str) -> str:
    """A parameter's name in a reader's file."""
    return name.removeprefix("encoder.").replace(".parametrizations.weight.0", "")


class Average:
    """The moving average of a model's trained weights (Polyak and Juditsky 1992)."""

    def __init__(self, model: SpanReader, decay: float) -> None:
        self.state = trained_state(model)
        self.decay = decay

    def update(self, model: SpanReader) -> None:
        """Take the present weights in."""
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                self.state[name].lerp_(parameter.detach(), 1 - self.decay)


@dataclass
class Best:
    """The weights of the least loss on held-out readings."""

    loss: float
    step: int
    state: dict[str, Tensor]


def fit(
    model: SpanReader,
    plan: Sequence[list[Encoded]],
    recipe: Recipe,
    checkpoint: Path,
    identity: dict[str, Any],
    device: str = "cpu",
    held_out: Sequence[list[Encoded]] = (),
) -> dict[str, Tensor]:
    """Optimise, with a checkpoint every 100 steps, from which only a run of the same identity goes on.

    Gives the averaged weights: the last ones, or with held-out readings those of the least loss on them, after which
    the run ends once that loss has not fallen for `PATIENCE` checkpoints.
    """
    model.to(device)
    average, best = Average(model, recipe.averaged), Best(float("inf"), 0, {})
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps + 1, pct_start=0.06, anneal_strategy="linear"
    )

    def take(batch: list[Encoded]) -> float:
        loss = loss_of(model, {name: tensor.to(device) for name, tensor in collate(batch).items()})
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        average.update(model)
        return loss.item()

    stateful: dict[str, Any] = {"optimizer": optimizer, "schedule": schedule}
    saved = load_checkpoint(checkpoint, identity)
    if saved is not None:
        model.load_state_dict(saved["model"], strict=False)
        for name, part in stateful.items():
            part.load_state_dict(saved[name])
        average.state = {name: tensor.to(device) for name, tensor in saved["average"].items()}
        best = Best(*saved["best"])
        set_noise(saved["noise"])
    for done in progress(plan, saved["step"] if saved else 0, recipe.steps, take, every=20):
        if done % EVERY == 0:
            if held_out:
                best = better(best, Best(held_out_loss(model, average.state, held_out, device), done, average.state))
            state = {name: part.state_dict() for name, part in stateful.items()}
            state |= {"model": trained_state(model), "average": average.state, "noise": noise(), "step": done}
            save_checkpoint(checkpoint, identity, state | {"best": [best.loss, best.step, best.state]})
            if held_out and done - best.step >= PATIENCE * EVERY:
                break
    return {name: tensor.cpu() for name, tensor in (best.state or average.state).items()}


def better(old: Best, new: Best) -> Best:
    """The one of less loss, with weights of its own."""
    console.print(f"step {new.step} held-out loss {new.loss:.4f}")
    return Best(new.loss, new.step, {n: t.clone() for n, t in new.state.items()}) if new.loss < old.loss else old


@torch.no_grad()
def held_out_loss(
    model: SpanReader, state: Mapping[str, Tensor], batches: Sequence[list[Encoded]], device: str = "cpu"
) -> float:
    """The mean loss of some weights; the model keeps its own."""
    kept = trained_state(model)
    model.load_state_dict(dict(state), strict=False)
    model.eval()
    losses = [
        float(loss_of(model, {name: tensor.to(device) for name, tensor in collate(batch).items()})) * len(batch)
        for batch in batches
    ]
    model.train()
    model.load_state_dict(kept, strict=False)
    return sum(losses) / sum(map(len, batches))


def noise() -> list[Tensor]:
    """The state of the generators that dropout draws from."""
    return [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]


def set_noise(states: list[Tensor]) -> None:
    """Go on drawing where a run stopped."""
    torch.set_rng_state(states[0])
    for at, state in enumerate(states[1:]):
        torch.cuda.set_rng_state(state, at)
