"""Sentence vectors of the packaged MiniLM, as a LangChain `Embeddings`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray
from tokenizers import Tokenizer

from understudy.retrieval.onnx_models import encoder_session, tokenizer_path

__all__ = ["Encoder", "MiniLM", "Remembering", "padded"]

MAX_TOKENS = 256
"""What all-MiniLM-L6-v2 was trained with; the rest of a longer text is not seen."""


class Encoder(Protocol):
    """What turns a text into a vector."""

    def embed_query(self, text: str) -> list[float]:
        """The unit vector of one text."""
        ...


class MiniLM(Embeddings):
    """all-MiniLM-L6-v2: 384 numbers of unit length a text.

    Args:
        threads: of onnxruntime; all cores by default.
        batch: texts in one run of the encoder.
    """

    def __init__(self, *, threads: int | None = None, batch: int = 32) -> None:
        self._session: Any = encoder_session(threads)
        self._tokenizer = Tokenizer.from_file(str(tokenizer_path()))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._batch = batch

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text. Batches are of like length, so little is padding."""
        if not texts:
            return []
        encodings = self._tokenizer.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        vectors = np.empty((len(texts), 384), dtype=np.float32)
        for at in range(0, len(order), self._batch):
            chosen = order[at : at + self._batch]
            feed = padded([encodings[i].ids for i in chosen], [encodings[i].type_ids for i in chosen])
            vectors[chosen] = self._session.run(None, feed)[0]
        rows: list[list[float]] = vectors.tolist()
        return rows

    def count(self, texts: list[str]) -> int:
        """How many tokens it reads of some texts."""
        return sum(len(encoded.ids) for encoded in self._tokenizer.encode_batch(texts))

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text."""
        return self.embed_documents([text])[0]


class Remembering:
    """An `Encoder` that knows the texts of late: a job asks the same questions of every document.

    Args:
        encoder: of the others.
        most: texts that are remembered.
    """

    def __init__(self, encoder: Encoder, most: int = 4096) -> None:
        self.embed_query = lru_cache(most)(encoder.embed_query)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text."""
        return [self.embed_query(text) for text in texts]


def padded(ids: list[list[int]], types: list[list[int]]) -> dict[str, NDArray[np.int64]]:
    """Inputs of the encoder, `[batch, tokens]`."""
    width = max(map(len, ids))
    feed = {n: np.zeros((len(ids), width), np.int64) for n in ("input_ids", "attention_mask", "token_type_ids")}
    for row, (row_ids, row_types) in enumerate(zip(ids, types, strict=True)):
        feed["input_ids"][row, : len(row_ids)] = row_ids
        feed["attention_mask"][row, : len(row_ids)] = 1
        feed["token_type_ids"][row, : len(row_ids)] = row_types
    return feed
