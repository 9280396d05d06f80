"""Stand-ins for the time that the small model plays alone: nobody to ask, nothing remembered, the outcome caught."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from understudy.core.errors import ExpertError, InternalError
from understudy.core.protocols import Cached, CacheKey, Expert, Near, Payload
from understudy.core.types import Answer, ExpertAnswer, Outcome, Scope

__all__ = ["NoCache", "NoExperts", "Noted"]


class NoExperts:
    """An `Experts` with nobody in it."""

    def __len__(self) -> int:
        return 0

    def ranked(self, payload: Payload) -> Iterable[Expert]:
        """Nobody."""
        return ()

    def note(self, expert: str, scope: Scope, answer: ExpertAnswer | None, error: ExpertError | None) -> None:
        """Nothing came of it."""


class NoCache:
    """An `AnswerCache` that knows nothing, and forgets."""

    def recall(self, key: CacheKey) -> Cached | None:
        """Nothing."""
        return None

    def remember(self, key: CacheKey, cached: Cached) -> None:
        """Not even this."""

    def near(self, key: CacheKey) -> Sequence[Near]:
        """Nothing."""
        return ()

    def note(self, key: CacheKey, near: Near, answer: Answer | None) -> None:
        """Nothing was near."""


class Noted:
    """An `Outcomes` that keeps the latest."""

    def __init__(self) -> None:
        self._outcome: Outcome | None = None

    def note(self, outcome: Outcome) -> None:
        """Keep it."""
        self._outcome = outcome

    @property
    def outcome(self) -> Outcome:
        """What was noted."""
        if self._outcome is None:
            raise InternalError("a rehearsal ended without an outcome")
        return self._outcome
