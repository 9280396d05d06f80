"""Train the reader: LoRA on the packaged encoder, a span head and an answerability head.

Run by `understudy starter train reader --data DIR --out DIR`. What it is trained on is made in
`reader_data.py`. Deterministic from the seed; a killed run resumes from its last checkpoint.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from understudy.apps.starter.calibrate_reader import calibrate
from understudy.apps.starter.card import write_card
from understudy.apps.starter.checkpoint import identity_of, load_checkpoint, progress, save_checkpoint
from understudy.apps.starter.reader_data import Encoded, ReaderRecipe, training_plan
from understudy.retrieval.torch_models import LORA_TARGETS, SpanReader, load_encoder

__all__ = ["ReaderRecipe", "train_reader"]

console = Console(stderr=True)


def collate(batch: list[Encoded]) -> dict[str, Tensor]:
    """Padded tensors `[batch, tokens]` and span positions `[batch]`."""
    width = max(len(e.ids) for e in batch)
    pad = [width - len(e.ids) for e in batch]
    return {
        "input_ids": torch.tensor([e.ids + [0] * p for e, p in zip(batch, pad, strict=True)]),
        "attention_mask": torch.tensor([[1] * len(e.ids) + [0] * p for e, p in zip(batch, pad, strict=True)]),
        "token_type_ids": torch.tensor([e.types + [0] * p for e, p in zip(batch, pad, strict=True)]),
        "start": torch.tensor([e.start for e in batch]),
        "end": torch.tensor([e.end for e in batch]),
    }


def loss_of(model: SpanReader, inputs: dict[str, Tensor]) -> Tensor:
    """Span cross-entropy (position 0 is "no answer") plus binary cross-entropy of the answerability head."""
    spans, answerable = model(inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"])
    allowed = inputs["token_type_ids"].bool()
    allowed[:, 0] = True
    logits = spans.float().masked_fill(~allowed.unsqueeze(-1), -1e4)
    span_loss = nn.functional.cross_entropy(logits[..., 0], inputs["start"])
    span_loss = span_loss + nn.functional.cross_entropy(logits[..., 1], inputs["end"])
    has_answer = (inputs["start"] > 0).float()
    return span_loss / 2 + nn.functional.binary_cross_entropy_with_logits(answerable.float(), has_answer)


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


def export(trained: dict[str, Tensor], recipe: ReaderRecipe, weights: Path) -> None:
    """The shipped form: half-precision LoRA factors and heads."""
    tensors = {
        name.removeprefix("encoder.").replace(".parametrizations.weight.0", ""): t.half().contiguous()
        for name, t in trained.items()
    }
    save_file(tensors, str(weights), {"recipe": json.dumps(asdict(recipe))})


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


def fit(
    model: SpanReader,
    plan: list[list[Encoded]],
    recipe: ReaderRecipe,
    checkpoint: Path,
    identity: dict[str, Any],
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Optimise, with a checkpoint every 100 steps, from which only a run of the same identity goes on.

    Gives the averaged weights.
    """
    model.to(device)
    average = Average(model, recipe.averaged)
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
        set_noise(saved["noise"])
    for done in progress(plan, saved["step"] if saved else 0, recipe.steps, take, every=20):
        if done % 100 == 0:
            state = {name: part.state_dict() for name, part in stateful.items()}
            state |= {"model": trained_state(model), "average": average.state, "noise": noise(), "step": done}
            save_checkpoint(checkpoint, identity, state)
    return {name: tensor.cpu() for name, tensor in average.state.items()}


def noise() -> list[Tensor]:
    """The state of the generators that dropout draws from."""
    return [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]


def set_noise(states: list[Tensor]) -> None:
    """Go on drawing where a run stopped."""
    torch.set_rng_state(states[0])
    for at, state in enumerate(states[1:]):
        torch.cuda.set_rng_state(state, at)


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
    export(trained, recipe, weights)
    scores = calibrate(data, out, weights)
    console.print(scores)
    write_card(out / "reader.md", "reader", weights, asdict(recipe), scores)
