"""The stores as one question sees them.

It finds nothing there that rests on what its principal may not read, and what it leaves there is marked with what it
rests on. The graph is given these alone: a bug in it can ask for what it should not, and gets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from understudy.core.access import Ground, Permit
from understudy.core.errors import InternalError
from understudy.core.protocols import AnswerCache, Cached, CacheKey, ExampleStore, Near, Outcomes
from understudy.core.types import Answer, Example, Outcome

__all__ = ["PermittedCache", "PermittedExamples", "PermittedOutcomes"]


@dataclass(frozen=True)
class PermittedCache:
    """An `AnswerCache` for one question: its principal's own answers, as far as they may still read all behind them.

    What it gives was read, as documents are: the question's thread rests on it before it is given.
    """

    held: AnswerCache
    permit: Permit

    def recall(self, key: CacheKey) -> Cached | None:
        """What is stored under exactly this key, stale or not; nothing where it is out of bounds."""
        found = self.held.recall(key) if self._open(key) else None
        if found is None or not self._may_give(found):
            return None
        self.permit.join(self._grounds(found))
        return found

    def remember(self, key: CacheKey, cached: Cached) -> None:
        """Store or replace."""
        self.held.remember(self._own(key), replace(cached, grounds=self.permit.grounds))

    def near(self, key: CacheKey) -> Sequence[Near]:
        """Answers to what may be the same question, nearest first, without those out of bounds."""
        found = [near for near in self.held.near(key) if self._may_give(near.cached)] if self._open(key) else []
        for near in found:
            if near.hit:  # the others are compared with, and given to nobody
                self.permit.join(self._grounds(near.cached))
        return found

    def note(self, key: CacheKey, near: Near, answer: Answer | None) -> None:
        """What came of a near answer."""
        self.held.note(self._own(key), near, answer)

    def _open(self, key: CacheKey) -> bool:
        who = self.permit.principal
        return key.principal == who.name and who.may_read(key.scope.collection)

    def _may_give(self, cached: Cached) -> bool:
        return self.permit.principal.may_use(self._grounds(cached))

    def _grounds(self, cached: Cached) -> tuple[Ground, ...]:
        access = self.permit.principal.access
        return access.traced(cached.grounds, (scope.collection for scope in cached.basis.rests_on))

    def _own(self, key: CacheKey) -> CacheKey:
        if not self._open(key):
            raise InternalError(f"a question of {self.permit.principal.name!r} would write another's answer")
        return key


@dataclass(frozen=True)
class PermittedExamples:
    """An `ExampleStore` for one question."""

    held: ExampleStore
    permit: Permit

    def add(self, example: Example) -> str:
        """Store one, and give its id."""
        return self.held.add(example.model_copy(update={"grounds": self.permit.grounds}))


@dataclass(frozen=True)
class PermittedOutcomes:
    """An `Outcomes` for one question."""

    held: Outcomes
    permit: Permit

    def note(self, outcome: Outcome) -> None:
        """Store what a question teaches. Raises `WorkspaceError`."""
        self.held.note(outcome.model_copy(update={"grounds": self.permit.grounds}))
