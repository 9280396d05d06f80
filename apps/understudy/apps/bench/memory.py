"""Suite `memory`: what refining takes, beside training all weights, on a half-billion decoder of random weights.

Each way trains on the CPU in a process of its own, whose high-water mark of resident memory is taken. Batch, length,
checkpointing and seed are the same everywhere. Suite `memory-gpu` is its like on a GPU.
"""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from understudy.apps.bench.process import environment
from understudy.core.errors import UnderstudyError
from understudy.core.machine import peak_mib
from understudy.core.settings import BaseFormat

__all__ = [
    "LEARNED",
    "STEPS",
    "WAYS",
    "Transcripts",
    "Way",
    "cpu_seconds",
    "figures_of",
    "given",
    "measure_memory",
    "row_of",
    "trainer_of",
]

STEPS = 2
"""The optimizer's state is there after the first."""


@dataclass(frozen=True)
class Way:
    """One way of training."""

    name: str
    lora: bool
    base_format: BaseFormat
    """Of the weights that don't learn, and of full training's own."""
    checkpointing: bool = True


WAYS = (
    Way("full, AdamW, float32", lora=False, base_format="float32"),
    Way("full, AdamW, bfloat16", lora=False, base_format="bfloat16"),
    Way("LoRA, base in float32", lora=True, base_format="float32"),
    Way("LoRA, base in bfloat16", lora=True, base_format="bfloat16"),
)

QWEN2_HALF_BILLION = {
    "vocab_size": 151936, "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
    "num_key_value_heads": 2, "intermediate_size": 4864, "max_position_embeddings": 32768,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
}  # fmt: skip
"""Qwen2.5-0.5B's shape."""
BATCH = 1
LENGTH = 128
LEARNED = 32
"""Tokens at the end of a transcript that are learned: a step's length."""


def measure_memory(limit: int | None, seed: int) -> dict[str, Any]:
    """Peak memory, bytes a parameter and time of each way of `WAYS`; `limit` is of steps."""
    rows = [trained(way, limit or STEPS, seed) for way in WAYS]
    full, ours = rows[0], rows[-1]
    return {
        "shape": "Qwen2, 24 layers of 896, 151,936 tokens, tied",
        "parameters": full["parameters"],
        "batch": BATCH,
        "tokens": LENGTH,
        "learned_tokens": LEARNED,
        "steps": limit or STEPS,
        "saved_at_the_peak": round(1 - ours["peak_mib"] / full["peak_mib"], 3),
        "saved_of_bfloat16_training": round(1 - ours["peak_mib"] / rows[1]["peak_mib"], 3),
        "saved_beyond_the_libraries": round(1 - above(ours) / above(full), 3),
        "ways": rows,
    }


def above(row: dict[str, Any]) -> float:
    """The peak without what the process holds before there is a model."""
    return float(row["peak_mib"] - row["libraries_mib"])


def trained(way: Way, steps: int, seed: int) -> dict[str, Any]:
    """A row of figures, by a process that sees no GPU."""
    return row_of(way, figures_of(__name__, way, steps, seed, {"CUDA_VISIBLE_DEVICES": ""}))


def figures_of(module: str, way: Way, steps: int, seed: int, variables: Mapping[str, str]) -> dict[str, Any]:
    """What a process measured that trained in one way and ended: `module` run with what `given` reads."""
    call = [sys.executable, "-m", module, json.dumps({**asdict(way), "steps": steps, "seed": seed})]
    done = subprocess.run(call, capture_output=True, text=True, env={**environment(), **variables}, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise UnderstudyError(f"training {way.name!r} ended with {done.returncode}: {last}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row_of(way: Way, found: dict[str, Any]) -> dict[str, Any]:
    """What a process measured, as a row: bytes a parameter count what it took beyond the libraries."""
    beyond = (found["peak_mib"] - found["libraries_mib"]) * 2**20
    return {
        "way": way.name,
        "parameters": found["parameters"],
        "learned": found["learned"],
        "peak_mib": round(found["peak_mib"], 1),
        "libraries_mib": round(found["libraries_mib"], 1),
        "bytes_per_parameter": round(beyond / found["parameters"], 2),
        "expected_bytes_per_parameter": expected(way, found["learned"] / found["parameters"]),
        "cpu_s_per_1000_tokens": round(found["cpu_seconds"] / (found["tokens"] / 1000), 1),
        "seconds_per_1000_tokens": round(found["seconds"] / (found["tokens"] / 1000), 1),
    }


def expected(way: Way, learned_share: float) -> float:
    """Weights, and of those that learn gradients and AdamW's two moments; without activations."""
    size = {"float32": 4, "bfloat16": 2}[way.base_format]
    return round(size + 16 * learned_share, 2) if way.lora else 4 * size


def train_one_way(way: Way, steps: int, seed: int) -> dict[str, Any]:
    """Train in this process."""
    from tempfile import TemporaryDirectory

    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    import understudy.distillation.sft  # noqa: F401  # is among what the libraries take

    torch.manual_seed(seed)
    libraries = peak_mib()
    config = AutoConfig.for_model("qwen2", **QWEN2_HALF_BILLION)
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, way.base_format))
    parameters = sum(p.numel() for p in model.parameters())
    with TemporaryDirectory(prefix="understudy-bench-") as room:
        trainer = trainer_of(model, way, Transcripts(BATCH, LENGTH, steps), seed, room)
        del model
        gc.collect()
        learned = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
        began, cpu = time.monotonic(), cpu_seconds()
        trainer.train()
    return {
        "parameters": parameters,
        "learned": learned,
        "libraries_mib": libraries,
        "peak_mib": peak_mib(),
        "tokens": steps * BATCH * LENGTH,
        "cpu_seconds": cpu_seconds() - cpu,
        "seconds": time.monotonic() - began,
    }


@dataclass(frozen=True)
class Transcripts:
    """Random ones to train on: so many steps of the optimizer."""

    batch: int
    length: int
    """Tokens of each."""
    steps: int


def trainer_of(model: Any, way: Way, transcripts: Transcripts, seed: int, room: str) -> Any:
    """The trainer that refining uses, by its settings, of the recipe's adapter; or the same trainer of all weights."""
    import torch
    from trl import SFTTrainer

    from understudy.distillation.sft import at_full_precision, dataset, lora_config, no_tokenizer, sft_config
    from understudy.distillation.train_decoder import LoraRecipe, Sequenced

    batch, length = transcripts.batch, transcripts.length
    ids = torch.randint(0, model.config.vocab_size, (transcripts.steps * batch, length)).tolist()
    rows = [Sequenced(row, [-100] * (length - LEARNED) + row[-LEARNED:]) for row in ids]
    recipe = LoraRecipe(
        seed=seed, batch=batch, at_once=batch, epochs=1, checkpointing=way.checkpointing, base_format=way.base_format
    )
    arguments = sft_config(recipe, room, transcripts.steps)
    arguments.eval_strategy = arguments.save_strategy = "no"
    arguments.load_best_model_at_end = False
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset(rows),
        processing_class=no_tokenizer(),
        peft_config=lora_config(recipe) if way.lora else None,
    )
    if way.lora:
        at_full_precision(trainer.model)
    return trainer


def cpu_seconds() -> float:
    """Of all threads of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def given(arguments: Sequence[str]) -> tuple[Way, int, int]:
    """What the process of one way is told: the way, steps and seed."""
    told = json.loads(arguments[0])
    steps, seed = told.pop("steps"), told.pop("seed")
    return Way(**told), steps, seed


def main(arguments: Sequence[str]) -> None:
    """The process of one way: its figures are the last line that it prints."""
    sys.stdout.write(json.dumps(train_one_way(*given(arguments))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
