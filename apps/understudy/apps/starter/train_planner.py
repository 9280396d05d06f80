"""Train the planner from scratch: tokenizer, curriculum from short to long transcripts, export, quantization.

Run by `understudy starter train planner --data DIR --out DIR`. Loss on the steps, and on the question where it is
repeated. Deterministic from the seed; a killed run resumes from its last checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from tokenizers import Tokenizer
from torch import Tensor, nn

from understudy.apps.starter.card import write_card
from understudy.apps.starter.corpus import row_labels
from understudy.apps.starter.gold import gold_transcripts
from understudy.apps.starter.planner_model import build_network, quantize, train_tokenizer, write_gguf
from understudy.apps.starter.search import TrainingIndex, TrainingTools
from understudy.apps.starter.transcripts import reading_transcripts, table_transcripts, transcript_text
from understudy.core.types import Message
from understudy.distillation.batching import batches_of_like_length
from understudy.distillation.checkpoint import identity_of, load_checkpoint, progress, save_checkpoint
from understudy.retrieval.onnx_models import READER_WEIGHTS

console = Console(stderr=True)


@dataclass(frozen=True)
class PlannerRecipe:
    """Everything that decides the outcome of a training run."""

    seed: int = 17
    vocabulary: int = 4096
    width: int = 256
    layers: int = 4
    tables: int = 22000
    readings: int = 2000
    """At most; `squad` has about 800 in the articles kept from the reader."""
    repeat: int = 4
    """How often a real question comes, each time with other scores."""
    longest: int = 640
    """Tokens of the longest transcript trained on."""
    steps: int = 2500
    batch: int = 16
    learning_rate: float = 1.5e-3


@dataclass(frozen=True)
class Sequenced:
    """A transcript as token ids; `mask` is true on what is learned: steps, and the question wherever it is repeated."""

    ids: list[int]
    mask: list[bool]
    steps: tuple[tuple[int, int], ...] = ()
    """Where the steps stand in `ids`."""


def sequence(tokenizer: Tokenizer, messages: Sequence[Message]) -> Sequenced:
    """Token ids as the runtime lays them out: control tokens special, contents plain."""
    start, end = (int(tokenizer.token_to_id(t) or 0) for t in ("<|im_start|>", "<|im_end|>"))
    newline = tokenizer.encode("\n").ids
    ids: list[int] = []
    mask: list[bool] = []
    steps: list[tuple[int, int]] = []
    for message in messages:
        head = [start, *tokenizer.encode(message.role + "\n").ids]
        encoded = tokenizer.encode(message.content)
        body = [*encoded.ids, end]
        # Repeating the question is the same skill as copying its words into a step, and every transcript shows it.
        repeated = message.content.find("\nQuestion: ") + 1 if ids else 0
        learned = 0 if message.role == "assistant" else repeated or len(message.content)
        if message.role == "assistant":
            steps.append((len(ids) + len(head), len(ids) + len(head) + len(body)))
        ids += head + body + newline
        mask += [False] * len(head) + [a >= learned for a, _ in encoded.offsets] + [message.role == "assistant"]
        mask += [False] * len(newline)
    return Sequenced(ids, mask, tuple(steps))


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
    """All transcripts, shuffled; written to `out/transcripts.jsonl` for people to read."""
    rng = random.Random(recipe.seed)
    index = TrainingIndex(data, out)
    trained = out / "reader.safetensors"
    tools = TrainingTools(index, trained if trained.exists() else READER_WEIGHTS)
    made = list(table_transcripts(recipe.tables, index.texts, row_labels(data), rng))
    made += reading_transcripts(data, tools, recipe.readings, recipe.repeat, rng)
    made += gold_transcripts(data, tools, recipe.repeat, rng)
    rng.shuffle(made)
    lines = (json.dumps([m.model_dump() for m in t], ensure_ascii=False) for t in made)
    (out / "transcripts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return made


def train_planner(data: Path, out: Path, recipe: PlannerRecipe, device: str = "cpu") -> None:
    """Make the data, train, measure on transcripts kept apart; writes `out/starter.gguf` and its model card.

    Args:
        data: the folder of data sets.
        out: also keeps the transcripts, and the checkpoint from which a killed run goes on.
        recipe: everything that decides the outcome.
        device: where torch computes, such as `cuda`.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    transcripts = make_data(data, out, recipe)
    tokenizer = train_tokenizer((transcript_text(t) for t in transcripts), recipe.vocabulary)
    parts: dict[bool, list[Sequenced]] = {True: [], False: []}
    for transcript in transcripts:
        made = sequence(tokenizer, transcript)
        if len(made.ids) <= recipe.longest:
            parts[kept_apart(transcript)].append(made)
    kept, sequences = parts[True], parts[False]
    console.print(f"{len(sequences)} transcripts, {sum(len(s.ids) for s in sequences) // len(sequences)} tokens each")
    model = build_network(tokenizer.get_vocab_size(), width=recipe.width, layers=recipe.layers).train()
    identity = identity_of(asdict(recipe), (s.ids for s in sequences))
    fit(model, plan_batches(sequences, recipe), recipe, out / "planner.checkpoint.pt", identity, device)
    scores = evaluate(model.eval(), kept, device)
    console.print(scores)
    full, packed = out / "planner.f32.gguf", out / "starter.gguf"
    write_gguf(model.cpu(), tokenizer, full, profile="pointing", name="understudy-starter")
    quantize(full, packed)
    write_card(out / "planner.md", "planner", packed, asdict(recipe), scores)


def kept_apart(transcript: Sequence[Message]) -> bool:
    """Whether a question, in all its forms, is kept to measure on: one in sixty-four."""
    question = transcript[0].content.rpartition("Question: ")[2]
    return hashlib.sha256(question.encode()).digest()[0] < 4


def evaluate(model: nn.Module, kept: Sequence[Sequenced], device: str) -> dict[str, float]:
    """Share of the steps of transcripts kept apart that are foretold to the last token."""
    right = steps = 0
    for item in kept:
        with torch.no_grad():
            foretold = model(torch.tensor([item.ids], device=device)).logits[0].argmax(-1).tolist()
        for start, end in item.steps:
            steps += 1
            right += foretold[start - 1 : end - 1] == item.ids[start:end]
    return {"transcripts": len(kept), "steps": steps, "steps_right": round(right / max(1, steps), 4)}


def fit(
    model: nn.Module,
    plan: list[list[Sequenced]],
    recipe: PlannerRecipe,
    checkpoint: Path,
    identity: dict[str, Any],
    device: str = "cpu",
) -> None:
    """Optimise, with a checkpoint every 200 steps, from which only a run of the same identity goes on."""
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, recipe.steps))
    stateful: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}

    def take(batch: list[Sequenced]) -> float:
        ids, labels = (part.to(device) for part in tensors(batch))
        hidden = model.model(ids).last_hidden_state[:, :-1]  # type: ignore[operator]
        targets = labels[:, 1:]
        wanted = targets >= 0
        loss = nn.functional.cross_entropy(model.lm_head(hidden[wanted]), targets[wanted])  # type: ignore[operator]
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        return loss.item()

    saved = load_checkpoint(checkpoint, identity)
    if saved is not None:
        for name, part in stateful.items():
            part.load_state_dict(saved[name])
    for done in progress(plan, saved["step"] if saved else 0, recipe.steps, take, every=25):
        if done % 200 == 0:
            state = {name: part.state_dict() for name, part in stateful.items()}
            save_checkpoint(checkpoint, identity, {**state, "step": done})


def learning_rate_share(step: int, steps: int) -> float:
    """Warm-up over a twelfth of the run, then a cosine to zero."""
    warm = max(1, steps // 12)
    return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
