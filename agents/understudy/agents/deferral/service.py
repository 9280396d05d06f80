"""Deferral as the agent uses it: one object that keeps outcomes, derives the threshold, and judges."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from understudy.agents.deferral.derive import Derivation, derive, load, save, stale
from understudy.agents.deferral.judge import DeferralJudge
from understudy.agents.deferral.outcomes import OutcomeStore, Row
from understudy.agents.deferral.signals import Nearest
from understudy.core.settings import DeferralSettings
from understudy.core.types import Outcome
from understudy.core.workspace import Workspace

__all__ = ["Deferral"]


class Deferral:
    """An `Outcomes` that derives the threshold anew as labels come.

    Args:
        workspace: where outcomes and the threshold are kept.
        settings: what to promise.
        small_model: name and content hash of the model whose drafts are judged.
        permitted: whether a collection's questions may go to an expert.
        experts: names of the configured ones.
        nearest: distance to the questions that were answered by an expert.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: DeferralSettings,
        small_model: str,
        permitted: Callable[[str], bool],
        experts: Sequence[str],
        nearest: Nearest,
    ) -> None:
        self._path = workspace.deferral
        self._settings = settings
        self._small_model = small_model
        self._permitted = permitted
        self._experts = tuple(experts)
        self._nearest = nearest
        self._lock = threading.Lock()
        self.listeners: list[Callable[[Outcome], None]] = []
        """Called with what became of every question, such as by a benchmark."""
        self.store = OutcomeStore(workspace.outcomes, permitted, experts)
        held = load(self._path)
        labels = self.store.labels(small_model)
        usable = held is not None and not stale(held, settings, small_model, experts, labels)
        self.derivation: Derivation = held if held is not None and usable else self.derive()

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def judge(self) -> DeferralJudge:
        """A judge by the threshold now in force."""
        return DeferralJudge(self._settings, self.derivation, self._permitted, self._nearest)

    def note(self, outcome: Outcome) -> None:
        """Keep what a question teaches, and derive the threshold anew if many labels have come."""
        for listener in self.listeners:
            listener(outcome)
        self.store.note(outcome, self.judge().in_force(outcome.scope.collection))
        if outcome.expert is None:
            return
        self._nearest.add(outcome.question, outcome.scope)
        labels = self.store.labels(self._small_model)
        if stale(self.derivation, self._settings, self._small_model, self._experts, labels):
            self.derive()

    def derive(self) -> Derivation:
        """Fit, test, and put the result in force."""
        with self._lock:
            self.derivation = derive(self.rows(), self._settings, self._small_model, self._experts)
            save(self.derivation, self._path)
        return self.derivation

    def rows(self) -> list[Row]:
        """What is known of this small model's drafts."""
        return self.store.rows(self._small_model)
