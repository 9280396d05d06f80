"""Adapters that nobody trained: noise of a given seed for the starter, written as llama.cpp reads them."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from understudy.agents.small_model import starter_path


def noise_adapter(path: Path, seed: int, *, spread: float = 0.3, base: str = "", width: int = 256) -> Path:
    """A LoRA of rank 4 on the values' and outputs' matrices of the starter; `spread` 0 changes nothing."""
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(f"noise{seed}")
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 8.0)
    if base:
        writer.add_string("understudy.base", base)
    for tensor in gguf.GGUFReader(starter_path()).tensors:
        if tensor.name.endswith("ffn_up.weight"):
            out = int(tensor.shape[1])
            writer.add_tensor(f"{tensor.name}.lora_a", rng.normal(0, 0.3, (4, width)).astype(np.float32))
            writer.add_tensor(f"{tensor.name}.lora_b", rng.normal(0, spread, (out, 4)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
