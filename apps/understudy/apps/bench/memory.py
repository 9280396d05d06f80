"""Suite `memory`: what refining takes, beside training all weights, on a half-billion decoder of random weights.

Each way trains in a process of its own, whose high-water mark of resident memory is taken. Batch, length, checkpointing
and seed are the same everywhere.
"""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from understudy.apps.bench.process import environment
from understudy.core.errors import UnderstudyError
from understudy.core.memory import peak_mib

__all__ = ["WAYS", "Way", "measure_memory", "row_of"]

STEPS = 2
"""The optimizer's state is there after the first."""


@dataclass(frozen=True)
class Way:
    """One way of training."""

    name: str
    lora: bool
    dtype: str
    """Of the weights that don't learn, and of full training's own."""
    checkpointing: bool


WAYS = (
    Way("full, AdamW, float32", lora=False, dtype="float32", checkpointing=True),
    Way("full, AdamW, bfloat16", lora=False, dtype="bfloat16", checkpointing=True),
    Way("LoRA, base in float32", lora=True, dtype="float32", checkpointing=True),
    Way("LoRA, base in bfloat16", lora=True, dtype="bfloat16", checkpointing=True),
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
    """A row of figures, by a process that trains in one way and ends."""
    call = [sys.executable, "-m", __name__, json.dumps({**asdict(way), "steps": steps, "seed": seed})]
    done = subprocess.run(call, capture_output=True, text=True, env=environment(), check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise UnderstudyError(f"training {way.name!r} ended with {done.returncode}: {last}")
    return row_of(way, json.loads(done.stdout.splitlines()[-1]))


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
    size = {"float32": 4, "bfloat16": 2}[way.dtype]
    return round(size + 16 * learned_share, 2) if way.lora else 4 * size


def train_one_way(way: Way, steps: int, seed: int) -> dict[str, Any]:
    """Train in this process: the recipe's adapter by our trainer's own settings, or all weights by the same trainer."""
    from tempfile import TemporaryDirectory

    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from trl import SFTTrainer

    from understudy.distillation.sft import dataset, lora_config, no_tokenizer, sft_config
    from understudy.distillation.train_decoder import LoraRecipe, Sequenced

    torch.manual_seed(seed)
    libraries = peak_mib()
    dtype = getattr(torch, way.dtype)
    config = AutoConfig.for_model("qwen2", **QWEN2_HALF_BILLION)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    parameters = sum(p.numel() for p in model.parameters())
    ids = torch.randint(0, config.vocab_size, (steps * BATCH, LENGTH)).tolist()
    rows = [Sequenced(row, [-100] * (LENGTH - LEARNED) + row[-LEARNED:]) for row in ids]
    recipe = LoraRecipe(
        seed=seed, batch=BATCH, at_once=BATCH, epochs=1, checkpointing=way.checkpointing, half=way.dtype == "bfloat16"
    )
    with TemporaryDirectory(prefix="understudy-bench-") as room:
        arguments = sft_config(recipe, room, steps)
        arguments.eval_strategy = arguments.save_strategy = "no"
        arguments.load_best_model_at_end = False
        trainer: Any = SFTTrainer(
            model=model,
            args=arguments,
            train_dataset=dataset(rows),
            processing_class=no_tokenizer(),
            peft_config=lora_config(recipe) if way.lora else None,
        )
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


def cpu_seconds() -> float:
    """Of all threads of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(arguments: Sequence[str]) -> None:
    """The process of one way: its figures are the last line that it prints."""
    given = json.loads(arguments[0])
    steps, seed = given.pop("steps"), given.pop("seed")
    sys.stdout.write(json.dumps(train_one_way(Way(**given), steps, seed)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
