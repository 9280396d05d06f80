"""The encoder and the reader as torch modules: what training shapes and what the ONNX export reads.

Only exporting and training import this module; answering runs the exported ONNX graphs.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BertModel
from transformers.utils import logging

from understudy.retrieval.confidence import CALIBRATION
from understudy.retrieval.onnx_models import packaged_weights
from understudy.retrieval.verdict import VERDICT

LORA_TARGETS = ("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense")


def load_encoder(folder: Path | None = None, *, attention: str = "eager") -> BertModel:
    """The packaged encoder, in evaluation mode, without its pooler (which neither use needs).

    Args:
        folder: other weights than the packaged ones.
        attention: `eager` exports to ONNX; `sdpa` trains faster.
    """
    # That the pooler is left out is meant, and no news to who asks a question.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    encoder = BertModel.from_pretrained(
        folder or packaged_weights(), add_pooling_layer=False, attn_implementation=attention
    )
    return cast(BertModel, encoder.eval())


class SentenceEncoder(nn.Module):
    """Mean-pooled, unit-length sentence vectors, as all-MiniLM-L6-v2 was trained to give."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Token ids `[batch, tokens]` to vectors `[batch, 384]`."""
        hidden = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(pooled, dim=-1)


class SpanReader(nn.Module):
    """Question and passage in, span logits and an answerability logit out.

    Position 0 (`[CLS]`) stands for "no answer here" in the span logits, as in Devlin et al. 2019 (BERT) on
    SQuAD 2.0; the answerability head is trained by a loss of its own.
    """

    def __init__(self, encoder: nn.Module, hidden_size: int = 384) -> None:
        super().__init__()
        self.encoder = encoder
        self.span = nn.Linear(hidden_size, 2)
        self.answerable = nn.Linear(hidden_size, 1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids `[batch, tokens]` to span logits `[batch, tokens, 2]` and answerability logits `[batch]`."""
        hidden = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state
        return self.span(hidden), self.answerable(hidden[:, 0]).squeeze(-1)


def load_reader(weights: Path) -> SpanReader:
    """The encoder with a file's low-rank updates merged in (`W + 2BA`), and its heads."""
    reader = SpanReader(load_encoder())
    beside = (CALIBRATION, VERDICT)
    tensors = {name: tensor.float() for name, tensor in load_file(weights).items() if name not in beside}
    state = reader.state_dict()
    for name, tensor in tensors.items():
        if name.endswith(".lora_A"):
            stem = name.removesuffix(".lora_A")
            key = f"encoder.{stem}.weight"
            state[key] = state[key] + 2 * (tensors[f"{stem}.lora_B"] @ tensor)
        elif not name.endswith(".lora_B"):
            state[name] = tensor
    reader.load_state_dict(state)
    return reader.eval()
