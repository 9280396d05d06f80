"""A refinement on disk with real graph, checkpoints and registry, whose other parts are fake; may kill itself.

Run as `python refine_run.py FOLDER NODE`: the first time that NODE is entered, the process kills itself (once).
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from example_parts import example
from langgraph.checkpoint.sqlite import SqliteSaver

from understudy.core.types import AdapterCard, Example, GateReport
from understudy.distillation.registry import Registry
from understudy.graphs import refine
from understudy.graphs.refine import RefineDeps, RefineState, build_refine_graph

NODES = ("collect", "curate", "split", "train", "export", "evaluate", "promote", "recalibrate")
EXAMPLES = {f"e{n}": example("12", "12 apples", "We sold 12 apples.", f"Question {n}?") for n in range(20)}


class Parts:
    """All fake parts of a run, in one."""

    def __init__(self, folder: Path, good: bool = True) -> None:
        self.registry = Registry(folder / "adapters")
        self.folder = folder
        self.good = good

    def collected(self, domain: str, label: str) -> Mapping[str, Example]:
        return EXAMPLES

    def rejections(self, examples: Sequence[Example]) -> Sequence[str]:
        return ["the expert refused" if e.question == "Question 3?" else "" for e in examples]

    def part_of(self, name: str, example: Example) -> Any:
        return ("train", "held_out", "gate", "calibrate")[int(name[1:]) % 4]

    def train(self, folder: Path, examples: Sequence[Example], held_out: Sequence[Example]) -> dict[str, Any]:
        return {"examples": len(examples), "held_out": len(held_out)}

    def export(self, folder: Path, held_out: Sequence[Example]) -> dict[str, Path]:
        path = folder / "reader.safetensors"
        path.write_bytes(b"weights")
        return {path.name: path}

    def weigh(
        self, run: RefineState, files: Mapping[str, Path], examples: Sequence[Example], refused: Sequence[Example]
    ) -> GateReport:
        assert [e.question for e in refused] == ["Question 3?"]
        return GateReport(questions=len(examples), promoted=self.good, reason="as told")

    def keep(self, run: RefineState, files: Mapping[str, Path], examples: Sequence[Example]) -> AdapterCard:
        def make(version: str, hashes: Mapping[str, str]) -> AdapterCard:
            return AdapterCard(
                version=version, run=run["run"], domain=run["domain"], label=run["label"], base="m", created="",
                seed=1, examples={"train": len(run["train"])}, trained_on=(*run["train"], *run["held_out"]),
                files=dict(hashes), gate=GateReport.model_validate(run["report"]),
            )  # fmt: skip

        return self.registry.add(files, make)

    def promote(self, card: AdapterCard) -> None:
        self.registry.promote(card)

    def learned_from(self, domain: str, label: str) -> Sequence[str]:
        cards = self.registry.cards()
        return cards[-1].trained_on if cards else ()

    def recalibrate(self, domain: str, label: str) -> dict[str, Any]:
        with (self.folder / "recalibrated").open("a") as file:
            file.write("once\n")
        return {"labels": 5}


def run(folder: Path, run_id: str = "r1", *, good: bool = True, least: int = 3) -> Any:
    """A refinement from where it is to its end."""
    parts = Parts(folder, good)
    deps = RefineDeps(parts, parts, parts, parts, parts, folder / "run", least)
    config: Any = {"configurable": {"thread_id": run_id}}
    db = sqlite3.connect(folder / "refinements.sqlite", check_same_thread=False)
    try:
        graph = build_refine_graph(SqliteSaver(db))
        begun = graph.get_state(config).next
        start: Any = {"run": run_id, "domain": "apples", "label": "all", "seed": 1}
        return graph.invoke(None if begun else start, config, context=deps, durability="sync")
    finally:
        db.close()


def killed_once_in(node: str, folder: Path) -> None:
    """Let a node do its work the first time, and then kill the process, before anyone knows that it is done."""
    work = getattr(refine, node)
    mark = folder / f"killed-in-{node}"

    def dying(state: Any, runtime: Any) -> Any:
        done = work(state, runtime)
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    dying.__name__ = node
    setattr(refine, node, dying)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    killed_once_in(sys.argv[2], place)
    run(place)
