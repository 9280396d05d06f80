"""Adapters as tests make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from understudy.core.adapters import AdapterCard, GateReport

Make = Callable[[str, Mapping[str, str]], AdapterCard]


def making(run: str, domain: str = "leases", label: str = "staff", **changes: object) -> Make:
    """What `Registry.add` asks for a card."""

    def make(version: str, hashes: Mapping[str, str]) -> AdapterCard:
        card = AdapterCard(
            version=version,
            run=run,
            domain=domain,
            label=label,
            base="starter@1",
            created="2024-05-01T10:00:00+00:00",
            seed=7,
            examples={"train": 50, "gate": 45},
            trained_on=("e1", "e2"),
            documents=("lease.md",),
            files=dict(hashes),
            probe=(0.5, 1.25),
            gate=GateReport(questions=45, promoted=True, reason="it is better"),
        )
        return card.model_copy(update=changes)

    return make
