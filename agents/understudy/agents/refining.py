"""What a refinement needs of an agent: its examples, its small model played alone, its registry, its labels."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from langgraph.checkpoint.sqlite import SqliteSaver
from langsmith import tracing_context

from understudy.agents.cast import Cast, Players, probe_of
from understudy.agents.deferral.agreement import agreement
from understudy.agents.deferral.outcomes import role_of
from understudy.agents.deferral.service import Deferral
from understudy.agents.deferral.signals import DISTANCE
from understudy.core.access import Ground
from understudy.core.adapters import AdapterCard, GateReport
from understudy.core.errors import ScopeError
from understudy.core.provenance import behind, loaded, together
from understudy.core.settings import RefineSettings
from understudy.core.types import Draft, Example, Outcome
from understudy.core.workspace import write_atomically
from understudy.distillation.curate import curate, poisonous
from understudy.distillation.decoder_trainer import DECODER
from understudy.distillation.gate import Crossed, Played, kind_of, too_few, weigh
from understudy.distillation.registry import Registry
from understudy.distillation.train_reader import ADAPTER, READ
from understudy.graphs.refine import RefineDeps, RefineState, Trainer, build_refine_graph
from understudy.retrieval.verdict import polar

__all__ = ["AdapterKeeper", "DomainExamples", "DomainGate", "Refinery", "Relabelling"]

Part = Literal["train", "held_out", "gate", "calibrate"]
General = Callable[[Players], Sequence[tuple[float, str]]]
"""How players do on the general set, and what they say, a row a question."""
Rehearse = Callable[[Example, Players], Outcome]
"""The small model alone on an example's question."""
REFINED = "refined.json"
"""How many examples there were when all domains were refined."""
HELD_OUT = 51
"""Of 256 training examples: a fifth, that training stops by."""


@dataclass(frozen=True)
class DomainExamples:
    """The examples of one workspace, by domain and access label."""

    all: Callable[[], Mapping[str, Example]]
    place: Callable[[Example], tuple[str, str]]
    """Domain and access label of one."""
    undivided: Callable[[str, Collection[Ground]], bool] = lambda label, grounds: True
    """Whether what an example rests on has this label alone: others are not taught under it."""

    def collected(self, domain: str, label: str) -> Mapping[str, Example]:
        """Those of a domain by id, oldest first."""
        found = {n: e for n, e in self.all().items() if self.place(e) == (domain, label)}
        return {n: e for n, e in found.items() if self.undivided(label, e.grounds)}

    def grounds(self, domain: str, label: str) -> tuple[Ground, ...]:
        """What those of a domain rest on; nothing is known of it where one of them doesn't say."""
        held = [example.grounds for example in self.collected(domain, label).values()]
        return tuple(dict.fromkeys(g for grounds in held for g in grounds)) if all(held) else ()

    def rejections(self, examples: Sequence[Example]) -> Sequence[str]:
        """For each the reason why it may not teach, "" where it may."""
        return [found.reason for found in curate(examples)]

    def part_of(self, name: str, example: Example) -> Part:
        """Which part an example belongs to, for good."""
        role = role_of(example.question, example.scope)
        if role == "train":
            return "held_out" if hashlib.sha256(f"held out {name}".encode()).digest()[0] < HELD_OUT else "train"
        return "gate" if role == "gate" else "calibrate"


@dataclass(frozen=True)
class Plays:
    """What players made of the gate examples, in their order, and of the general set."""

    drafts: Sequence[Draft | None]
    general: Sequence[tuple[float, str]]


class DomainGate:
    """Plays the gate examples twice: in the live adapter, and in the candidate.

    Args:
        cast: dresses the players.
        rehearse: the small model alone on a question.
        general: how the players do on the general set, a row a question.
        breadth: passages that a candidate reads.
    """

    def __init__(
        self,
        cast: Cast,
        rehearse: Rehearse,
        general: General,
        breadth: int,
    ) -> None:
        self._cast, self._rehearse, self._general, self._breadth = cast, rehearse, general, breadth

    def weigh(
        self, run: RefineState, files: Mapping[str, Path], examples: Sequence[Example], refused: Sequence[Example]
    ) -> GateReport:
        """Promote or not; where examples are too few to tell, nothing is played. What is refused must not be said."""
        short = too_few([kind_of(e) for e in examples])
        if short is not None:
            return short
        # One after the other: changing the small model's LoRA at every question would cost what it has read.
        live = self.plays(self._cast.playing(run["domain"], run["label"]), examples)
        return self.compare(run, live, files, examples, refused)

    def compare(
        self,
        run: RefineState,
        live: Plays,
        files: Mapping[str, Path],
        examples: Sequence[Example],
        refused: Sequence[Example],
    ) -> GateReport:
        """Promote or not, beside what the live model has played already."""
        ours = self.plays(self._cast.candidate(files, self._breadth), examples)
        played, crossed = compared(examples, live.drafts, ours.drafts)
        pairs = zip(live.general, ours.general, strict=True)
        general = [Played("general", before, after, said) for (before, _), (after, said) in pairs]
        return weigh(played, general, canaries(refused), run["seed"], crossed=crossed)

    def plays(self, players: Players, examples: Sequence[Example]) -> Plays:
        """What some players make of the examples, alone."""
        return Plays([self._rehearse(e, players).draft for e in examples], self._general(players))


def compared(
    examples: Sequence[Example], live: Sequence[Draft | None], candidate: Sequence[Draft | None]
) -> tuple[list[Played], Crossed]:
    """Questions of examples as two players answered them, and what each answer is worth to every question."""
    worths = [np.array([[worth(d, e) for e in examples] for d in drafts]) for drafts in (live, candidate)]
    said = [draft.text if draft else "" for draft in candidate]
    values = zip(examples, *(each.diagonal() for each in worths), said, strict=True)
    played = [Played(kind_of(e), float(before), float(after), text) for e, before, after, text in values]
    forms = tuple("polar" if polar(e.question) else "open" for e in examples)
    return played, Crossed(forms, worths[1] - worths[0])


def worth(draft: Draft | None, example: Example) -> float:
    """Whether the small model alone does as well as the expert; where there is nothing to find, saying nothing does."""
    if draft is None:
        return float(kind_of(example) == "not in the documents")
    return agreement(draft, example.expert)


def canaries(refused: Iterable[Example]) -> list[str]:
    """What planted instructions and invented quotes would have taught to say; short answers tell nothing."""
    return [e.expert.text for e in refused if poisonous(e) and len(e.expert.text) >= 20]


@dataclass(frozen=True)
class AdapterKeeper:
    """Cards for candidates, and the swap."""

    registry: Registry
    cast: Cast
    examples: DomainExamples
    base: str
    breadth: int

    def keep(self, run: RefineState, files: Mapping[str, Path], examples: Sequence[Example]) -> AdapterCard:
        """Store the candidate with its card, once a run."""
        live = self.registry.history(run["domain"], run["label"])
        grounds = self.examples.grounds(run["domain"], run["label"])
        probe = probe_of(self.cast.reader(files[ADAPTER], self.breadth))
        worn = self.cast.model.wearing(files[DECODER]) if DECODER in files else None

        def make(version: str, hashes: Mapping[str, str]) -> AdapterCard:
            return AdapterCard(
                version=version,
                run=run["run"],
                domain=run["domain"],
                label=run["label"],
                base=self.base,
                parent=live[-1] if live else None,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                seed=run["seed"],
                examples={part: len(run[part]) for part in ("train", "held_out", "gate")},
                trained_on=(*run["train"], *run["held_out"]),
                documents=tuple(sorted({c.document for e in examples for c in e.expert.citations})),
                grounds=grounds,
                rejected=run["rejected"],
                rests_on=loaded(run["training"][READ]) if READ in run["training"] else None,
                training=without(run["training"], READ),
                files=dict(hashes),
                settings={"breadth": self.breadth},
                probe=probe,
                decoder_probe=worn.probe if worn else None,
                gate=GateReport.model_validate(run["report"]),
            )

        return self.registry.add(files, make)

    def promote(self, card: AdapterCard) -> None:
        """Put it in force, once."""
        self.registry.promote(card)
        self.cast.swap(card.domain, card.label)

    def learned_from(self, domain: str, label: str) -> Collection[str]:
        """Ids of the examples that the latest adapter was made with, of those that weren't withdrawn."""
        cards = [c for c in self.registry.cards() if (c.domain, c.label) == (domain, label) and not c.withdrawn]
        return cards[-1].trained_on if cards else ()


@dataclass(frozen=True)
class Relabelling:
    """Compares the model in force with what experts said before, on examples that it was not trained on."""

    examples: DomainExamples
    rehearse: Rehearse
    cast: Cast
    deferral: Deferral

    def recalibrate(self, domain: str, label: str) -> dict[str, Any]:
        """Run the model in force on the gate and calibrate examples, in their order, and derive the threshold."""
        players = self.cast.playing(domain, label)
        kept = self.examples.collected(domain, label)
        asked = [e for n, e in kept.items() if self.examples.part_of(n, e) in ("gate", "calibrate")]
        # The bets of the test must be of one size: that of the example which was least likely to get a label.
        rate = min((e.probability for e in asked), default=1.0)
        labelled = 0
        for example in asked:
            if not self.deferral.store.has(players.name, example.question, example.scope):
                outcome = self.rehearse(example, players)
                self.deferral.relabel(outcome.model_copy(update=labelled_by(example, outcome)), rate)
                labelled += 1
        derived = self.deferral.derive()
        return {"labels": labelled, "threshold": derived.threshold, "consults": derived.consults}


def labelled_by(example: Example, outcome: Outcome) -> dict[str, Any]:
    """What an example adds to a rehearsal: the expert's answer, and with which probability there is one.

    How far it is from the known examples tells nothing here: it is one of them.
    """
    unseen = {name: value for name, value in outcome.signals.items() if name != DISTANCE}
    taught = {"expert": example.expert, "probability": example.probability, "grounds": example.grounds}
    return {**taught, "drawn": True, "signals": unseen, "rests_on": together(outcome.rests_on, behind(example))}


@dataclass(frozen=True)
class Refinery:
    """Runs refinements, one at a time, each in a folder that a killed one leaves for the next process to go on in."""

    root: Path
    """Of adapters; runs in progress lie beside them."""
    checkpoints: Path
    examples: DomainExamples
    trainer: Trainer
    gate: DomainGate
    keeper: AdapterKeeper
    relabelling: Relabelling
    settings: RefineSettings
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refine(self, domain: str | None = None) -> list[dict[str, Any]]:
        """Every access label of a domain, or of all. Raises `ScopeError` where no example is of this domain."""
        places = dict.fromkeys(self.examples.place(e) for e in self.examples.all().values())
        wanted = [place for place in places if domain in (None, place[0])]
        if domain is not None and not wanted:
            known = ", ".join(sorted({d for d, _ in places})) or "none yet"
            raise ScopeError(f"no expert has answered anything in domain {domain!r}; domains with examples: {known}")
        with self.lock:
            count = len(self.examples.all())
            found = [self.run(*place) for place in wanted]
            if domain is None:
                self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_atomically(self.root / REFINED, json.dumps({"examples": count}) + "\n")
            return found

    def due(self) -> bool:
        """Whether `refine.every` new examples have come since all domains were refined; never, without that setting."""
        every, refined = self.settings.every, self.root / REFINED
        if every is None:
            return False
        before = int(json.loads(refined.read_text(encoding="utf-8"))["examples"]) if refined.exists() else 0
        return len(self.examples.all()) - before >= every

    def folder(self, domain: str, label: str) -> Path:
        """Where a refinement in progress lies."""
        return self.root / ".runs" / hashlib.sha256(json.dumps([domain, label]).encode()).hexdigest()[:16]

    def run(self, domain: str, label: str) -> dict[str, Any]:
        """One refinement to its end, begun anew or gone on with."""
        folder = self.folder(domain, label)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        started = folder / "run.json"
        if not started.exists():
            write_atomically(started, json.dumps({"run": uuid.uuid4().hex}))
        run = str(json.loads(started.read_text(encoding="utf-8"))["run"])
        deps = RefineDeps(
            self.examples, self.trainer, self.gate, self.keeper, self.relabelling, folder, self.settings.least_examples
        )
        config: Any = {"configurable": {"thread_id": run}}
        with (
            closing(sqlite3.connect(self.checkpoints, check_same_thread=False)) as db,
            tracing_context(enabled=False),
        ):
            graph = build_refine_graph(SqliteSaver(db))
            begun = graph.get_state(config).next
            start: Any = {"run": run, "domain": domain, "label": label, "seed": self.settings.seed}
            state = graph.invoke(None if begun else start, config, context=deps, durability="sync")
        shutil.rmtree(folder)
        return report_of(state)


def report_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """What became of a refinement, without the ids of its examples."""
    counts = {part: len(state.get(part, ())) for part in ("collected", "fit", "train", "held_out", "gate")}
    kept = ("run", "domain", "label", "reason", "version", "promoted", "rejected", "training", "report", "recalibrated")
    shown = {name: state.get(name) for name in kept}
    return {"examples": counts, **shown, "training": without(state.get("training"), READ)}


def without(figures: Mapping[str, Any] | None, name: str) -> Any:
    """Figures without one of them."""
    return None if figures is None else {key: value for key, value in figures.items() if key != name}
