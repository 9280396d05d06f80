"""A lesson as a reader is shown it; apart from what trains, so that nothing needs torch to prepare one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Encoded"]


@dataclass(frozen=True)
class Encoded:
    """A reading as token ids; `start` and `end` are token positions, 0 for "no answer here"."""

    ids: list[int]
    types: list[int]
    start: int
    end: int
    answers: bool | None = None
    """Whether the passage answers, where that is known and the span is not; what `start` says by default."""
