"""The network that an adapter is trained on: read from the GGUF that runs, or from original weights if there are any.

From the GGUF the weights are those that llama.cpp computes with, so what is learned makes up for their rounding too.
transformers reads GGUFs as well, but leaves out the head's width and the scaling of rotary frequencies.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gguf
import torch

from understudy.core.errors import ModelFileError
from understudy.core.settings import BaseFormat
from understudy.distillation.layout import ARCHITECTURES, tensor_name, torch_rows
from understudy.distillation.nf4 import Weights, nf4_config, nf4_device, nf4_network

__all__ = ["Base"]


@dataclass(frozen=True)
class Base:
    """A decoder by its files.

    Args:
        path: the GGUF that adapters will be worn by.
        weights: a folder of original weights in transformers' form; without one the GGUF's own are dequantized.
    """

    path: Path
    weights: Path | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the GGUF: adapters carry it, and fit no other."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def config(self) -> Any:
        """The network's shape, as a configuration of transformers. Raises `ModelFileError`."""
        return self._shape[0]

    @property
    def parameters(self) -> int:
        """How many weights it has. Raises `ModelFileError`."""
        return self._shape[1]

    @cached_property
    def _shape(self) -> tuple[Any, int]:
        reader = opened(self.path)  # takes seconds, and memory: it isn't kept
        return config_of(reader, self.path), sum(int(t.n_elements) for t in reader.tensors)

    def load(self, base_format: BaseFormat = "float32") -> Any:
        """The network, ready to train on or to compute with; in nf4 it lies on the GPU.

        Raises:
            ModelFileError: the files can't be read, or hold what can't be trained.
            UserError: nf4 without a GPU, or (`MissingExtraError`) without its package.
        """
        from transformers import AutoModelForCausalLM

        if self.weights is None:
            return network_of(opened(self.path), self.config, self.path, base_format)
        options: dict[str, Any] = {"dtype": torch.float32 if base_format == "float32" else torch.bfloat16}
        if base_format == "nf4":
            options |= {"device_map": {"": nf4_device()}, "quantization_config": nf4_config()}
        try:
            return AutoModelForCausalLM.from_pretrained(self.weights, local_files_only=True, **options)
        except (OSError, ValueError) as error:
            raise ModelFileError(f"{self.weights}: these weights can't be read: {error}") from error


def opened(path: Path) -> Any:
    """A GGUF's keys and tensors, mapped into memory."""
    try:
        return gguf.GGUFReader(path)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path}: no GGUF that can be read ({error})") from error


def config_of(reader: Any, path: Path) -> Any:
    """The configuration that a GGUF's keys and tensors amount to."""
    from transformers import AutoConfig

    kind = str(reader.fields["general.architecture"].contents())
    if kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelFileError(f"{path}: architecture {kind} can't be trained; use a model of {known}")

    def key(name: str, default: Any = None) -> Any:
        field = reader.fields.get(f"{kind}.{name}")
        if field is None and default is None:
            raise ModelFileError(f"{path}: lacks {kind}.{name}")
        return default if field is None else field.contents()

    if key("rope.scaling.type", "none") != "none":
        raise ModelFileError(f"{path}: scales rotary positions by keys, which can't be trained; give original weights")
    tensors = {t.name: t for t in reader.tensors}
    heads, width = key("attention.head_count"), key("embedding_length")
    settings = {
        "vocab_size": int(tensors["token_embd.weight"].shape[1]),
        "hidden_size": width,
        "num_hidden_layers": key("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": key("attention.head_count_kv", heads),
        "head_dim": key("attention.key_length", width // heads),
        "intermediate_size": key("feed_forward_length"),
        "max_position_embeddings": key("context_length"),
        "rope_parameters": {"rope_type": "default", "rope_theta": key("rope.freq_base", 10000.0)},
        "rms_norm_eps": key("attention.layer_norm_rms_epsilon"),
        "tie_word_embeddings": "output.weight" not in tensors,
    }
    if kind != "qwen2":  # it always has them
        settings["attention_bias"] = "blk.0.attn_q.bias" in tensors
    return AutoConfig.for_model(kind, **settings)


def network_of(reader: Any, config: Any, path: Path, base_format: BaseFormat) -> Any:
    """A network with a GGUF's weights, dequantized one tensor at a time."""
    left = {t.name: t for t in reader.tensors}
    scaling = left.pop("rope_freqs.weight", None)

    def weights(key: str, shape: torch.Size) -> torch.Tensor:
        stem, _, suffix = key.rpartition(".")
        tensor = left.pop(f"{tensor_name(config, stem)}.{suffix}", None)
        if tensor is None:
            raise ModelFileError(f"{path}: has no weights for {key}")
        found = dequantized(tensor, path)
        if found.shape != shape:
            raise ModelFileError(f"{path}: {tensor.name} is {tuple(found.shape)}, not {tuple(shape)}")
        return torch_rows(config, stem, found)

    if base_format == "nf4":
        model = nf4_network(config, weights, nf4_device())
    else:
        model = plain_network(config, weights, torch.float32 if base_format == "float32" else torch.bfloat16)
    if scaling is not None:
        frequencies = model.model.rotary_emb.inv_freq
        frequencies /= torch.from_numpy(scaling.data.copy()).to(frequencies.device)
    if left:
        raise ModelFileError(f"{path}: {min(left)} has no place in a plain {config.model_type} network")
    return model


def plain_network(config: Any, weights: Weights, dtype: torch.dtype) -> Any:
    """A network that isn't quantized."""
    from transformers import AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    with no_init_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.tie_weights()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.copy_(weights(key, parameter.shape))
    return model


def dequantized(tensor: Any, path: Path) -> torch.Tensor:
    """A tensor's weights. Raises `ModelFileError` for a quantization that only llama.cpp can read."""
    try:
        return torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type).copy())
    except NotImplementedError:
        kind = tensor.tensor_type.name
        raise ModelFileError(f"{path}: weights quantized as {kind} can't be trained; use a Q4_K_M or Q8_0") from None
