"""The planner's tokenizer and network, and how they become a GGUF.

The architecture is Qwen3, so that real Qwen3 models go through the same code. The tokenizer is byte-level BPE under
Qwen2's splitting rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen3Config, Qwen3ForCausalLM

from understudy.apps.starter.export import Vocabulary, export_gguf, quantize, split_rule

__all__ = ["build_network", "quantize", "train_tokenizer", "write_gguf"]

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(
    texts: Iterable[str], vocabulary: int, *, special: Sequence[str] = SPECIAL, digits: str = r"\p{N}"
) -> Tokenizer:
    """Byte-level BPE of `vocabulary` entries, special tokens first; `digits` is the splitting rule's run of digits."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(split_rule(digits)), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[AddedToken(t, special=True) for t in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def build_network(vocabulary: int, *, width: int = 256, layers: int = 4) -> Qwen3ForCausalLM:
    """A small Qwen3 decoder with tied embeddings, randomly initialised."""
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 128,
        head_dim=64,
        intermediate_size=3 * width,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        attn_implementation="sdpa",
    )
    return Qwen3ForCausalLM(config)


def write_gguf(model: Qwen3ForCausalLM, tokenizer: Tokenizer, path: Path, *, profile: str, name: str) -> None:
    """Full-precision GGUF with tokenizer, chat template and Understudy's profile key."""
    vocabulary = Vocabulary(tokenizer, "qwen2", CHAT_TEMPLATE, eos="<|im_end|>", pad="<|endoftext|>", adds_bos=False)
    export_gguf(model, vocabulary, path, name=name, profile=profile)
