"""The half of the facade that is about learning: thresholds, adapters, examples, and how all this did over time."""

from __future__ import annotations

from typing import Any

from understudy.agents.assembly import Assembly
from understudy.agents.deferral.outcomes import role_of
from understudy.agents.deferral.reliability import Bin, Calibration, calibration_of, diagram
from understudy.core.adapters import AdapterCard
from understudy.core.history import Period, Step, periods
from understudy.distillation.curate import curate
from understudy.distillation.export import rows

__all__ = ["Studying"]


class Studying(Assembly):
    """What one workspace has learned, and from what."""

    def calibrate(self, *, principal: str | None = None) -> Calibration:
        """Derive the threshold anew from all outcomes, and say how reliable the confidence is. Raises `AccessError`."""
        self._who(principal).administers("derive the threshold")
        return calibration_of(self.deferral.rows(), self.deferral.derive())

    def reliability(self, *, principal: str | None = None) -> list[Bin]:
        """The reliability diagram alone: at once, and the threshold stays as it is. Raises `AccessError`."""
        self._who(principal).administers("see how reliable the confidence is")
        return diagram(self.deferral.rows(), self.deferral.derivation)

    def history(self, by: Step = "day", *, principal: str | None = None) -> list[Period]:
        """Questions, quality and cost over time, oldest first; periods in which nothing happened are left out.

        Who may read everything sees the counts of all principals; others see their own questions and what they cost,
        and of comparisons with experts those that rest on what they may read.
        """
        who = self._who(principal)
        own = set(self.owners.listing(who)) if who.restricted else None
        return periods(
            self.turns.counted(by, own),
            self.ledger.over_time(by, who.name if who.restricted else None),
            self.deferral.store.compared(by, who),
        )

    def refine(self, domain: str | None = None, *, when_due: bool = False) -> list[dict[str, Any]]:
        """Learn from the examples of a domain, or of all: what is trained goes live only if it proves better.

        Gives what became of every domain and access label. A refinement that was killed goes on where it was. Questions
        may be asked meanwhile.

        Args:
            domain: only this one.
            when_due: do nothing unless `refine.every` new examples have come since the last time.

        Raises:
            ScopeError: no collection is of this domain.
            AdapterError: an adapter's files are damaged.
            AccessError: the principal may not read everything.
        """
        self.principal.administers("refine")
        with self.traffic.shared():
            return self.learning.refine(domain, when_due=when_due)

    def adapters(self, *, principal: str | None = None) -> list[dict[str, Any]]:
        """Every adapter in short that a principal may see, whether it is live, and what the gate said."""
        return self.learning.adapters(self._who(principal))

    def adapter(
        self, domain: str, version: str, *, label: str | None = None, principal: str | None = None
    ) -> AdapterCard:
        """The card of an adapter. Raises `AdapterError`."""
        return self.learning.adapter(domain, version, label, self._who(principal))

    def promote(
        self,
        domain: str,
        version: str,
        *,
        label: str | None = None,
        force: bool = False,
        principal: str | None = None,
    ) -> None:
        """Put an adapter in force; questions in flight finish with the one before.

        Raises `AdapterError`: there is none, its files are damaged, or the gate turned it down (unless `force`).
        """
        self._who(principal).administers("put an adapter in force")
        with self.traffic.shared():
            self.learning.promote(domain, version, label, force=force)

    def rollback(self, domain: str, *, label: str | None = None, principal: str | None = None) -> str | None:
        """Go back to the adapter before the live one; gives its version, `None` for the bare model.

        Raises `AdapterError`: none is live.
        """
        self._who(principal).administers("roll an adapter back")
        with self.traffic.shared():
            return self.learning.rollback(domain, label)

    def examples(self, *, principal: str | None = None) -> list[dict[str, Any]]:
        """Every example that a principal may read as a training row, with its role, and why it may not teach."""
        stored = self.example_store.examples(self._who(principal)).values()
        held = [e.model_copy(update={"label": self.taught_at(e)[1]}) for e in stored]
        return list(rows(curate(held), [role_of(e.question, e.scope) for e in held]))
