"""What the model has read for other questions: their part of the KV cache, put aside until their next step.

llama.cpp computes one sequence. Where several people ask at once, their questions' steps take turns, and each would
evict what was read for the others. A copy of its state in memory is back in milliseconds; reading again takes seconds.
"""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import llama_cpp

__all__ = ["Kept", "LlamaStates", "States", "shared"]

WORTH = 48
"""Tokens that must be gained, or else be lost, for a copy to be made."""
Tokens = tuple[int, ...]


class States(Protocol):
    """The sequence that is computed with, to be copied and put back."""

    def size(self) -> int:
        """Bytes of a copy."""
        ...

    def copy(self) -> Any:
        """A copy; `None` where there can be none."""
        ...

    def restore(self, state: Any) -> bool:
        """Compute with a copy from now on; gives whether that went well."""
        ...


class LlamaStates:
    """`States` of a llama.cpp context with one sequence."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def size(self) -> int:
        """Bytes of a copy."""
        return int(llama_cpp.llama_state_seq_get_size(self._context, 0))

    def copy(self) -> Any:
        """A copy; `None` where llama.cpp gave less than it said."""
        size = self.size()
        state = (ctypes.c_uint8 * size)()
        return state if llama_cpp.llama_state_seq_get_data(self._context, state, size, 0) == size else None

    def restore(self, state: Any) -> bool:
        """Compute with a copy from now on; gives whether that went well."""
        return bool(llama_cpp.llama_state_seq_set_data(self._context, state, len(state), 0) == len(state))


class Kept:
    """Copies of states by the tokens that were read, the one used longest ago going first.

    Args:
        states: what is copied.
        limit: bytes of all copies together; 0 keeps none.
    """

    def __init__(self, states: States, limit: int) -> None:
        self._states, self._limit = states, limit
        self._held: OrderedDict[Tokens, tuple[Any, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def exchange(self, cached: list[int], prompt: Sequence[int]) -> list[int]:
        """Make ready for a prompt: put aside what would be lost, and bring back what was read of it.

        Args:
            cached: the tokens of the state at present.
            prompt: to be read next.

        Gives the tokens of the state from now on.
        """
        same = shared(cached, prompt)
        best = max(self._held, key=lambda tokens: shared(tokens, prompt), default=())
        gains = shared(best, prompt) >= same + WORTH
        if len(cached) - same >= WORTH or (gains and cached):
            self._put(tuple(cached))
        if not gains or best not in self._held:
            return cached
        state, size = self._held.pop(best)
        self.bytes -= size
        return list(best) if self._states.restore(state) else []

    def clear(self) -> None:
        """Drop everything."""
        self._held.clear()
        self.bytes = 0

    def _put(self, tokens: Tokens) -> None:
        size = self._states.size()
        if size > self._limit:
            return
        state = self._states.copy()
        if state is None:
            return
        if tokens in self._held:
            self.bytes -= self._held.pop(tokens)[1]
        self._held[tokens] = state, size
        self.bytes += size
        while self.bytes > self._limit:
            self.bytes -= self._held.popitem(last=False)[1][1]


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
