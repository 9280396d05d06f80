"""Learn from experts' answers: one pass from kept examples to an adapter that is live, or turned down.

collect → curate → split → train → export → evaluate → promote → recalibrate → END
                     │                          │
                     └─ too few, nothing new    └─ reject → END

Every node may be run again: a run that was killed goes on at the node that it died in, and what that node had done
already is found, not done twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from understudy.core.adapters import AdapterCard, GateReport
from understudy.core.types import Example

__all__ = ["RefineDeps", "RefineGraph", "RefineState", "build_refine_graph"]


class RefineState(TypedDict, total=False):
    """A run. Values are JSON-like; examples go by their ids."""

    run: str
    domain: str
    label: str
    seed: int
    collected: list[str]
    fit: list[str]
    """Those that curation let through."""
    rejected: dict[str, int]
    train: list[str]
    held_out: list[str]
    gate: list[str]
    training: dict[str, Any]
    report: dict[str, Any]
    version: str | None
    promoted: bool
    reason: str
    recalibrated: dict[str, Any]


class Examples(Protocol):
    """What has been kept."""

    def collected(self, domain: str, label: str) -> Mapping[str, Example]:
        """The examples of a domain by id, oldest first."""
        ...

    def rejections(self, examples: Sequence[Example]) -> Sequence[str]:
        """For each the reason why it may not teach, "" where it may."""
        ...

    def part_of(self, name: str, example: Example) -> Literal["train", "held_out", "gate", "calibrate"]:
        """Which part an example belongs to, for good."""
        ...


class Trainer(Protocol):
    """Makes a candidate, in a folder of the run's own."""

    def train(
        self, folder: Path, examples: Sequence[Example], held_out: Sequence[Example], others: Sequence[Example]
    ) -> dict[str, Any]:
        """Train, or go on; gives the figures of the run.

        `others` are kept to judge by: only what is never used on the document that it learned from may see them.
        """
        ...

    def export(self, folder: Path, held_out: Sequence[Example]) -> dict[str, Path]:
        """The candidate's files by name."""
        ...


class Gate(Protocol):
    """Compares a candidate with what is live."""

    def weigh(
        self, run: RefineState, files: Mapping[str, Path], examples: Sequence[Example], refused: Sequence[Example]
    ) -> GateReport:
        """Promote or not. `refused` are examples that curation turned down: what they say must not be said."""
        ...


class Registry(Protocol):
    """Keeps adapters."""

    def keep(self, run: RefineState, files: Mapping[str, Path], examples: Sequence[Example]) -> AdapterCard:
        """Store the candidate with its card, once a run."""
        ...

    def promote(self, card: AdapterCard) -> None:
        """Put it in force, once."""
        ...

    def learned_from(self, domain: str, label: str) -> Collection[str]:
        """Ids of the examples that the latest adapter was made with, whether it is live or was turned down."""
        ...


class Recalibrator(Protocol):
    """Learns anew how far drafts can be trusted."""

    def recalibrate(self, domain: str, label: str) -> dict[str, Any]:
        """Run the model in force on the examples kept for it, and derive the threshold."""
        ...


@dataclass(frozen=True)
class RefineDeps:
    """What a run uses: LangGraph's runtime context."""

    examples: Examples
    trainer: Trainer
    gate: Gate
    registry: Registry
    recalibrator: Recalibrator
    folder: Path
    """Of this run."""
    least: int = 40
    """Examples to train on without which there is nothing to learn."""


RefineGraph = CompiledStateGraph[RefineState, RefineDeps, RefineState, RefineState]
Run = Runtime[RefineDeps]


def build_refine_graph(checkpointer: BaseCheckpointSaver[Any]) -> RefineGraph:
    """The graph, with its runs kept by a checkpointer."""
    graph: StateGraph[RefineState, RefineDeps, RefineState, RefineState] = StateGraph(
        RefineState, context_schema=RefineDeps
    )
    for node in (collect, curate, split, train, export, evaluate, promote, reject, recalibrate):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "collect")
    graph.add_edge("collect", "curate")
    graph.add_edge("curate", "split")
    graph.add_conditional_edges("split", lambda s: END if s["reason"] else "train", [END, "train"])
    graph.add_edge("train", "export")
    graph.add_edge("export", "evaluate")
    graph.add_conditional_edges(
        "evaluate", lambda s: "promote" if s["report"]["promoted"] else "reject", ["promote", "reject"]
    )
    graph.add_edge("promote", "recalibrate")
    graph.add_edge("recalibrate", END)
    graph.add_edge("reject", END)
    return graph.compile(checkpointer=checkpointer)


def collect(state: RefineState, runtime: Run) -> RefineState:
    """Which examples there are: those that come later belong to the next run."""
    return {"collected": list(runtime.context.examples.collected(state["domain"], state["label"]))}


def curate(state: RefineState, runtime: Run) -> RefineState:
    """Leave out what can't be checked, with the reason."""
    held = chosen(state, runtime, state["collected"])
    reasons = runtime.context.examples.rejections(list(held.values()))
    fit = [name for name, reason in zip(held, reasons, strict=True) if not reason]
    return {"fit": fit, "rejected": dict(Counter(filter(None, reasons)))}


def split(state: RefineState, runtime: Run) -> RefineState:
    """By the examples' permanent roles."""
    parts: dict[str, list[str]] = {"train": [], "held_out": [], "gate": [], "calibrate": []}
    for name, example in chosen(state, runtime, state["fit"]).items():
        parts[runtime.context.examples.part_of(name, example)].append(name)
    missing = runtime.context.least - len(parts["train"])
    reason = ""
    if missing > 0:
        reason = f"{missing} more examples to train on are needed; there are {len(parts['train'])}"
    elif set(parts["train"]) <= set(runtime.context.registry.learned_from(state["domain"], state["label"])):
        reason = "nothing new has been learned since the last refinement"
    return {
        "train": parts["train"],
        "held_out": parts["held_out"],
        "gate": parts["gate"],
        "reason": reason,
        "version": None,
        "promoted": False,
    }


def train(state: RefineState, runtime: Run) -> RefineState:
    """Make the candidate; checkpoints of its own let it go on in the middle."""
    deps = runtime.context
    deps.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    taught, judged = chosen(state, runtime, state["train"]), set(state["fit"]) - {*state["train"], *state["held_out"]}
    others = chosen(state, runtime, [name for name in state["fit"] if name in judged])
    figures = deps.trainer.train(deps.folder, list(taught.values()), held(state, runtime), list(others.values()))
    return {"training": figures}


def export(state: RefineState, runtime: Run) -> RefineState:
    """Its files, in the form that they are run in."""
    runtime.context.trainer.export(runtime.context.folder, held(state, runtime))
    return {}


def evaluate(state: RefineState, runtime: Run) -> RefineState:
    """What the gate makes of it."""
    deps = runtime.context
    refused = chosen(state, runtime, [n for n in state["collected"] if n not in set(state["fit"])])
    asked = list(chosen(state, runtime, state["gate"]).values())
    report = deps.gate.weigh(
        state, deps.trainer.export(deps.folder, held(state, runtime)), asked, list(refused.values())
    )
    return {"report": report.model_dump(mode="json"), "reason": report.reason}


def promote(state: RefineState, runtime: Run) -> RefineState:
    """Keep it, and put it in force."""
    card = kept(state, runtime)
    runtime.context.registry.promote(card)
    return {"version": card.version, "promoted": True}


def reject(state: RefineState, runtime: Run) -> RefineState:
    """Keep it with what speaks against it; nothing else changes."""
    return {"version": kept(state, runtime).version, "promoted": False}


def recalibrate(state: RefineState, runtime: Run) -> RefineState:
    """Confidence changes when the model does."""
    return {"recalibrated": runtime.context.recalibrator.recalibrate(state["domain"], state["label"])}


def kept(state: RefineState, runtime: Run) -> AdapterCard:
    """The candidate in the registry."""
    deps = runtime.context
    files = deps.trainer.export(deps.folder, held(state, runtime))
    shaped = [*state["train"], *state["held_out"]]
    return deps.registry.keep(state, files, list(chosen(state, runtime, shaped).values()))


def held(state: RefineState, runtime: Run) -> list[Example]:
    """The examples that training stops by, and scores are fitted on."""
    return list(chosen(state, runtime, state["held_out"]).values())


def chosen(state: RefineState, runtime: Run, names: Sequence[str]) -> dict[str, Example]:
    """Some of the run's examples. One that was erased meanwhile is gone."""
    found = runtime.context.examples.collected(state["domain"], state["label"])
    return {name: found[name] for name in names if name in found}
