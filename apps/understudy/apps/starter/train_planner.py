"""Train the planner from scratch: tokenizer, curriculum from short to long transcripts, export, quantization.

Run by `understudy starter train planner --data DIR --out DIR`. Loss on the steps alone. Deterministic from the seed;
a killed run resumes from its last checkpoint.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from tokenizers import Tokenizer
from torch import Tensor, nn

from understudy.apps.starter.batching import batches_of_like_length
from understudy.apps.starter.planner_model import build_network, quantize, train_tokenizer, write_gguf
from understudy.apps.starter.search import training_search
from understudy.apps.starter.transcripts import reading_transcripts, table_transcripts, transcript_text
from understudy.core.types import Message

console = Console(stderr=True)
LONGEST = 640
"""Tokens of the longest transcript trained on."""


@dataclass(frozen=True)
class PlannerRecipe:
    """Everything that decides the outcome of a training run."""

    seed: int = 17
    vocabulary: int = 4096
    width: int = 256
    layers: int = 4
    tables: int = 14000
    readings: int = 1600
    steps: int = 1500
    batch: int = 16
    learning_rate: float = 1.5e-3


@dataclass(frozen=True)
class Sequenced:
    """A transcript as token ids; `mask` is true on the tokens of steps."""

    ids: list[int]
    mask: list[bool]


def sequence(tokenizer: Tokenizer, messages: Sequence[Message]) -> Sequenced:
    """Token ids as the runtime lays them out: control tokens special, contents plain."""
    start, end = (int(tokenizer.token_to_id(t) or 0) for t in ("<|im_start|>", "<|im_end|>"))
    newline = tokenizer.encode("\n").ids
    ids: list[int] = []
    mask: list[bool] = []
    for message in messages:
        head = [start, *tokenizer.encode(message.role + "\n").ids]
        body = [*tokenizer.encode(message.content).ids, end]
        ids += head + body + newline
        mask += [False] * len(head) + [message.role == "assistant"] * len(body) + [False] * len(newline)
    return Sequenced(ids, mask)


def plan_batches(data: list[Sequenced], recipe: PlannerRecipe) -> list[list[Sequenced]]:
    """All batches in order: the first quarter goes from short to long. A batch holds transcripts of like length."""
    plan = batches_of_like_length(
        data, lambda s: len(s.ids), batch=recipe.batch, pool=40, steps=recipe.steps, seed=recipe.seed
    )
    quarter = recipe.steps // 4
    return sorted(plan[:quarter], key=lambda b: len(b[-1].ids)) + plan[quarter:]


def tensors(batch: list[Sequenced]) -> tuple[Tensor, Tensor]:
    """Inputs and labels `[batch, tokens]`; label -100 is no loss."""
    width = max(len(s.ids) for s in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    labels = torch.full((len(batch), width), -100, dtype=torch.long)
    for row, item in enumerate(batch):
        sequence_ids = torch.tensor(item.ids)
        ids[row, : len(item.ids)] = sequence_ids
        labels[row, : len(item.ids)] = torch.where(torch.tensor(item.mask), sequence_ids, torch.tensor(-100))
    return ids, labels


def make_data(data: Path, out: Path, recipe: PlannerRecipe) -> list[list[Message]]:
    """All transcripts, shuffled; written once to `out/transcripts.jsonl`."""
    path = out / "transcripts.jsonl"
    if not path.exists():
        rng = random.Random(recipe.seed)
        search, texts = training_search(data, out)
        made = list(table_transcripts(recipe.tables, texts, rng))
        for transcript in reading_transcripts(data, search, recipe.readings, rng):
            made += [transcript] * 3
        rng.shuffle(made)
        lines = (json.dumps([m.model_dump() for m in t], ensure_ascii=False) for t in made)
        path.with_suffix(".tmp").write_text("\n".join(lines), encoding="utf-8")
        path.with_suffix(".tmp").replace(path)
    with path.open(encoding="utf-8") as lines_in:
        return [[Message(**m) for m in json.loads(line)] for line in lines_in]


def train_planner(data: Path, out: Path, recipe: PlannerRecipe) -> None:
    """Make the data, train, and write `out/starter.gguf`."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    transcripts = make_data(data, out, recipe)
    tokenizer_file = out / "tokenizer.json"
    if not tokenizer_file.exists():
        train_tokenizer((transcript_text(t) for t in transcripts), recipe.vocabulary).save(str(tokenizer_file))
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    sequences = [sequence(tokenizer, t) for t in transcripts]
    sequences = [s for s in sequences if len(s.ids) <= LONGEST]
    console.print(f"{len(sequences)} transcripts, {sum(len(s.ids) for s in sequences) // len(sequences)} tokens each")
    model = build_network(tokenizer.get_vocab_size(), width=recipe.width, layers=recipe.layers).train()
    fit(model, plan_batches(sequences, recipe), recipe, out / "planner.checkpoint.pt")
    full, packed = out / "planner.f32.gguf", out / "starter.gguf"
    write_gguf(model.eval(), tokenizer, full, profile="pointing", name="understudy-starter")
    quantize(full, packed)
    (out / "planner.json").write_text(json.dumps(asdict(recipe), indent=2))


def fit(model: nn.Module, plan: list[list[Sequenced]], recipe: PlannerRecipe, checkpoint: Path) -> None:
    """Optimise, with a checkpoint every 200 steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, recipe.steps))
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.last_epoch = saved["step"]
        first = saved["step"]
    began, running = time.monotonic(), 0.0
    for done, batch in enumerate(plan[first:], first + 1):
        ids, labels = tensors(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.model(ids).last_hidden_state[:, :-1]  # type: ignore[operator]
            targets = labels[:, 1:]
            wanted = targets >= 0
            logits = model.lm_head(hidden[wanted])  # type: ignore[operator]
        loss = nn.functional.cross_entropy(logits.float(), targets[wanted])
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        running += loss.item()
        if done % 25 == 0:
            left = (time.monotonic() - began) / (done - first) * (recipe.steps - done) / 60
            console.print(f"step {done}/{recipe.steps} loss {running / 25:.4f} left {left:.1f} min")
            running = 0.0
        if done % 200 == 0:
            save(checkpoint, model, optimizer, done)


def learning_rate_share(step: int, steps: int) -> float:
    """Warm-up over a twelfth of the run, then a cosine to zero; a function of the step, so that a run can resume."""
    warm = max(1, steps // 12)
    return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def save(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    """Write a checkpoint atomically."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
    }
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)
