"""The small model played alone: nobody to ask, nothing remembered, the outcome caught."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from understudy.agents.cast import Players
from understudy.core.errors import ExpertError, InternalError
from understudy.core.protocols import Cached, CacheKey, Expert, Near, Payload
from understudy.core.types import Answer, Example, ExpertAnswer, Outcome, Scope
from understudy.graphs.ask import AskGraph, build_ask_graph
from understudy.graphs.run import alone
from understudy.graphs.state import Deps

__all__ = ["NoCache", "NoExperts", "Noted", "Rehearsal"]


class Rehearsal:
    """Plays the small model on questions of examples, outside any thread.

    Args:
        deps: what players may use who answer a user; of it, experts, cache and outcomes are taken away.
        run: runs work to its end, for callers that wait.
    """

    def __init__(self, deps: Callable[[Players], Deps], run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._deps, self._run = deps, run

    @cached_property
    def graph(self) -> AskGraph:
        """Compiled when the first rehearsal needs it; it keeps nothing, so all share it."""
        return build_ask_graph()

    def played(self, example: Example, players: Players) -> Outcome:
        """What comes of an example's question with these players."""
        noted = Noted()
        deps = replace(self._deps(players), experts=NoExperts(), cache=NoCache(), outcomes=noted)
        self._run(alone(self.graph, deps, example.question, example.scope, example.principal, example.history))
        return noted.outcome


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
