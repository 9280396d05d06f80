"""Deferral as the agent uses it: one object that keeps outcomes, derives the threshold, and judges."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from understudy.agents.deferral.derive import Derivation, derive, load, save, stale
from understudy.agents.deferral.judge import DeferralJudge
from understudy.agents.deferral.outcomes import OutcomeStore, Peers, Row
from understudy.agents.deferral.signals import Nearest
from understudy.core.access import Principal
from understudy.core.settings import DeferralSettings
from understudy.core.types import Outcome, Scope
from understudy.core.workspace import Workspace

__all__ = ["Deferral", "InForce"]


class InForce(Protocol):
    """Which models answer now."""

    def name(self, collection: str) -> str:
        """The one of a collection: its small model, with the adapter that it wears there."""
        ...

    def adapters(self) -> str | None:
        """All adapters in force, as one line."""
        ...


class Deferral:
    """An `Outcomes` that derives the threshold anew as labels come.

    Args:
        workspace: where outcomes and the threshold are kept.
        settings: what to promise.
        small_model: name and content hash of the model whose drafts are judged.
        in_force: the adapters that it plays in.
        permitted: whether a collection's questions may go to an expert.
        experts: names of the configured ones.
        nearest: distance to the questions that were answered by an expert.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: DeferralSettings,
        small_model: str,
        in_force: InForce,
        permitted: Callable[[str], bool],
        experts: Sequence[str],
        nearest: Nearest,
    ) -> None:
        self._path = workspace.deferral
        self._settings = settings
        self._small_model = small_model
        self.in_force = in_force
        self._permitted = permitted
        self._experts = tuple(experts)
        self._nearest = nearest
        self._lock = threading.Lock()
        self.listeners: list[Callable[[Outcome], None]] = []
        """Called with what became of every question, such as by a benchmark."""
        self.store = OutcomeStore(workspace.outcomes, permitted, experts)
        held = load(self._path)
        usable = held is not None and not self._stale(held)
        self.derivation: Derivation = held if held is not None and usable else self.derive()

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def judge(self, by: Principal | None = None) -> DeferralJudge:
        """A judge by the threshold now in force, who knows of earlier questions what `by` may read, or all."""
        nearest = self._nearest if by is None else self._nearest.seen_by(by)
        return DeferralJudge(self._settings, self.derivation, self._permitted, nearest, peers=self._peers(by))

    def judge_as_of(
        self, moment: str, derivation: Derivation, nearest: Nearest, draw: Callable[[], float], by: Principal
    ) -> DeferralJudge:
        """A judge who knows what was known at a moment, whatever was learned since.

        Args:
            moment: in UTC.
            derivation: of that moment.
            nearest: of the questions that were answered before it.
            draw: a uniform number between 0 and 1.
            by: who asks.
        """
        peers = self._peers(by, moment)
        return DeferralJudge(self._settings, derivation, self._permitted, nearest.seen_by(by), draw, peers)

    def _peers(self, by: Principal | None, before: str | None = None) -> Callable[[str, Scope, str], Peers]:
        def peers(question: str, scope: Scope, text: str) -> Peers:
            return self.store.peers(self.in_force.name(scope.collection), question, scope, text, by, before)

        return peers

    def _stale(self, held: Derivation) -> bool:
        """Whether a derivation is of other models or another promise, or many labels old."""
        labels = self.store.labels(self.in_force.name)
        return stale(held, self._settings, self._small_model, self._experts, labels, self.in_force.adapters())

    def note(self, outcome: Outcome) -> None:
        """Keep what a question teaches, and derive the threshold anew if many labels have come."""
        self.book(outcome)
        if outcome.expert is not None:
            self.renew()

    def book(self, outcome: Outcome) -> None:
        """Keep what a question teaches, and derive nothing yet."""
        for listener in self.listeners:
            listener(outcome)
        self.store.note(outcome, self.judge().in_force(outcome.scope.collection))
        if outcome.expert is not None:
            self._nearest.add(outcome.question, outcome.scope, outcome.grounds)

    def renew(self) -> None:
        """Derive the threshold anew if many labels have come."""
        if self._stale(self.derivation):
            self.derive()

    def told(self, outcome: Outcome, quality: float | None, by: str) -> None:
        """Keep what a person said of a draft, see `OutcomeStore.tell`, and derive the threshold anew if it is time."""
        self.store.tell(outcome, quality, by)
        self.renew()

    def relabel(self, outcome: Outcome, in_force: float) -> None:
        """Keep what a rehearsal shows: no question was asked, and nothing is derived yet."""
        self.store.note(outcome, in_force)

    def derive(self) -> Derivation:
        """Fit, test, and put the result in force."""
        with self._lock:
            self.derivation = derive(
                self.rows(), self._settings, self._small_model, self._experts, adapter=self.in_force.adapters()
            )
            save(self.derivation, self._path)
        return self.derivation

    def rows(self) -> list[Row]:
        """What is known of the drafts of the models in force."""
        return self.store.rows(self.in_force.name)
