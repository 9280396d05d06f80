"""What a job goes by: what was known when it was begun.

Labels, examples and answers that come of a job's own questions, or of anybody's meanwhile, would change how later ones
of the job are judged, and its answers would depend on what came first. So a job sees none of them; the next one does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from understudy.agents.deferral.derive import Derivation
from understudy.agents.deferral.service import Deferral
from understudy.core.data import Data
from understudy.core.protocols import AnswerCache, Cached, CacheKey, Near
from understudy.core.types import Answer, Outcome

__all__ = ["EarlierAnswers", "Noting", "Terms", "Untold", "drawing"]


class Terms(Data):
    """The state of knowledge that a job is answered by."""

    moment: str
    """In UTC: what was learned from then on doesn't count."""
    derivation: Derivation
    """The threshold that was in force."""

    def hold(self, present: Derivation) -> bool:
        """Whether they are still of the models and experts in force, and of the same promise."""
        return all(
            getattr(self.derivation, name) == getattr(present, name)
            for name in ("small_model", "adapter", "experts", "measure", "max_quality_loss", "confidence")
        )


def drawing(job: str, key: str) -> random.Random:
    """Chance for one question of a job: the same whenever the job is gone on with."""
    return random.Random(f"{job}\0{key}")


@dataclass(frozen=True)
class EarlierAnswers:
    """An `AnswerCache` that gives what was kept before a job was begun, and what the question itself has left there."""

    held: AnswerCache
    moment: str
    thread: str
    similar: bool = True
    """Whether answers to the same question in other words count."""

    def recall(self, key: CacheKey) -> Cached | None:
        """What is stored under exactly this key, stale or not."""
        found = self.held.recall(key)
        return found if found is not None and self._counts(found) else None

    def remember(self, key: CacheKey, cached: Cached) -> None:
        """Store or replace."""
        self.held.remember(key, cached)

    def near(self, key: CacheKey) -> Sequence[Near]:
        """Answers to what may be the same question, nearest first."""
        return [near for near in self.held.near(key) if self._counts(near.cached)] if self.similar else []

    def note(self, key: CacheKey, near: Near, answer: Answer | None) -> None:
        """What came of a near answer."""
        self.held.note(key, near, answer)

    def _counts(self, cached: Cached) -> bool:
        return cached.created < self.moment or cached.answer.thread == self.thread


@dataclass(frozen=True)
class Noting:
    """An `Outcomes` that derives no threshold: a job does so once, when it ends."""

    deferral: Deferral

    def note(self, outcome: Outcome) -> None:
        """Store what a question teaches. Raises `WorkspaceError`."""
        self.deferral.book(outcome)


@dataclass(frozen=True)
class Untold:
    """An `Outcomes` that learns nothing: where rows are drawn by what others of them showed, labels count unevenly."""

    def note(self, outcome: Outcome) -> None:
        """Nothing."""
