"""Export of decoders to GGUF: the starter's own, and any other Qwen2, Qwen3 or Llama network of transformers.

The `gguf` package writes the file, llama.cpp itself quantizes it.
"""

from __future__ import annotations

import ctypes
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import torch
from tokenizers import Tokenizer

from understudy.distillation.layout import head_width, llama_rows, rope_scaling, tensor_name

__all__ = ["Vocabulary", "export_gguf", "quantize", "split_rule"]


def split_rule(digits: str) -> str:
    """The regular expression that splits text before BPE; Qwen2's and Llama 3's differ in their run of digits alone."""
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


@dataclass(frozen=True)
class Vocabulary:
    """A byte-level BPE tokenizer with what a GGUF says besides."""

    tokenizer: Tokenizer
    pre: str
    """llama.cpp's name of the splitting rule: "qwen2" or "llama-bpe"."""
    chat_template: str
    eos: str
    """The token that ends a turn."""
    bos: str | None = None
    pad: str | None = None
    adds_bos: bool | None = None
    """Whether prompts begin with BOS; `None` leaves it to llama.cpp's default for `pre`, as real Llama files do."""


def export_gguf(
    model: Any, vocabulary: Vocabulary, path: Path, *, name: str, profile: str | None = None, half: bool = False
) -> None:
    """A GGUF with tokenizer and chat template.

    Args:
        model: a `Qwen3ForCausalLM`, `Qwen2ForCausalLM` or `LlamaForCausalLM`.
        vocabulary: entries beyond the tokenizer's, up to the model's size, are written as unused.
        path: where to.
        name: of the model.
        profile: the `understudy.profile`; real models have none.
        half: matrices as 16-bit floats, else everything at full precision.
    """
    writer = gguf.GGUFWriter(path, model.config.model_type)
    writer.add_name(name)
    if profile is not None:
        writer.add_string("understudy.profile", profile)
    add_shape(writer, model.config)
    add_vocabulary(writer, vocabulary, model.config.vocab_size)
    add_weights(writer, model, half=half)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_shape(writer: gguf.GGUFWriter, config: Any) -> None:
    """Sizes, and the constants of norms and rotary positions."""
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_width(config))
    writer.add_value_length(head_width(config))
    writer.add_rope_dimension_count(head_width(config))
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary, size: int) -> None:
    """Tokens, merges, the roles of special ones, and the chat template."""
    parts = json.loads(vocabulary.tokenizer.to_str())
    ids: dict[str, int] = vocabulary.tokenizer.get_vocab(with_added_tokens=True)
    added = {token["id"]: token["special"] for token in parts["added_tokens"]}
    tokens = [token for token, _ in sorted(ids.items(), key=lambda item: item[1])]
    kinds = {None: gguf.TokenType.NORMAL, True: gguf.TokenType.CONTROL, False: gguf.TokenType.USER_DEFINED}
    types = [kinds[added.get(at)] for at in range(len(tokens))]
    unused = range(len(tokens), size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list([*tokens, *(f"[PAD{at}]" for at in unused)])
    writer.add_token_types([*types, *(gguf.TokenType.UNUSED for _ in unused)])
    writer.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in parts["model"]["merges"]])
    writer.add_eos_token_id(ids[vocabulary.eos])
    if vocabulary.bos is not None:
        writer.add_bos_token_id(ids[vocabulary.bos])
    if vocabulary.pad is not None:
        writer.add_pad_token_id(ids[vocabulary.pad])
    if vocabulary.adds_bos is not None:
        writer.add_add_bos_token(vocabulary.adds_bos)
    writer.add_chat_template(vocabulary.chat_template)


def add_weights(writer: gguf.GGUFWriter, model: Any, *, half: bool) -> None:
    """All tensors under llama.cpp's names and in its order of rows; vectors stay at full precision."""
    config = model.config
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        stem, _, suffix = key.rpartition(".")
        kind = torch.float16 if half and tensor.dim() > 1 else torch.float32
        rows = llama_rows(config, stem, tensor.detach())
        writer.add_tensor(f"{tensor_name(config, stem)}.{suffix}", rows.to(kind).numpy())
    scaling = rope_scaling(model)
    if not torch.allclose(scaling, torch.ones_like(scaling)):
        writer.add_tensor("rope_freqs.weight", scaling.numpy())


def quantize(source: Path, target: Path, kind: int = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0) -> None:
    """Weights of fewer bits (8, unless `kind` says otherwise), by llama.cpp itself."""
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = kind
    code = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(parameters))
    if code != 0:
        raise RuntimeError(f"llama.cpp could not quantize {source} (code {code})")
