"""How llama.cpp lays out the decoders that are trained here: names of tensors, and the order of a Llama's rows.

One place for three uses: exporting whole models, reading a base back from its GGUF, exporting adapters.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import gguf
import torch
from torch import Tensor

__all__ = ["ARCHITECTURES", "head_width", "llama_rows", "rope_scaling", "tensor_name", "torch_rows"]

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Dense decoders whose names are the same in transformers (`model_type`) and in llama.cpp."""


def tensor_name(config: Any, stem: str) -> str:
    """llama.cpp's name, without suffix, of a module of transformers such as `model.layers.0.self_attn.q_proj`.

    Raises `KeyError` where llama.cpp has none.
    """
    found: str | None = name_map(config.model_type, config.num_hidden_layers).get_name(stem)
    if found is None:
        raise KeyError(stem)
    return found


@lru_cache(maxsize=8)
def name_map(kind: str, layers: int) -> Any:
    """All names of an architecture."""
    architectures = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    return gguf.get_tensor_name_map(architectures[kind], layers)


def head_width(config: Any) -> int:
    """The width of an attention head; Qwen2's configuration doesn't spell it out."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def llama_rows(config: Any, stem: str, tensor: Tensor) -> Tensor:
    """The rows of a Llama's query and key weights with the two halves of each head interleaved.

    llama.cpp turns neighbouring rows of that architecture, transformers turns row i with row i + head_dim / 2; for
    Qwen2 and Qwen3 both do the latter.
    """
    heads = permuted_heads(config, stem)
    if heads is None:
        return tensor
    halves = tensor.reshape(heads, 2, -1, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def torch_rows(config: Any, stem: str, tensor: Tensor) -> Tensor:
    """What `llama_rows` undone gives."""
    heads = permuted_heads(config, stem)
    if heads is None:
        return tensor
    pairs = tensor.reshape(heads, -1, 2, *tensor.shape[1:])
    return pairs.swapaxes(1, 2).reshape(tensor.shape)


def permuted_heads(config: Any, stem: str) -> int | None:
    """How many heads' rows are interleaved in a module's weights; `None` for one that both lay out alike."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    return heads.get(stem.rpartition(".")[2]) if config.model_type == "llama" else None


def rope_scaling(model: Any) -> Tensor:
    """By how much each rotary frequency is slowed down; all ones where the model doesn't scale them."""
    width = head_width(model.config)
    exponents = torch.arange(0, width, 2, dtype=torch.float32) / width
    plain = 1.0 / model.config.rope_parameters["rope_theta"] ** exponents
    factors: Tensor = plain / model.model.rotary_emb.inv_freq
    return factors
