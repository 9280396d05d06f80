"""Earlier answers that an expert is shown: how questions of this collection are answered, without training it.

In-context learning by the nearest examples (Liu et al. 2022, arXiv 2101.06804), here from the small side to the large.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from understudy.core.access import Principal
from understudy.core.protocols import folded
from understudy.core.provenance import behind
from understudy.core.types import Example, Scope
from understudy.distillation.curate import fault_of

__all__ = ["Demonstrations"]


@dataclass
class Held:
    """The examples of one collection, with unit vectors `[examples, width]` of their questions."""

    examples: list[Example] = field(default_factory=list)
    vectors: list[NDArray[np.float32]] = field(default_factory=list)
    seen: int = 0
    """Number of the latest that was looked at."""


class Demonstrations:
    """The verified examples that are nearest to a question, of its own collection: what may leave is one policy's.

    Args:
        embed: unit vectors of some texts.
        later: a collection's examples after a number, each with its own number, oldest first.
        entries: id, version and source of each document of a collection, as they are now.
        count: how many are shown at the most.
    """

    def __init__(
        self,
        embed: Callable[[list[str]], Sequence[Sequence[float]]],
        later: Callable[[str, int], Sequence[tuple[int, Example]]],
        entries: Callable[[str], Sequence[tuple[str, str, str]]],
        count: int,
    ) -> None:
        self._embed, self._later, self._entries, self._count = embed, later, entries, count
        self._held: dict[str, Held] = {}
        self._lock = threading.Lock()

    def nearest(self, question: str, scope: Scope, by: Principal | None = None) -> list[Example]:
        """The nearest first, each question once, and the present one not at all.

        Shown are only those that rest on what `by` may read, who asks, and on nothing of another collection: one from a
        thread that was asked of several says what is in the others. And only those of documents as they are now: what
        was taken out of a document since doesn't go on leaving.
        """
        if not self._count:
            return []
        with self._lock:
            held = self._renewed(scope.collection)
            if not held.examples:
                return []
            asked = np.asarray(self._embed([question]), dtype=np.float32)[0]
            order = np.argsort(-(np.stack(held.vectors) @ asked), kind="stable")
            examples = [held.examples[at] for at in order]
        current = {(document, version) for document, version, _ in self._entries(scope.collection)}
        shown: dict[str, Example] = {}
        for example in examples:
            if by is not None and not (by.may_read(scope.collection) and by.may_use(example.grounds)):
                continue
            if any(s.collection != scope.collection for s in behind(example)):
                continue
            if any((p.document, p.version) not in current for p in example.evidence.passages):
                continue
            same = folded(example.question) == folded(question) and example.scope == scope
            if not same:
                shown.setdefault(folded(example.question), example)
            if len(shown) == self._count:
                break
        return list(shown.values())

    def forget(self) -> None:
        """Read the examples anew when they are next needed: some are gone."""
        with self._lock:
            self._held.clear()

    def _renewed(self, collection: str) -> Held:
        held = self._held.setdefault(collection, Held())
        fresh = list(self._later(collection, held.seen))
        if fresh:
            held.seen = fresh[-1][0]
            verified = [example for _, example in fresh if not fault_of(example)]
            if verified:
                vectors = np.asarray(self._embed([e.question for e in verified]), dtype=np.float32)
                held.examples += verified
                held.vectors += list(vectors)
        return held
