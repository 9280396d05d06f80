"""A refinement of fakes around a real registry, that dies where it is told to.

As a program, `python refine_parts.py FOLDER`, it goes through `DEATHS`: for each, one process that dies, and one that
goes on in its place. They are forked from here, so that libraries are loaded once.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from card_parts import making
from example_parts import example
from langgraph.checkpoint.sqlite import SqliteSaver

from understudy.core.adapters import AdapterCard, GateReport
from understudy.core.types import Example
from understudy.distillation.registry import Registry
from understudy.graphs.refine import RefineDeps, RefineState, build_refine_graph

START: RefineState = {"run": "r1", "domain": "leases", "label": "staff", "seed": 7}
CONFIG: Any = {"configurable": {"thread_id": "r1"}}
WEIGHTS = "reader.safetensors"
DEATHS = [
    ("collect", "collect", "promote"),
    ("curate", "curate", "promote"),
    ("split", "split", "promote"),
    ("train", "train", "promote"),
    ("after train", "train", "promote"),
    ("export", "export", "promote"),
    ("after export", "export", "promote"),
    ("evaluate", "evaluate", "promote"),
    ("after evaluate", "evaluate", "promote"),
    ("keep", "promote", "promote"),
    ("after keep", "promote", "promote"),
    ("after promote", "promote", "promote"),
    ("recalibrate", "recalibrate", "promote"),
    ("after recalibrate", "recalibrate", "promote"),
    ("keep", "reject", "reject"),
    ("after keep", "reject", "reject"),
]
"""The place, the node that it is in, and what the gate says."""
Here = Callable[[str], None]
"""Called at every place of a run."""


def nowhere(place: str) -> None:
    """Nothing happens."""


@dataclass
class FakeExamples:
    """Sixty, of which every tenth is refused; those that are left lie by turns in the four parts."""

    here: Here = nowhere
    count: int = 60

    def collected(self, domain: str, label: str) -> Mapping[str, Example]:
        self.here("collect")
        assert (domain, label) == ("leases", "staff")
        return {f"e{n}": example(f"answer {n}", "", "body") for n in range(self.count)}

    def rejections(self, examples: Sequence[Example]) -> Sequence[str]:
        self.here("curate")
        return ["a duplicate" if e.expert.text.endswith("0") else "" for e in examples]

    def part_of(self, name: str, example: Example) -> Literal["train", "held_out", "gate", "calibrate"]:
        self.here("split")
        parts: tuple[Literal["train", "held_out", "gate", "calibrate"], ...] = (
            "train", "train", "held_out", "gate", "calibrate",
        )  # fmt: skip
        return parts[int(name[1:]) % 5]


@dataclass
class FakeTrainer:
    """Writes down what it learned; what is there already isn't made again."""

    here: Here = nowhere
    made: list[str] = field(default_factory=list)

    def train(
        self, folder: Path, examples: Sequence[Example], held_out: Sequence[Example], others: Sequence[Example]
    ) -> dict[str, Any]:
        self.here("train")
        trained = folder / "trained"
        if not trained.exists():
            self.made.append("train")
            trained.write_text(json.dumps([e.expert.text for e in (*examples, *held_out)]))
        self.here("after train")
        return {"examples": len(examples)}

    def export(self, folder: Path, held_out: Sequence[Example]) -> dict[str, Path]:
        exported = folder / WEIGHTS
        if not exported.exists():
            self.here("export")
            self.made.append("export")
            exported.write_bytes((folder / "trained").read_bytes())
            self.here("after export")
        return {WEIGHTS: exported}


@dataclass
class FakeGate:
    """Has made up its mind."""

    here: Here = nowhere
    promoted: bool = True
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def weigh(
        self, run: RefineState, files: Mapping[str, Path], examples: Sequence[Example], refused: Sequence[Example]
    ) -> GateReport:
        self.here("evaluate")
        assert files[WEIGHTS].exists()
        self.asked, self.refused = [e.expert.text for e in examples], [e.expert.text for e in refused]
        reason = "it is better" if self.promoted else "it is no better"
        self.here("after evaluate")
        return GateReport(questions=len(examples), promoted=self.promoted, reason=reason)


@dataclass
class Keeper:
    """A real registry."""

    registry: Registry
    here: Here = nowhere

    def keep(self, run: RefineState, files: Mapping[str, Path], examples: Sequence[Example]) -> AdapterCard:
        self.here("keep")
        learned = (*run["train"], *run["held_out"])
        card = self.registry.add(
            files,
            making(
                run["run"],
                run["domain"],
                run["label"],
                trained_on=learned,
                rejected=run["rejected"],
                gate=GateReport.model_validate(run["report"]),
            ),
        )
        self.here("after keep")
        return card

    def promote(self, card: AdapterCard) -> None:
        self.registry.promote(card)
        self.here("after promote")

    def learned_from(self, domain: str, label: str) -> Collection[str]:
        cards = self.registry.cards()
        return cards[-1].trained_on if cards else ()


@dataclass
class FakeRecalibrator:
    """Counts how often it was asked."""

    here: Here = nowhere
    calls: int = 0

    def recalibrate(self, domain: str, label: str) -> dict[str, Any]:
        self.here("recalibrate")
        self.calls += 1
        self.here("after recalibrate")
        return {"labels": 12}


@dataclass
class Parts:
    """A run's dependencies, to look at afterwards."""

    folder: Path
    here: Here = nowhere
    promoted: bool = True
    count: int = 60

    def __post_init__(self) -> None:
        self.examples = FakeExamples(self.here, self.count)
        self.trainer = FakeTrainer(self.here)
        self.gate = FakeGate(self.here, self.promoted)
        self.registry = Registry(self.folder / "adapters")
        self.keeper = Keeper(self.registry, self.here)
        self.recalibrator = FakeRecalibrator(self.here)

    def deps(self, least: int = 10) -> RefineDeps:
        return RefineDeps(
            self.examples, self.trainer, self.gate, self.keeper, self.recalibrator, self.folder / "run", least
        )


def dying(folder: Path, doomed: str) -> Here:
    """Kill this process with signal 9 when it first comes to a place."""

    def here(place: str) -> None:
        died = folder / "died"
        if place == doomed and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return here


def run(folder: Path, doomed: str, promoted: bool) -> None:
    """Begin a refinement or go on with it, noting every node as it ends, and the last state."""
    parts = Parts(folder, dying(folder, doomed), promoted)
    with closing(sqlite3.connect(folder / "refinements.sqlite", check_same_thread=False)) as db:
        graph = build_refine_graph(SqliteSaver(db))
        begun = graph.get_state(CONFIG).next
        note(folder, f"next {' '.join(begun)}")
        updates = graph.stream(
            None if begun else START, CONFIG, context=parts.deps(), stream_mode="updates", durability="sync"
        )
        for update in updates:
            for node in update:
                note(folder, node)
        state = {
            "state": graph.get_state(CONFIG).values,
            "made": parts.trainer.made,
            "recalibrated": parts.recalibrator.calls,
        }
    (folder / "state.json").write_text(json.dumps(state))


def note(folder: Path, line: str) -> None:
    """Add a line to what happened."""
    with (folder / "log").open("a") as log:
        log.write(line + "\n")


def forked(folder: Path, doomed: str, promoted: bool) -> int:
    """One process of a refinement; gives its exit code, or the signal that ended it as a negative number."""
    child = os.fork()
    if child == 0:
        try:
            run(folder, doomed, promoted)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def room(root: Path, place: str, verdict: str) -> Path:
    """The folder of a case."""
    return root / f"{place} {verdict}"


if __name__ == "__main__":
    for place, _, verdict in DEATHS:
        folder = room(Path(sys.argv[1]), place, verdict)
        folder.mkdir()
        codes = [forked(folder, place, verdict == "promote") for _ in range(2)]
        (folder / "codes.json").write_text(json.dumps(codes))
