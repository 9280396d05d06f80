"""Token classifiers that know a few words for certain: real networks of transformers, with weights that are set.

Each word's label stands in its embedding, and all layers between pass it on, so what a model should find is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForTokenClassification, RobertaConfig, RobertaForTokenClassification
from transformers import PreTrainedTokenizerFast as Wrapped

LABELS: Mapping[str, str] = {
    "Maria": "B-PER", "Kovac": "I-PER", "amber": "B-PER", "Zoë": "B-PER", "Bern": "B-LOC", "harbour": "B-LOC",
    "Acme": "B-ORG", "Works": "I-ORG", "American": "B-MISC", "Zorbium": "B-MISC", "雪": "B-PER",
}  # fmt: skip
"""Words that the models know."""
FILLER = ("the", "of", "was", "in", "Mar", "drug", "seen")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
KINDS = ("wordpiece", "bytes", "unigram")
"""The three families of tokenizers: BERT's, RoBERTa's and XLM-RoBERTa's."""


def token_classifier(
    folder: Path, kind: str = "wordpiece", labels: Mapping[str, str] = LABELS, tokens: int = 64, **config: Any
) -> Path:
    """A folder with a model that reads so many tokens at once."""
    tokenizer = {"wordpiece": wordpiece, "bytes": by_bytes, "unigram": unigram}[kind](labels)
    first, last = (tokenizer.token_to_id(s) for s in ("[CLS]", "[SEP]"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", first), ("[SEP]", last)]
    )
    wrapped = Wrapped(
        tokenizer_object=tokenizer, model_max_length=tokens, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]",
    )  # fmt: skip
    names = ["O", *sorted(set(labels.values()))]
    of_bert, of_roberta = (BertConfig, BertForTokenClassification), (RobertaConfig, RobertaForTokenClassification)
    configured, built = of_bert if kind == "wordpiece" else of_roberta
    sizes = configured(
        vocab_size=len(wrapped), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=tokens + 2, id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)},
        pad_token_id=wrapped.pad_token_id, **config,
    )  # fmt: skip
    network = built(sizes)
    known = {i: names.index(labels.get(bare(token), "O")) for token, i in wrapped.get_vocab().items()}
    fill(network, known)
    network.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


def bare(token: str) -> str:
    """A token of the vocabulary without its family's marks, as it stands in a text."""
    if token.startswith("##"):
        return ""
    plain = token.replace("Ġ", "").replace("▁", "")
    return {"Zoe": "Zoë", "ZoÃ«": "Zoë", "éĽª": "雪"}.get(plain, plain)


def fill(network: Any, known: Mapping[int, int]) -> None:
    """Embeddings that say the label, and layers that leave them as they are."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
        for token, label in known.items():
            network.base_model.embeddings.word_embeddings.weight[token, label] = 4.0
        network.classifier.weight.copy_(torch.eye(*network.classifier.weight.shape))


def wordpiece(labels: Mapping[str, str]) -> Tokenizer:
    """BERT's, which drops accents: words, and single characters for all others."""
    letters = [chr(c) for c in range(33, 127)]
    words = [w.replace("ë", "e") for w in (*labels, *FILLER)]
    vocabulary = [*SPECIAL, *letters, *(f"##{c}" for c in letters), *(w for w in words if len(w) > 1), "雪"]
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(dict.fromkeys(vocabulary))}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def by_bytes(labels: Mapping[str, str]) -> Tokenizer:
    """RoBERTa's: pieces of UTF-8, with the space before them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    words: Sequence[str] = (*labels, *FILLER)
    trainer = trainers.BpeTrainer(
        special_tokens=list(SPECIAL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([f"({w} {w}" for w in words for _ in range(9)], trainer)
    return tokenizer


def unigram(labels: Mapping[str, str]) -> Tokenizer:
    """XLM-RoBERTa's: pieces of a line, words parted by spaces alone."""
    words = (*labels, *FILLER)
    letters = [chr(c) for c in range(33, 127)]
    pieces = [(t, 0.0) for t in SPECIAL]
    pieces += [(f"▁{w}", -2.0) for w in words] + [(w, -3.0) for w in words] + [(c, -9.0) for c in ("▁", *letters)]
    tokenizer = Tokenizer(models.Unigram(list(dict(pieces).items()), unk_id=1))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\n", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer
