"""A base in four bits: its linear layers as NF4, their scales quantized too, all else in bfloat16; by bitsandbytes.

QLoRA: Dettmers et al., 2023, https://arxiv.org/abs/2305.14314. peft's `prepare_model_for_kbit_training` is not used: it
would hold the embeddings and the head at full precision, 2 GiB more at eight billion weights, while the products are
in bfloat16 all the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

from understudy.core.errors import MissingExtraError, UserError

__all__ = ["Weights", "nf4_available", "nf4_config", "nf4_device", "nf4_network"]

Weights = Callable[[str, torch.Size], torch.Tensor]
"""A parameter's values, by transformers' name for it and its shape."""


def nf4_device() -> torch.device:
    """Where a base in NF4 lies. Raises `UserError` without a fit GPU, `MissingExtraError` without bitsandbytes."""
    if not fit_gpu():
        raise UserError(
            "a base in nf4 trains on a CUDA GPU that multiplies in bfloat16, and torch finds none here: "
            "use float32 or bfloat16"
        )
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError("bitsandbytes", "gpu")
    return torch.device("cuda", torch.cuda.current_device())


def nf4_available() -> bool:
    """Whether a base can lie in NF4 here."""
    return fit_gpu() and find_spec("bitsandbytes") is not None


def fit_gpu() -> bool:
    """Whether there is a CUDA GPU that has bfloat16 in hardware (Ampere, 2020, and later)."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def nf4_config() -> Any:
    """The format in transformers' words."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def nf4_network(config: Any, weights: Weights, device: torch.device) -> Any:
    """A network ready to train an adapter on, quantized one tensor at a time: it is never there unquantized.

    transformers does that itself only for files of its own form; this takes the same steps with weights from anywhere.

    Args:
        config: the network's shape, as a configuration of transformers.
        weights: asked for every parameter once, in the network's order.
        device: where the network is to lie.
    """
    from accelerate import init_empty_weights
    from bitsandbytes.nn import Params4bit
    from transformers import AutoModelForCausalLM
    from transformers.quantizers import AutoHfQuantizer

    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=torch.bfloat16)
    model.tie_weights()
    quantizer = AutoHfQuantizer.from_config(nf4_config(), pre_quantized=False)
    quantizer.preprocess_model(model, device_map={"": device})
    for name, empty in list(model.named_parameters()):
        values = weights(name, empty.shape).to(device, torch.bfloat16)
        if quantizer.param_needs_quantization(model, name):
            made = Params4bit(values, requires_grad=False, quant_type="nf4", compress_statistics=True).to(device)
        else:
            made = torch.nn.Parameter(values, requires_grad=False)
        stem, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(stem), leaf, made)
    model.tie_weights()
    quantizer.postprocess_model(model)
    model.hf_quantizer = quantizer  # by this the trainer knows that adapters can be trained on it
    return model.to(device)
