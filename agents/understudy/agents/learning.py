"""What an agent learns from its experts' answers: refinements, and the adapters that come of them."""

from __future__ import annotations

from typing import Any

from understudy.agents.cast import Cast
from understudy.agents.deferral.service import Deferral
from understudy.agents.refining import (
    AdapterKeeper,
    DomainExamples,
    DomainGate,
    General,
    Refinery,
    Rehearse,
    Relabelling,
)
from understudy.core.access import Principal
from understudy.core.adapters import AdapterCard
from understudy.core.errors import AdapterError
from understudy.core.settings import RefineSettings
from understudy.core.workspace import Workspace
from understudy.distillation.candidate import CandidateTrainer
from understudy.distillation.registry import Registry

__all__ = ["Learning"]


class Learning:
    """Refines, and says which adapters there are and which is in force; `Agent` has the same methods for its users.

    Args:
        workspace: whose adapters, and runs in progress.
        settings: how many examples it takes.
        examples: what experts said.
        trainer: makes candidates.
        general: how players do on the general set.
        registry: keeps adapters.
        cast: who plays in them.
        base: name and content hash of the small model.
        rehearsed: the small model alone on an example's question.
        deferral: learns how far drafts can be trusted, anew when the model changes.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: RefineSettings,
        examples: DomainExamples,
        trainer: CandidateTrainer,
        general: General,
        registry: Registry,
        cast: Cast,
        base: str,
        rehearsed: Rehearse,
        deferral: Deferral,
    ) -> None:
        self._registry, self._cast, self._deferral = registry, cast, deferral
        self.rehearsed = rehearsed
        breadth = trainer.reader.recipe.breadth
        self.refinery = Refinery(
            root=workspace.adapters,
            checkpoints=workspace.refinements,
            examples=examples,
            trainer=trainer,
            gate=DomainGate(cast, rehearsed, general, breadth),
            keeper=AdapterKeeper(registry, cast, examples, base, breadth),
            relabelling=Relabelling(examples, rehearsed, cast, deferral),
            settings=settings,
        )

    def refine(self, domain: str | None = None, *, when_due: bool = False) -> list[dict[str, Any]]:
        """What became of every domain and access label; nothing is done where it has to be due, and isn't."""
        return [] if when_due and not self.refinery.due() else self.refinery.refine(domain)

    def adapters(self, by: Principal) -> list[dict[str, Any]]:
        """Every adapter in short that somebody may see."""
        cards = self._registry.seen_by(by).cards()
        live = {place: self._registry.history(*place)[-1:] for place in {(c.domain, c.label) for c in cards}}
        return [row_of(card, live=[card.version] == live[card.domain, card.label]) for card in cards]

    def adapter(self, domain: str, version: str, label: str | None, by: Principal | None = None) -> AdapterCard:
        """The card of an adapter, if `by` may see it. Raises `AdapterError`."""
        registry = self._registry if by is None else self._registry.seen_by(by)
        return registry.card(domain, label_of(registry, domain, label), version)

    def promote(self, domain: str, version: str, label: str | None, *, force: bool) -> None:
        """Put an adapter in force, and derive the threshold of its drafts. Raises `AdapterError`."""
        card = self.adapter(domain, version, label)
        if not (card.gate.promoted or force):
            raise AdapterError(
                f"the gate turned {version} of {domain!r} down: {card.gate.reason}; --force overrules it"
            )
        self.refinery.keeper.promote(card)
        self.refinery.relabelling.recalibrate(card.domain, card.label)

    def rollback(self, domain: str, label: str | None) -> str | None:
        """Go back to the adapter before the live one, and to its threshold. Raises `AdapterError`."""
        where = label_of(self._registry, domain, label)
        version = self._registry.rollback(domain, where)
        self._cast.swap(domain, where)
        self._deferral.derive()
        return version


def label_of(registry: Registry, domain: str, label: str | None) -> str:
    """An access label of a domain that has adapters: the only one where none is named. Raises `AdapterError`."""
    known = list(registry.labels(domain))
    if label is None and len(known) == 1:
        return known[0]
    if label not in known:
        named = ", ".join(known) or "none"
        raise AdapterError(f"name an access label of domain {domain!r} that has adapters; there are: {named}")
    return label


def row_of(card: AdapterCard, *, live: bool) -> dict[str, Any]:
    """An adapter in short."""
    return {
        "domain": card.domain,
        "label": card.label,
        "version": card.version,
        "live": live,
        "base": card.base,
        "created": card.created,
        "withdrawn": card.withdrawn or None,
        "examples": card.examples,
        "gate": card.gate.model_dump(mode="json"),
    }
