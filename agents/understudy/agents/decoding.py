"""Constrained decoding of a sequence: a step of a grammar, forced runs in one go, and how likely each token was."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from llguidance import LLMatcher
from numpy.typing import NDArray

from understudy.core.errors import InternalError, QuestionError, Stopped
from understudy.core.protocols import Cancel
from understudy.core.usage import SmallTokens

__all__ = ["WRAP_UP", "Generated", "Line", "Logits", "Token", "Vocabulary", "decode", "matcher_of"]

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
    over: Callable[[], None] = lambda: None
    """To be called where no step follows: then what was read for it need not be kept."""


class Line(Protocol):
    """A sequence that is computed with: a part of llama.cpp's KV cache."""

    @property
    def spent(self) -> float:
        """Seconds that llama.cpp has computed for it so far."""
        ...

    def sync(self, prompt: list[int], cancel: Cancel | None) -> tuple[Logits, int]:
        """Bring it to a prompt; the logits `[vocabulary]` after it, and how many of its tokens were there already."""
        ...

    def decode(self, ids: list[int], *, every: bool) -> Sequence[Logits]:
        """Go on with some tokens; the logits after each of them, or after the last."""
        ...


@dataclass(frozen=True)
class Vocabulary:
    """What decoding must know of a model's tokens."""

    guide: Any
    """The tokenizer as llguidance has it."""
    size: int
    ends: frozenset[int]
    """Those that end a reply."""
    never: tuple[int, ...]
    """Those that are never sampled."""
    spelled: dict[int, list[int]]
    """Marks such as `<think>`, as plain text."""
    closing: tuple[NDArray[np.bool_], ...]
    """Tokens that close a string, a list, an object."""
    piece: Callable[[int], bytes]


def matcher_of(vocabulary: Vocabulary, grammar: str) -> Any:
    """What says which tokens a grammar allows. Raises `InternalError`."""
    matcher = LLMatcher(vocabulary.guide, grammar)
    if matcher.is_error():
        raise InternalError(f"the step grammar is invalid: {matcher.get_error()}")
    return matcher


def decode(
    line: Line,
    vocabulary: Vocabulary,
    prompt: list[int],
    grammar: str,
    *,
    context: int,
    limit: int,
    on_bytes: Callable[[bytes], None] | None = None,
    cancel: Cancel | None = None,
) -> Generated:
    """Greedy decoding of one string of the grammar after a prompt.

    Args:
        line: to compute with.
        vocabulary: of its model.
        prompt: token ids.
        grammar: of llguidance.
        context: tokens that the model can have before it.
        limit: of the step, in tokens.
        on_bytes: told of what is decoded.
        cancel: asked between tokens.

    Raises:
        QuestionError: prompt and limit exceed the context.
        Stopped: `cancel` said so.
    """
    if len(prompt) + limit + WRAP_UP > context:
        raise QuestionError(
            f"the question with its evidence takes {len(prompt)} tokens; the context holds {context} "
            f"of which {limit} are kept for the step: ask a shorter question or raise small_model.context"
        )
    out, matcher = Generated(), matcher_of(vocabulary, grammar)
    before = line.spent
    logits, reused = line.sync(prompt, cancel)
    forced = sampled = 0
    while len(out.tokens) < limit + WRAP_UP and not matcher.is_stopped():
        if cancel is not None and cancel():
            raise Stopped("inference was stopped")
        run = forced_run(matcher, vocabulary)
        if run:
            logits = force(line, run, logits, out)
            forced += len(run)
        else:
            if matcher.is_accepting():
                break
            run = [sample(matcher, vocabulary, logits, out, wrap_up=len(out.tokens) >= limit)]
            logits = line.decode(run, every=False)[-1]
            sampled += 1
        if not matcher.consume_tokens(run):
            raise InternalError(f"the grammar refused its own tokens: {matcher.get_error()}")
        if on_bytes is not None:
            on_bytes(b"".join(map(vocabulary.piece, run)))
    out.seconds = line.spent - before
    evaluated = len(prompt) - reused
    out.counts = SmallTokens(evaluated=evaluated, reused=reused, forced=forced, generated=sampled)
    return out


def forced_run(matcher: Any, vocabulary: Vocabulary) -> list[int]:
    """The tokens that the grammar leaves no choice about."""
    found = (ff for ff in matcher.compute_ff_tokens() if ff not in vocabulary.ends)
    return [token for ff in found for token in vocabulary.spelled.get(ff, [ff])]


def force(line: Line, run: list[int], logits: Logits, out: Generated) -> Logits:
    """Decode a run that the grammar leaves no choice about, in one batch, noting how likely each token was."""
    rows = line.decode(run, every=True)
    for token, before in zip(run, [logits, *rows[:-1]], strict=True):
        out.tokens.append(Token(token, log_softmax(before, token), forced=True))
    return rows[-1]


def sample(matcher: Any, vocabulary: Vocabulary, logits: Logits, out: Generated, *, wrap_up: bool) -> int:
    """The likeliest token that the grammar allows."""
    allowed = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
    allowed = allowed[: vocabulary.size].astype(bool)
    allowed[list(vocabulary.never)] = False
    if not allowed.any():
        raise InternalError(f"the grammar allows no token: {matcher.get_error()}")
    if wrap_up:
        allowed = next((c for c in (allowed & mark for mark in vocabulary.closing) if c.any()), allowed)
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
