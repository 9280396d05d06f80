"""llama.cpp with one sequence: a loaded model, and a KV cache that is reused by prefix and put aside for others.

Everything foreign from llama.cpp is mapped to our errors here.
"""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from llguidance.llamacpp import lltokenizer_from_vocab

from understudy.agents.adapters import Adapter
from understudy.agents.decoding import Generated, Logits, Vocabulary, decode
from understudy.agents.kept import Kept, LlamaStates, shared
from understudy.core.errors import InternalError, ModelFileError, Stopped
from understudy.core.machine import cores
from understudy.core.protocols import Cancel

__all__ = ["BATCH", "Engine", "put", "row"]

BATCH = 512
"""Tokens that are computed in one go."""


class Engine:
    """A loaded model. Not thread-safe: its owner serialises calls."""

    def __init__(self, path: Path, *, context: int, threads: int | None = None, kept_mib: int = 0) -> None:
        check_magic(path)
        try:
            self._llama: Any = llama_cpp.Llama(
                str(path),
                n_ctx=context,
                n_batch=BATCH,
                n_threads=threads or max(1, cores() // 2),
                n_threads_batch=threads or cores(),
                verbose=False,
            )
        except (ValueError, AssertionError, RuntimeError, OSError) as error:
            raise ModelFileError(f"{path}: llama.cpp can't load this model ({error}); is the file complete?") from error
        self.path = path
        self.metadata: dict[str, str] = dict(self._llama.metadata)
        self._context = self._llama.ctx
        self._vocab = llama_cpp.llama_model_get_vocab(self._llama.model)
        self._size = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
        self._cached: list[int] = []
        self._kept = Kept(LlamaStates(self._context), kept_mib * 2**20)
        self._worn: Adapter | None = None
        self.discarded: list[Any] = []
        """Pointers of adapters that nothing refers to any more."""
        self.context: int = llama_cpp.llama_n_ctx(self._context)
        self.spent = 0.0
        """Seconds that llama.cpp has computed here so far."""
        pieces = [self.piece(t) for t in range(self._size)]
        marks = {t: piece.decode() for t, piece in enumerate(pieces) if self._is_mark(t, piece)}
        self._mark = re.compile("|".join(map(re.escape, marks.values())) or "(?!)")
        self.vocabulary = self._vocabulary(pieces, marks)

    def close(self) -> None:
        """Free the model."""
        if self._llama is not None:
            llama_cpp.llama_batch_free(self._batch)
            self._llama.close()
            self._llama = None

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        """Token ids; with `control` false, control tokens and marks spelled in the text stay plain text."""
        cuts = [] if control else [found.start() + 1 for found in self._mark.finditer(text)]
        ids: list[int] = []
        for start, end in pairwise([0, *cuts, len(text)]):
            ids += self._llama.tokenize(text[start:end].encode(), add_bos=False, special=control)
        return ids

    def text(self, ids: list[int]) -> str:
        """The text of ids; control tokens give nothing."""
        raw: bytes = self._llama.detokenize(ids)
        return raw.decode("utf-8", errors="replace")

    def piece(self, token: int) -> bytes:
        """The bytes of one token."""
        buffer = ctypes.create_string_buffer(512)
        length = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, 512, 0, False)
        return buffer.raw[: max(0, length)]

    def special_text(self, which: str) -> str:
        """The text of the model's "bos" or "eos" token, "" where it has none."""
        token = getattr(llama_cpp, f"llama_vocab_{which}")(self._vocab)
        return "" if token < 0 else str(llama_cpp.llama_vocab_get_text(self._vocab, token).decode())

    @property
    def adds_bos(self) -> bool:
        """Whether prompts of this model begin with its BOS token."""
        return bool(llama_cpp.llama_vocab_get_add_bos(self._vocab))

    @property
    def recurrent(self) -> bool:
        """Whether it keeps states that can't be cut back to a prefix, unlike a KV cache."""
        model = self._llama.model
        return bool(llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model))

    @property
    def parameters(self) -> Any:
        """A copy of llama.cpp's parameters of the context."""
        params = self._llama.context_params
        return type(params).from_buffer_copy(params)

    @property
    def model(self) -> Any:
        """llama.cpp's pointer to the weights."""
        return self._llama.model

    def wear(self, adapter: Adapter | None) -> None:
        """Compute with an adapter, or with none, from now on. The KV cache goes: it belongs to one adapter."""
        if adapter is self._worn:
            return
        worn = [] if adapter is None else [adapter.handle]
        handles = (llama_cpp.llama_adapter_lora_p_ctypes * len(worn))(*worn)
        scales = (ctypes.c_float * len(worn))(*(1.0 for _ in worn))
        if llama_cpp.llama_set_adapters_lora(self._context, handles, len(worn), scales) != 0:
            raise InternalError("llama.cpp refused an adapter that it had loaded")
        self.forget()
        self._worn = adapter
        while self.discarded:
            llama_cpp.llama_adapter_lora_free(self.discarded.pop())

    def forget(self) -> None:
        """Drop the KV cache, and with it what was read."""
        llama_cpp.llama_memory_clear(self._memory, True)
        self._cached.clear()
        self._kept.clear()

    def logits_after(self, prompt: list[int]) -> Logits:
        """The logits `[vocabulary]` after a prompt."""
        return self.sync(prompt, None)[0]

    def generate(
        self,
        prompt: list[int],
        grammar: str,
        *,
        limit: int,
        on_bytes: Callable[[bytes], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Generated:
        """One string of the grammar after a prompt, see `decode`. Raises `QuestionError`, `Stopped`."""
        return decode(
            self, self.vocabulary, prompt, grammar, context=self.context, limit=limit, on_bytes=on_bytes, cancel=cancel
        )

    def sync(self, prompt: list[int], cancel: Cancel | None) -> tuple[Logits, int]:
        """Bring the KV cache to the prompt; the logits after it, and how many of its tokens were there already."""
        before, self._cached = self._cached, self._kept.exchange(self._cached, prompt)
        if not self._cached and before:  # a copy that could not be put back
            llama_cpp.llama_memory_clear(self._memory, True)
        same = min(shared(self._cached, prompt), len(prompt) - 1)
        if same < len(self._cached):
            if not llama_cpp.llama_memory_seq_rm(self._memory, 0, same, -1):  # a state that can't be cut back
                llama_cpp.llama_memory_clear(self._memory, True)
                same = 0
            del self._cached[same:]
        logits: Logits | None = None
        for at in range(same, len(prompt), BATCH):
            if cancel is not None and cancel():
                raise Stopped("inference was stopped")
            logits = self.decode(prompt[at : at + BATCH], every=False)[-1]
        if logits is None:
            raise InternalError("an empty prompt")
        return logits, same

    def decode(self, ids: list[int], *, every: bool) -> list[Logits]:
        """Run tokens through the model; logits of each, or of the last one."""
        batch = self._batch
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            put(batch, i, token, len(self._cached) + i, 0, wanted=every or i == len(ids) - 1)
        began = time.perf_counter()
        code = llama_cpp.llama_decode(self._context, batch)
        self.spent += time.perf_counter() - began
        if code != 0:
            raise InternalError(f"llama_decode failed with code {code} at token {len(self._cached)}")
        self._cached += ids
        return [row(self._context, i, self._size) for i in (range(len(ids)) if every else [len(ids) - 1])]

    def _vocabulary(self, pieces: Sequence[bytes], marks: Mapping[int, str]) -> Vocabulary:
        ends = (llama_cpp.llama_vocab_eos(self._vocab), llama_cpp.llama_vocab_eot(self._vocab))
        return Vocabulary(
            guide=lltokenizer_from_vocab(self._vocab),
            size=self._size,
            ends=frozenset(t for t in range(self._size) if llama_cpp.llama_vocab_is_eog(self._vocab, t)),
            never=tuple({end for end in ends if end >= 0}),
            spelled={t: self.tokenize(text, control=False) for t, text in marks.items()},
            closing=tuple(np.array([p[:1] == mark for p in pieces]) for mark in (b'"', b"]", b"}")),
            piece=self.piece,
        )

    def _is_mark(self, token: int, piece: bytes) -> bool:
        """Whether it is like `<think>`: no control token, yet llama.cpp finds it in plain text."""
        if not (piece.startswith(b"<") and piece.endswith(b">")):
            return False
        return bool(llama_cpp.llama_vocab_get_attr(self._vocab, token) & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED)


def put(batch: Any, at: int, token: int, position: int, sequence: int, *, wanted: bool) -> None:
    """Write one token into a batch, whose logits are wanted or not."""
    batch.token[at] = token
    batch.pos[at] = position
    batch.n_seq_id[at] = 1
    batch.seq_id[at][0] = sequence
    batch.logits[at] = wanted


def row(context: Any, index: int, size: int) -> Logits:
    """The logits of one token of the latest batch."""
    pointer = llama_cpp.llama_get_logits_ith(context, index)
    return np.ctypeslib.as_array(pointer, shape=(size,)).copy()


def check_magic(path: Path) -> None:
    """Raise `ModelFileError` unless the file begins like a GGUF."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelFileError(f"{path}: no such model file, or unreadable ({error.strerror})") from error
    if magic != b"GGUF":
        raise ModelFileError(f"{path} is not a GGUF file; give a .gguf chat model, or 'starter'")
