"""llama.cpp with one sequence: a KV cache reused by prefix and put aside for others, and constrained decoding.

Everything foreign from llama.cpp is mapped to our errors here.
"""

from __future__ import annotations

import ctypes
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from llguidance import LLMatcher
from llguidance.llamacpp import lltokenizer_from_vocab
from numpy.typing import NDArray

from understudy.agents.adapters import Adapter
from understudy.agents.kept import Kept, LlamaStates, shared
from understudy.core.errors import InternalError, ModelFileError, QuestionError, Stopped
from understudy.core.machine import cores
from understudy.core.protocols import Cancel
from understudy.core.usage import SmallTokens

__all__ = ["Engine", "Generated", "Token"]

Logits = NDArray[np.float32]
WRAP_UP = 96
"""Tokens beyond a step's limit in which it is brought to its end: closing brackets win over going on."""


@dataclass(frozen=True)
class Token:
    """One token of a step, with its natural log-probability before the grammar's mask."""

    id: int
    logprob: float
    forced: bool


@dataclass
class Generated:
    """What a constrained generation gave."""

    tokens: list[Token] = field(default_factory=list)
    counts: SmallTokens = field(default_factory=SmallTokens)
    seconds: float = 0.0
    removed: list[float] = field(default_factory=list)
    """For each sampled token, the probability that the mask took away."""
    entropy: float = 0.0
    """Of the first sampled token, after the mask, in nats."""


class Engine:
    """A loaded model. Not thread-safe: its owner serialises calls."""

    def __init__(self, path: Path, *, context: int, threads: int | None = None, kept_mib: int = 0) -> None:
        check_magic(path)
        try:
            self._llama: Any = llama_cpp.Llama(
                str(path),
                n_ctx=context,
                n_batch=512,
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
        self._batch = llama_cpp.llama_batch_init(512, 0, 1)
        self._cached: list[int] = []
        self._kept = Kept(LlamaStates(self._context), kept_mib * 2**20)
        self._worn: Adapter | None = None
        self.discarded: list[Any] = []
        """Pointers of adapters that nothing refers to any more."""
        self.context: int = llama_cpp.llama_n_ctx(self._context)
        self.guide = lltokenizer_from_vocab(self._vocab)
        pieces = [self.piece(t) for t in range(self._size)]
        self._closing = [np.array([p[:1] == mark for p in pieces]) for mark in (b'"', b"]", b"}")]
        marks = {t: piece.decode() for t, piece in enumerate(pieces) if self._is_mark(t, piece)}
        self._mark = re.compile("|".join(map(re.escape, marks.values())) or "(?!)")
        self._spelled = {t: self.tokenize(text, control=False) for t, text in marks.items()}

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
        return self._sync(prompt, None)[0]

    def generate(
        self,
        prompt: list[int],
        grammar: str,
        *,
        limit: int,
        on_bytes: Callable[[bytes], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Generated:
        """Greedy decoding of one string of the grammar after a prompt.

        Raises `QuestionError` when prompt and limit exceed the context, `Stopped` when `cancel` says so.
        """
        if len(prompt) + limit + WRAP_UP > self.context:
            raise QuestionError(
                f"the question with its evidence takes {len(prompt)} tokens; the context holds {self.context} "
                f"of which {limit} are kept for the step: ask a shorter question or raise small_model.context"
            )
        out = Generated()
        matcher = LLMatcher(self.guide, grammar)
        if matcher.is_error():
            raise InternalError(f"the step grammar is invalid: {matcher.get_error()}")
        began = time.perf_counter()
        logits, reused = self._sync(prompt, cancel)
        forced = sampled = 0
        while len(out.tokens) < limit + WRAP_UP and not matcher.is_stopped():
            if cancel is not None and cancel():
                raise Stopped("inference was stopped")
            run = [t for ff in matcher.compute_ff_tokens() if not self._ends(ff) for t in self._spelled.get(ff, [ff])]
            if run:
                logits = self._force(run, logits, out)
                forced += len(run)
            else:
                if matcher.is_accepting():
                    break
                token = self._sample(matcher, logits, out, wrap_up=len(out.tokens) >= limit)
                run = [token]
                logits = self._decode(run, last_only=True)[-1]
                sampled += 1
            if not matcher.consume_tokens(run):
                raise InternalError(f"the grammar refused its own tokens: {matcher.get_error()}")
            if on_bytes is not None:
                on_bytes(b"".join(map(self.piece, run)))
        out.seconds = time.perf_counter() - began
        evaluated = len(prompt) - reused
        out.counts = SmallTokens(evaluated=evaluated, reused=reused, forced=forced, generated=sampled)
        return out

    def _is_mark(self, token: int, piece: bytes) -> bool:
        """Whether it is like `<think>`: no control token, yet llama.cpp finds it in plain text."""
        if not (piece.startswith(b"<") and piece.endswith(b">")):
            return False
        return bool(llama_cpp.llama_vocab_get_attr(self._vocab, token) & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED)

    def _ends(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))

    def _sync(self, prompt: list[int], cancel: Cancel | None) -> tuple[Logits, int]:
        """Bring the KV cache to the prompt; the logits after it, and how many of its tokens were there already."""
        before, self._cached = self._cached, self._kept.exchange(self._cached, prompt)
        if not self._cached and before:  # a copy that could not be put back
            llama_cpp.llama_memory_clear(self._memory, True)
        same = min(shared(self._cached, prompt), len(prompt) - 1)
        if same < len(self._cached):
            llama_cpp.llama_memory_seq_rm(self._memory, 0, same, -1)
            del self._cached[same:]
        logits: Logits | None = None
        for at in range(same, len(prompt), 512):
            if cancel is not None and cancel():
                raise Stopped("inference was stopped")
            logits = self._decode(prompt[at : at + 512], last_only=True)[-1]
        if logits is None:
            raise InternalError("an empty prompt")
        return logits, same

    def _decode(self, ids: list[int], *, last_only: bool) -> list[Logits]:
        """Run tokens through the model; logits of the last one, or of each."""
        batch = self._batch
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i] = token
            batch.pos[i] = len(self._cached) + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = not last_only or i == len(ids) - 1
        code = llama_cpp.llama_decode(self._context, batch)
        if code != 0:
            raise InternalError(f"llama_decode failed with code {code} at token {len(self._cached)}")
        self._cached += ids
        rows = [len(ids) - 1] if last_only else range(len(ids))
        return [self._row(i) for i in rows]

    def _row(self, index: int) -> Logits:
        pointer = llama_cpp.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(pointer, shape=(self._size,)).copy()

    def _force(self, run: list[int], logits: Logits, out: Generated) -> Logits:
        """Decode a run that the grammar leaves no choice about, in one batch, noting how likely each token was."""
        rows = self._decode(run, last_only=False)
        for token, before in zip(run, [logits, *rows[:-1]], strict=True):
            out.tokens.append(Token(token, log_softmax(before, token), forced=True))
        return rows[-1]

    def _sample(self, matcher: Any, logits: Logits, out: Generated, *, wrap_up: bool) -> int:
        """The likeliest token that the grammar allows."""
        allowed = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
        allowed = allowed[: self._size].astype(bool)
        for end in {llama_cpp.llama_vocab_eos(self._vocab), llama_cpp.llama_vocab_eot(self._vocab)}:
            if end >= 0:
                allowed[end] = False
        if not allowed.any():
            raise InternalError(f"the grammar allows no token: {matcher.get_error()}")
        if wrap_up:
            allowed = next((c for c in (allowed & mark for mark in self._closing) if c.any()), allowed)
        masked = np.where(allowed, logits, -np.inf)
        token = int(masked.argmax())
        exponentials = np.exp(logits - logits.max())
        kept = float(exponentials[allowed].sum() / exponentials.sum())
        out.removed.append(1 - kept)
        if len(out.removed) == 1:
            p = np.exp(masked[allowed] - masked.max())
            p = p / p.sum()
            out.entropy = float(-(p * np.log(np.maximum(p, 1e-12))).sum())
        out.tokens.append(Token(token, log_softmax(logits, token), forced=False))
        return token


def log_softmax(logits: Logits, token: int) -> float:
    """Natural log-probability of one token."""
    top = float(logits.max())
    return float(logits[token]) - top - math.log(float(np.exp(logits - top).sum()))


def check_magic(path: Path) -> None:
    """Raise `ModelFileError` unless the file begins like a GGUF."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelFileError(f"{path}: no such model file, or unreadable ({error.strerror})") from error
    if magic != b"GGUF":
        raise ModelFileError(f"{path} is not a GGUF file; give a .gguf chat model, or 'starter'")
