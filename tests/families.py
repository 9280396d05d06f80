"""Networks of real architectures with random weights, and tokenizers of their settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import torch
import transformers
from tokenizers import AddedToken
from transformers.initialization import no_init_weights

from understudy.agents.profiles import QUOTING
from understudy.apps.starter.export import Vocabulary
from understudy.apps.starter.planner_model import train_tokenizer
from understudy.retrieval.load import load

SAMPLES = Path(__file__).parents[1] / "apps" / "understudy" / "apps" / "samples"
QUESTION = "By how much does Nordkvarts raise the price of resonators, and when?"

QWEN_TEMPLATE = """\
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(last=0) %}
{%- for message in messages if message.role == 'user' %}{% set ns.last = loop.index0 %}{% endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set said = message.content.split('</think>')[-1].lstrip('\\n') %}
        {%- if loop.last %}
            {{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' + said }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + said }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

LLAMA_TEMPLATE = """\
{{- bos_token }}
{%- set today = strftime_now('%d %b %Y') %}
{%- if messages[0]['role'] == 'system' %}
    {%- set said = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set said = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: ' + today + '\\n\\n' + said + '<|eot_id|>' }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""

QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN_TEXTUAL = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
"""Tokens of their own that are not special: llama.cpp calls them user-defined."""
LLAMA_SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


@dataclass(frozen=True)
class Family:
    """An architecture: its tokenizer settings, and its configuration whole and small."""

    name: str
    special: tuple[str, ...]
    textual: tuple[str, ...]
    digits: str
    settings: dict[str, Any]
    whole: dict[str, Any]
    small: dict[str, Any]

    @property
    def kind(self) -> tuple[Any, Any]:
        """Its classes in transformers."""
        return getattr(transformers, f"{self.name}Config"), getattr(transformers, f"{self.name}ForCausalLM")


QWEN = Family(
    "Qwen3",
    QWEN_SPECIAL,
    QWEN_TEXTUAL,
    r"\p{N}",
    {"pre": "qwen2", "chat_template": QWEN_TEMPLATE, "eos": "<|im_end|>", "pad": "<|endoftext|>", "adds_bos": False},
    # Qwen3-0.6B
    {
        "vocab_size": 151936, "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072, "max_position_embeddings": 40960,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
    },
    {
        "vocab_size": 3000, "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 48, "intermediate_size": 192, "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
    },
)  # fmt: skip
LLAMA = Family(
    "Llama",
    LLAMA_SPECIAL,
    (),
    r"\p{N}{1,3}",
    {"pre": "llama-bpe", "chat_template": LLAMA_TEMPLATE, "eos": "<|eot_id|>", "bos": "<|begin_of_text|>"},
    # Llama 3.2's vocabulary, heads and rotary scaling, in fewer and narrower layers
    {
        "vocab_size": 128256, "hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 2048, "max_position_embeddings": 131072,
        "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 5e5, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
        "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
    },
    # so short an original context that the scaling shows on a handful of tokens; an output matrix of its own
    {
        "vocab_size": 3000, "hidden_size": 192, "num_hidden_layers": 3, "num_attention_heads": 6,
        "num_key_value_heads": 2, "head_dim": 32, "intermediate_size": 192, "max_position_embeddings": 512,
        "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
        "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
    },
)  # fmt: skip
QWEN2 = Family(
    "Qwen2",
    QWEN_SPECIAL,
    QWEN_TEXTUAL,
    r"\p{N}",
    QWEN.settings,
    # Qwen2.5-0.5B
    {
        "vocab_size": 151936, "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2, "intermediate_size": 4864, "max_position_embeddings": 32768,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
    },
    # biases on queries, keys and values
    {
        "vocab_size": 3000, "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 192, "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
    },
)  # fmt: skip


def sample_texts() -> list[str]:
    files = sorted((SAMPLES / "documents").iterdir())
    return [document.text for file in files for document in load(file, file.name)]


def vocabulary(family: Family) -> Vocabulary:
    """A tokenizer of the family's settings, trained on the sample documents."""
    shown = json.dumps([m.model_dump() for m in QUOTING.open(QUESTION, [], "")])
    tokenizer = train_tokenizer([*sample_texts(), shown], 2000, special=family.special, digits=family.digits)
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in family.textual])
    return Vocabulary(tokenizer, **family.settings)


def network(family: Family, sizes: dict[str, Any], used: int, *, dtype: Any, spread: float) -> Any:
    """A network of random weights, norms included; only the first `used` tokens have an embedding that isn't zero."""
    config_class, model_class = family.kind
    with no_init_weights():
        model = model_class._from_config(config_class(**sizes, dtype=dtype))
    model.tie_weights()
    dice = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, spread, generator=dice)
            else:
                weight.uniform_(0.5, 1.5, generator=dice)
        model.get_input_embeddings().weight[used:] = 0  # llama.cpp quantizes zeros in no time
    return model.eval()


def llama_logits(path: Path, ids: list[int], adapter: Path | None = None) -> Any:
    """Logits `[tokens, vocabulary]` as llama.cpp computes them, keys and values at full precision."""
    full = llama_cpp.GGML_TYPE_F32
    llama = llama_cpp.Llama(
        str(path), n_ctx=64, n_threads=1, n_threads_batch=1, logits_all=True, type_k=full, type_v=full,
        lora_path=None if adapter is None else str(adapter), verbose=False,
    )  # fmt: skip
    try:
        llama.eval(ids)
        return np.array(llama.scores[: len(ids)])
    finally:
        llama.close()
