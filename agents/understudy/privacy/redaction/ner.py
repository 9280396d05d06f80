"""Names and places by a model of the owner's: a folder with a token classifier in transformers' form.

A long text is read in windows that overlap, and each token goes by the window that shows most around it, as Devlin et
al. 2019 (BERT) read SQuAD. A word goes by its first piece, which is how such models are trained. Nothing is ever
downloaded, no code of the folder is run, and where the model can't read a text nothing leaves.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from understudy.core.errors import EgressRefused, ModelFileError
from understudy.privacy.protected.folding import spaceless
from understudy.privacy.redaction.found import Found
from understudy.privacy.redaction.tags import Tag, Tagged, clings, spans, tag_of

__all__ = ["NerModel"]

WINDOW = 512
"""Tokens read at once at the most: twice as many take four times as long."""
AT_ONCE = 8
"""Windows in one pass of the network."""
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "sentencepiece.bpe.model", "spm.model")
SURROGATES = re.compile("[\ud800-\udfff]")
UNLOADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError)
"""What transformers raises on a folder that isn't what it says."""
UNREADABLE = (RuntimeError, ValueError, IndexError, TypeError)


class NerModel:
    """Finds names by a token classifier. One serves any number of threads; it is loaded when it is first needed.

    Args:
        folder: with `config.json`, weights as safetensors, and a tokenizer.

    Raises:
        ModelFileError: it holds no such model, or one whose labels name nobody.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        config = config_of(folder)
        self._tags = tags_of(folder, config)
        check_files(folder)
        self._loading, self._tokenizing = threading.Lock(), threading.Lock()
        self._loaded: Loaded | None = None

    def find(self, text: str) -> Iterator[Found]:
        """Names, with the code points where they stand. Raises `EgressRefused` where the model can't be used."""
        if not text.strip():
            return
        loaded = self._model()
        try:
            pieces = self._pieces(loaded, SURROGATES.sub("\ufffd", text))
        except UNREADABLE as error:
            raise self._refused("can't read a text", error) from error
        yield from spans(text, by_word(text, pieces))

    def _model(self) -> Loaded:
        with self._loading:
            if self._loaded is None:
                try:
                    self._loaded = load(self.folder, len(self._tags))
                except UNLOADABLE as error:
                    raise self._refused("can't be loaded", error) from error
            return self._loaded

    def _refused(self, what: str, error: Exception) -> EgressRefused:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        return EgressRefused(
            f"the model of [privacy] ner, {self.folder}, {what}: {why[:200]}; nothing was sent", "redaction"
        )

    def _pieces(self, model: Loaded, text: str) -> list[Piece]:
        """Every token of a text with its tag, as the window tells that has most around it."""
        overlap = (model.window - model.special) // 4
        step = model.window - model.special - overlap
        with self._tokenizing:  # a tokenizer keeps the length it cuts at in itself
            read = model.tokenizer(
                text, truncation=True, max_length=model.window, stride=overlap, return_overflowing_tokens=True,
                padding=True, split_special_tokens=True, return_tensors="pt",
            )  # fmt: skip
        inputs = {name: read[name] for name in model.inputs if name in read}
        windows = read.encodings
        tags = [tag for at in range(0, len(windows), AT_ONCE) for tag in self._tagged(model, inputs, at)]
        best: dict[int, tuple[int, Piece]] = {}
        for number, (window, labels) in enumerate(zip(windows, tags, strict=True)):
            inner = [i for i, special in enumerate(window.special_tokens_mask) if not special]
            for place, i in enumerate(inner):
                left = place if number else len(text)
                right = len(inner) - 1 - place if number + 1 < len(windows) else len(text)
                start, end = window.offsets[i]
                piece = Piece(start, end, window.word_ids[i], self._tags[labels[i]])
                known = best.get(number * step + place)
                if known is None or known[0] < min(left, right):
                    best[number * step + place] = min(left, right), piece
        return [best[at][1] for at in sorted(best)]

    def _tagged(self, model: Loaded, inputs: dict[str, Any], at: int) -> list[list[int]]:
        import torch

        with torch.inference_mode():
            logits = model.network(**{name: rows[at : at + AT_ONCE] for name, rows in inputs.items()}).logits
        if not bool(torch.isfinite(logits).all()):
            raise ValueError("its figures are no numbers")
        return [[int(label) for label in row] for row in logits.argmax(-1)]


class Piece(NamedTuple):
    """A token: where it stands, which word of the text it belongs to by the tokenizer, and its tag."""

    start: int
    end: int
    word: int | None
    tag: Tag


def by_word(text: str, pieces: Sequence[Piece]) -> Iterator[Tagged]:
    """Words, each tagged as its first piece is."""
    word: Tagged | None = None
    before: Piece | None = None
    for piece in pieces:
        if piece.start == piece.end:
            continue
        if word is not None and before is not None and piece.word == before.word and unbroken(text, piece):
            word = word._replace(end=piece.end)
        else:
            if word is not None:
                yield word
            word = Tagged(piece.start, piece.end, piece.tag)
        before = piece
    if word is not None:
        yield word


def unbroken(text: str, piece: Piece) -> bool:
    """Whether a token begins inside a word; in scripts without spaces each begins one."""
    if piece.start == 0:
        return False
    left, right = text[piece.start - 1], text[piece.start]
    if spaceless(left) or spaceless(right):
        return clings(right)
    return all(c.isalnum() or clings(c) for c in (left, right))


class Loaded(NamedTuple):
    """A model in memory."""

    tokenizer: Any
    network: Any
    inputs: Sequence[str]
    """What of the tokenizer's words the network takes."""
    window: int
    """Tokens that it reads at once, special ones too."""
    special: int
    """Special ones of these."""


def load(folder: Path, labels: int) -> Loaded:
    """The model on the CPU. Raises what transformers raises (`UNLOADABLE`)."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise ValueError("its tokenizer can't say where a token stands; save it with a tokenizer.json")
    tokenizer.truncation_side = tokenizer.padding_side = "right"
    network, report = AutoModelForTokenClassification.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32,
        output_loading_info=True,
    )  # fmt: skip
    if report["missing_keys"]:
        raise ValueError(f"its weights lack {min(report['missing_keys'])}")
    if network.num_labels != labels:
        raise ValueError(f"it has {network.num_labels} labels, and names for {labels}")
    special = tokenizer.num_special_tokens_to_add()
    # RoBERTa counts its positions from two, so two of them are no room for tokens.
    positions = getattr(network.config, "max_position_embeddings", None) or WINDOW + 2
    window = min(WINDOW, tokenizer.model_max_length, positions - 2)
    if window < special + 4:
        raise ValueError(f"it reads only {window} tokens at once")
    takes = signature(network.forward).parameters
    return Loaded(tokenizer, network.eval(), [n for n in tokenizer.model_input_names if n in takes], window, special)


def config_of(folder: Path) -> dict[str, Any]:
    """What a folder says that it holds. Raises `ModelFileError`."""
    if not folder.is_dir():
        raise ModelFileError(f"privacy.ner: there is no folder {folder}; give one with a token classifier")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelFileError(f"privacy.ner: {folder} holds no config.json, so no model of transformers") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"privacy.ner: {folder / 'config.json'} can't be read as JSON") from error
    names = config.get("architectures") if isinstance(config, dict) else None
    if not any(str(name).endswith("ForTokenClassification") for name in names or ()):
        held = ", ".join(map(str, names or ())) or "no architecture"
        raise ModelFileError(f"privacy.ner: {folder} holds {held}; a token classifier is needed")
    return dict(config)


def tags_of(folder: Path, config: dict[str, Any]) -> list[Tag]:
    """The tags of its labels, by number. Raises `ModelFileError` where none of them names anybody."""
    try:
        labels = {int(number): str(label) for number, label in config.get("id2label", {}).items()}
    except (AttributeError, ValueError) as error:
        raise ModelFileError(f"privacy.ner: id2label in {folder / 'config.json'} is no table of labels") from error
    if sorted(labels) != list(range(len(labels))):
        raise ModelFileError(f"privacy.ner: id2label in {folder / 'config.json'} leaves a number out")
    tags = [tag_of(labels[number]) for number in range(len(labels))]
    if not any(tag.type for tag in tags):
        shown = ", ".join(list(labels.values())[:6]) or "none"
        raise ModelFileError(
            f"privacy.ner: no label of {folder} names a person, a place or an organisation (it has {shown}); "
            "write labels such as B-PER, B-LOC, B-ORG into id2label of its config.json"
        )
    return tags


def check_files(folder: Path) -> None:
    """That weights and tokenizer are there, and no weights are cut off. Raises `ModelFileError`."""
    weights = sorted(folder.glob("model*.safetensors"))
    if not weights:
        raise ModelFileError(f"privacy.ner: {folder} holds no model.safetensors; save its weights in that form")
    for file in weights:
        try:
            with safe_open(file, "numpy"):
                pass
        except (OSError, SafetensorError) as error:
            raise ModelFileError(f"privacy.ner: {file} is damaged or no safetensors file") from error
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise ModelFileError(f"privacy.ner: {folder} holds no tokenizer.json, and no vocabulary to make one of")
