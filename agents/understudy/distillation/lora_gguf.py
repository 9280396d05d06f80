"""A LoRA that peft saved, as a GGUF adapter for llama.cpp."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gguf
from safetensors.torch import load_file
from torch import Tensor

from understudy.core.adapters import ADAPTER_BASE_KEY
from understudy.core.errors import UserError
from understudy.distillation.base import Base
from understudy.distillation.layout import llama_rows, tensor_name

__all__ = ["write_adapter"]

PREFIX = "base_model.model."
"""What peft puts before the names of the network's modules."""


def write_adapter(folder: Path, base: Base, path: Path, *, name: str) -> None:
    """Write an adapter that llama.cpp loads beside its base; it appears whole or not at all.

    Args:
        folder: what peft saved: `adapter_config.json` and `adapter_model.safetensors`.
        base: what it was trained on.
        path: the GGUF to write.
        name: of the adapter, for people.

    Raises:
        UserError: the adapter isn't a plain LoRA of linear layers that llama.cpp knows.
    """
    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    check_plain(settings, folder)
    pairs = matrices(load_file(folder / "adapter_model.safetensors"), base.config, folder)
    partial = path.with_name(path.name + ".partial")
    writer = gguf.GGUFWriter(partial, base.config.model_type)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(name)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(settings["lora_alpha"]))
    writer.add_string(ADAPTER_BASE_KEY, base.digest)
    for at, tensor in sorted(pairs.items()):
        writer.add_tensor(at, tensor.float().contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial, path)


def check_plain(settings: dict[str, Any], folder: Path) -> None:
    """Raise `UserError` for what a GGUF adapter can't say: it knows one alpha, and divides it by each pair's rank."""
    special = [k for k in ("use_dora", "use_rslora", "alpha_pattern", "modules_to_save") if settings.get(k)]
    if settings.get("peft_type") != "LORA" or special or settings.get("bias", "none") != "none":
        what = ", ".join(special) or settings.get("peft_type")
        raise UserError(f"{folder}: {what} can't be exported to GGUF; train a plain LoRA")


def matrices(state: dict[str, Tensor], config: Any, folder: Path) -> dict[str, Tensor]:
    """Under llama.cpp's names: `lora_a` as `[rank, in]`, `lora_b` as `[out, rank]` in llama.cpp's order of rows."""
    found = {}
    for key, tensor in state.items():
        stem, _, half = key.removeprefix(PREFIX).removesuffix(".weight").rpartition(".")
        try:
            name = tensor_name(config, stem)
        except KeyError:
            raise UserError(f"{folder}: llama.cpp knows no place for {key}") from None
        rows = llama_rows(config, stem, tensor) if half == "lora_B" else tensor
        found[f"{name}.weight.{half.lower()}"] = rows
    return found
