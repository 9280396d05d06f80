"""Train the reader: LoRA on the packaged encoder, a span head and an answerability head.

Run by `understudy starter train reader --data DIR --out DIR`. Every question is read on its gold passage; near-miss
negatives are the same question on another passage of the same article. Deterministic from the seed; a killed run
resumes from the last checkpoint.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from understudy.apps.starter.batching import batches_of_like_length
from understudy.apps.starter.checkpoint import load_checkpoint, progress, save_checkpoint
from understudy.apps.starter.corpus import Reading, held_for_planner, squad_readings, tatqa_readings
from understudy.retrieval.onnx_models import packaged_weights
from understudy.retrieval.torch_models import LORA_TARGETS, SpanReader, load_encoder

console = Console(stderr=True)


@dataclass(frozen=True)
class ReaderRecipe:
    """Everything that decides the outcome of a training run."""

    seed: int = 17
    rank: int = 32
    steps: int = 3600
    batch: int = 16
    learning_rate: float = 6e-4
    dropout: float = 0.1
    """Of hidden states alone: on attention weights it slows a step too much."""
    max_tokens: int = 288
    negatives: float = 0.3
    """Near-miss negatives, as a share of the answerable readings."""


@dataclass(frozen=True)
class Encoded:
    """A reading as token ids; `start` and `end` are token positions, 0 for "no answer here"."""

    ids: list[int]
    types: list[int]
    start: int
    end: int


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


def near_misses(readings: Sequence[Reading], share: float, rng: random.Random) -> list[Reading]:
    """Questions on another passage of their own article that doesn't hold the answer."""
    by_group: dict[str, list[str]] = defaultdict(list)
    for reading in readings:
        if reading.passage not in by_group[reading.group]:
            by_group[reading.group].append(reading.passage)
    misses = []
    for reading in readings:
        if reading.start is None or rng.random() >= share:
            continue
        answer = reading.passage[reading.start : reading.end]
        others = [p for p in by_group[reading.group] if p != reading.passage and answer not in p]
        if others:
            misses.append(Reading(reading.question, reading.title, rng.choice(others), None, None, reading.group))
    return misses


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


def export(model: SpanReader, recipe: ReaderRecipe, out: Path) -> None:
    """The shipped form: half-precision LoRA factors and heads."""
    tensors = {
        name.removeprefix("encoder.").replace(".parametrizations.weight.0", ""): t.half().contiguous()
        for name, t in trained_state(model).items()
    }
    save_file(tensors, str(out / "reader.safetensors"), {"recipe": json.dumps(asdict(recipe))})


def training_examples(data: Path, recipe: ReaderRecipe) -> list[Encoded]:
    """All readings of the training side that fit, near misses among them."""
    rng = random.Random(recipe.seed)
    readings = [r for r in [*squad_readings(data), *tatqa_readings(data)] if not held_for_planner(r.group)]
    readings += near_misses(readings, recipe.negatives, rng)
    tokenizer = Tokenizer.from_file(str(packaged_weights() / "tokenizer.json"))
    tokenizer.no_padding()
    encoded = [encode(tokenizer, r, recipe.max_tokens, rng.random() < 0.7) for r in readings]
    return [e for e in encoded if e is not None]


def train_reader(data: Path, out: Path, recipe: ReaderRecipe) -> None:
    """Train, checkpoint every 100 steps under `out`, and write `out/reader.safetensors`."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    examples = training_examples(data, recipe)
    console.print(f"{len(examples)} readings, {sum(e.start == 0 for e in examples)} without an answer")
    model = build_model(recipe.rank, recipe.dropout)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps + 1, pct_start=0.06, anneal_strategy="linear"
    )

    def take(batch: list[Encoded]) -> float:
        loss = loss_of(model, collate(batch))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        return loss.item()

    checkpoint = out / "reader.checkpoint.pt"
    stateful: dict[str, Any] = {"optimizer": optimizer, "schedule": schedule}
    saved = load_checkpoint(checkpoint, asdict(recipe))
    if saved is not None:
        model.load_state_dict(saved["model"], strict=False)
        for name, part in stateful.items():
            part.load_state_dict(saved[name])
        torch.set_rng_state(saved["rng"])
    plan = batches_of_like_length(
        examples, lambda e: len(e.ids), batch=recipe.batch, pool=50, steps=recipe.steps, seed=recipe.seed
    )
    for done in progress(plan, saved["step"] if saved else 0, recipe.steps, take, every=20):
        if done % 100 == 0:
            state = {name: part.state_dict() for name, part in stateful.items()}
            state |= {"model": trained_state(model), "rng": torch.get_rng_state(), "step": done}
            save_checkpoint(checkpoint, asdict(recipe), state)
    export(model, recipe, out)
