"""Adapters that were trained on a document, and refinements in progress that may be reading it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from langgraph.checkpoint.sqlite import SqliteSaver

from understudy.agents.cast import Cast
from understudy.agents.refining import REFINED, Refinery
from understudy.core.adapters import AdapterCard
from understudy.core.provenance import behind, touched
from understudy.core.types import Scope
from understudy.core.workspace import write_atomically
from understudy.distillation.registry import Registry

__all__ = ["Learned"]

Place = tuple[str, str]


@dataclass(frozen=True)
class Learned:
    """The adapters of a workspace, and its runs.

    Must forget before examples do: they tell which runs are to go.

    Args:
        registry: keeps adapters.
        cast: takes up what is live afterwards.
        refinery: keeps runs.
        place: the domain and access label of a collection.
    """

    registry: Registry
    cast: Cast
    refinery: Refinery
    place: Callable[[str], Place]
    kind = "adapters"

    def found(self, document: Scope) -> list[str]:
        """The adapters that would be withdrawn, the live ones marked so."""
        return [self.named(card) for card in self.cards(document)]

    def forget(self, document: Scope) -> None:
        """Withdraw them, newest first, and put what is left in force."""
        self.drop_runs(document)
        self.registry.tidy()
        cards = self.cards(document)
        why = f"it was trained on a document that was erased on {datetime.now(UTC).date().isoformat()}"
        for card in reversed(cards):
            self.registry.withdraw(card, why)
        for domain, label in dict.fromkeys((card.domain, card.label) for card in cards):
            self.cast.swap(domain, label)

    def cards(self, document: Scope) -> list[AdapterCard]:
        """Those of adapters that were trained on a document, or may have been."""
        return [card for card in self.registry.cards() if not card.withdrawn and self.shaped(card, document)]

    def shaped(self, card: AdapterCard, document: Scope) -> bool:
        """Whether a document is behind an adapter; where that was not noted, any document of its place may be."""
        if card.rests_on is not None:
            return touched(card.rests_on, document)
        return document.document in card.documents or self.place(document.collection) == (card.domain, card.label)

    def named(self, card: AdapterCard) -> str:
        """An adapter for people."""
        live = self.registry.history(card.domain, card.label)[-1:] == [card.version]
        return f"{card.domain}/{card.label}/{card.version}" + (" (live)" if live else "")

    def drop_runs(self, document: Scope) -> None:
        """Delete refinements in progress where the document may be read; they begin anew without it."""
        held = self.refinery.examples.all()
        places = {self.refinery.examples.place(e) for e in held.values() if touched(behind(e), document)}
        for domain, label in {*places, self.place(document.collection)}:
            shutil.rmtree(self.refinery.folder(domain, label), ignore_errors=True)
        self.drop_checkpoints()
        refined = self.refinery.root / REFINED
        if refined.exists():
            before = int(json.loads(refined.read_text(encoding="utf-8"))["examples"])
            left = sum(not touched(behind(e), document) for e in held.values())
            write_atomically(refined, json.dumps({"examples": min(before, left)}) + "\n")

    def drop_checkpoints(self) -> None:
        """Delete what LangGraph keeps of runs that have ended, or were dropped: nobody goes on with them."""
        if not self.refinery.checkpoints.exists():
            return
        going_on = {json.loads(path.read_text(encoding="utf-8"))["run"] for path in self.started()}
        with closing(sqlite3.connect(self.refinery.checkpoints, timeout=30)) as db:
            db.execute("PRAGMA secure_delete=ON")
            saver = SqliteSaver(db)
            saver.setup()
            for (run,) in db.execute("SELECT DISTINCT thread_id FROM checkpoints").fetchall():
                if run not in going_on:
                    saver.delete_thread(run)

    def started(self) -> Iterable[Path]:
        """What names the runs in progress."""
        return self.refinery.root.glob(".runs/*/run.json")
