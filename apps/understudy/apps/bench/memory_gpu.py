"""Suite `memory-gpu`: what refining takes of a GPU, beside training all weights, at Llama 3.1's shape of 8 billion.

The weights are random, and made on the GPU. Each way trains in a process of its own. Its peak is that of training, as
torch's allocator counts it from after the weights are there: CUDA's own half gigabyte is not in it. What loading took
is a figure apart. Batch, length, checkpointing and seed are the same everywhere.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from understudy.apps.bench.memory import LEARNED, STEPS, Transcripts, Way, figures_of, given, trainer_of
from understudy.core.machine import peak_mib

__all__ = ["WAYS", "Way", "measure_gpu", "row_of", "saved"]

WAYS = (
    Way("full, AdamW, float32", lora=False, base_format="float32"),
    Way("full, AdamW, bfloat16", lora=False, base_format="bfloat16"),
    Way("LoRA, base in bfloat16", lora=True, base_format="bfloat16"),
    Way("LoRA, base in nf4", lora=True, base_format="nf4"),
)

LLAMA_EIGHT_BILLION = {
    "vocab_size": 128256, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "max_position_embeddings": 131072,
    "rope_parameters": {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
}  # fmt: skip
"""Llama-3.1-8B's shape."""
BATCH = 1
LENGTH = 1024
SPREAD = 0.02
"""Standard deviation of random weights, as transformers has it by default."""
BYTES = {"float32": 4.0, "bfloat16": 2.0, "nf4": 0.5 + 1 / 64 + 4 / (64 * 256)}
"""Of a weight; a block of 64 in NF4 has a scale in 8 bits, and 256 of these one in 32. What isn't quantized has 2."""


def measure_gpu(limit: int | None, seed: int) -> dict[str, Any]:
    """Peak memory, bytes a parameter and time of each way of `WAYS`; `limit` is of steps. Raises `UserError`."""
    from understudy.distillation.nf4 import nf4_device

    nf4_device()
    found = [figures_of(__name__, way, limit or STEPS, seed, {}) for way in WAYS]
    rows = [row_of(way, figures) for way, figures in zip(WAYS, found, strict=True)]
    return {
        "gpu": found[-1]["gpu"],
        "gpu_mib": found[-1]["gpu_mib"],
        "versions": found[-1]["versions"],
        "shape": "Llama, 32 layers of 4,096, 128,256 tokens, not tied",
        "parameters": rows[-1]["parameters"],
        "batch": BATCH,
        "tokens": LENGTH,
        "learned_tokens": LEARNED,
        "steps": limit or STEPS,
        **saved(rows),
        "ways": rows,
    }


def saved(rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """The share of full training's peak that the last way does without.

    Full training in float32 takes 16 bytes a parameter before activations: by that too, as not every GPU holds it.
    """
    single, half, ours = rows[0], rows[1], rows[-1]

    def share(full_mib: float | None) -> float | None:
        return None if full_mib is None else round(1 - ours["peak_mib"] / full_mib, 3)

    return {
        "saved_of_bfloat16_training": share(half["peak_mib"]),
        "saved_of_float32_training": share(single["peak_mib"]),
        "saved_of_16_bytes_a_parameter": share(16 * ours["parameters"] / 2**20),
    }


MEASURED = ("peak_mib", "weights_mib", "loading_peak_mib", "reserved_mib", "host_peak_mib")


def row_of(way: Way, found: dict[str, Any]) -> dict[str, Any]:
    """What a process measured, as a row; where the GPU is too small for a way only what it would take."""
    fits = found.get("peak_mib") is not None
    size, thousands = found["parameters"], found.get("tokens", 0) / 1000
    return {
        "way": way.name,
        "parameters": size,
        "learned": found["learned"],
        "bytes_per_parameter": round(found["peak_mib"] * 2**20 / size, 2) if fits else None,
        "expected_bytes_per_parameter": expected(way, found),
        **{name: round(found[name], 1) if fits else None for name in MEASURED},
        "seconds_per_1000_tokens": round(found["seconds"] / thousands, 2) if fits else None,
    }


def expected(way: Way, found: dict[str, Any]) -> float:
    """Weights, and of those that learn gradients and AdamW's two moments; without activations."""
    size = BYTES[way.base_format]
    if not way.lora:
        return 4 * size
    if way.base_format == "nf4":
        size += (2 - size) * (1 - found["quantized"] / found["parameters"])
    return float(round(size + 16 * found["learned"] / found["parameters"], 2))


def train_one_way(way: Way, steps: int, seed: int) -> dict[str, Any]:
    """Train in this process, if the GPU holds what full training takes."""
    from tempfile import TemporaryDirectory

    import torch
    from transformers import AutoConfig

    from understudy.distillation.nf4 import nf4_device

    torch.manual_seed(seed)
    device = nf4_device()
    config = AutoConfig.for_model("llama", **LLAMA_EIGHT_BILLION)
    found: dict[str, Any] = {**counted(config), **card(device)}
    if not way.lora and 4 * BYTES[way.base_format] * found["parameters"] > found["gpu_mib"] * 2**20:
        return {**found, "learned": found["parameters"]}
    model = network(config, way, device)
    found |= {"loading_peak_mib": torch.cuda.max_memory_allocated() / 2**20}
    with TemporaryDirectory(prefix="understudy-bench-") as room:
        trainer = trainer_of(model, way, Transcripts(BATCH, LENGTH, steps), seed, room)
        del model
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        weights = torch.cuda.memory_allocated()
        learned = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
        began = time.monotonic()
        loss = trainer.train().training_loss
        torch.cuda.synchronize()
        seconds = time.monotonic() - began
    return {
        **found,
        "learned": learned,
        "weights_mib": weights / 2**20,
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20,
        "reserved_mib": torch.cuda.max_memory_reserved() / 2**20,
        "host_peak_mib": peak_mib(),
        "tokens": steps * BATCH * LENGTH,
        "seconds": seconds,
        "loss": loss,
    }


def network(config: Any, way: Way, device: Any) -> Any:
    """Random weights on the GPU: in NF4 as refining makes such a network, its linear layers quantized one by one."""
    import torch
    from transformers import AutoModelForCausalLM

    from understudy.distillation.nf4 import nf4_network

    def noise(_: str, shape: torch.Size) -> torch.Tensor:
        if len(shape) == 1:  # the norms' gains
            return torch.ones(shape, device=device, dtype=torch.bfloat16)
        return torch.empty(shape, device=device, dtype=torch.bfloat16).normal_(0.0, SPREAD)

    if way.base_format == "nf4":
        return nf4_network(config, noise, device)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, way.base_format))


def counted(config: Any) -> dict[str, int]:
    """How many weights the shape has, and of how many linear layers' the base is quantized: all but the head's."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        sizes = {name: p.numel() for name, p in AutoModelForCausalLM.from_config(config).named_parameters()}
    return {"parameters": sum(sizes.values()), "quantized": sum(n for name, n in sizes.items() if "_proj." in name)}


def card(device: Any) -> dict[str, Any]:
    """The GPU, and what computes on it."""
    from importlib.metadata import version

    import torch

    there = torch.cuda.get_device_properties(device)
    names = ("torch", "transformers", "peft", "trl", "bitsandbytes")
    return {
        "gpu": there.name,
        "gpu_mib": round(there.total_memory / 2**20),
        "versions": ", ".join(f"{name} {version(name)}" for name in names),
    }


def main(arguments: Sequence[str]) -> None:
    """The process of one way: its figures are the last line that it prints."""
    sys.stdout.write(json.dumps(train_one_way(*given(arguments))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
