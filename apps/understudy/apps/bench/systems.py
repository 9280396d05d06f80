"""Suite `starter`: the shipped agent beside what it must beat, on the same questions."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.agents.small_model import starter_path
from understudy.apps.bench.answering import Ask, ask_agent, ask_all, keep
from understudy.apps.bench.data import Question, sample, squad_questions, tatqa_questions
from understudy.apps.bench.random_weights import with_random_weights
from understudy.apps.bench.rivals import ask_reader, ask_top_sentence
from understudy.apps.bench.scoring import Scored, cites_evidence
from understudy.apps.bench.workspaces import ready
from understudy.apps.metrics import auroc, interval, quantile
from understudy.core.errors import UserError

__all__ = ["System", "compared_models", "figures_row", "measure_starter"]

SQUAD, TATQA = 300, 150
AGENT, TOP_SENTENCE = "agent", "top sentence"


@dataclass(frozen=True)
class System:
    """One way to answer: the agent with some small model, or a rule (which leaves the model idle)."""

    name: str
    model: str = "starter"
    """As `small_model.path`."""
    ask: Ask = ask_agent


@dataclass(frozen=True)
class Trial:
    """What a system made of one set."""

    model: str
    scored: Sequence[Scored]


def compared_models(named: Sequence[str]) -> list[System]:
    """The agent with other models, each given as NAME=PATH. Raises `UserError`."""
    taken = {system.name for system in own_systems(Path())}
    systems = []
    for pair in named:
        name, _, path = (part.strip() for part in pair.partition("="))
        if not name or not path:
            raise UserError(f"--compare {pair!r}: give a name and a .gguf file as NAME=PATH")
        if name in taken:
            raise UserError(f"--compare {pair!r}: {name!r} is the name of another system; choose another one")
        file = Path(path).expanduser().resolve()
        if not file.is_file():
            raise UserError(f"--compare {pair!r}: {path} is no file")
        taken.add(name)
        systems.append(System(name, str(file)))
    return systems


def own_systems(random_planner: Path) -> list[System]:
    """The shipped agent, and what is always compared with it."""
    return [
        System(AGENT),
        System("random planner", str(random_planner)),
        System(TOP_SENTENCE, ask=ask_top_sentence),
        System("reader alone", ask=ask_reader),
    ]


def measure_starter(data: Path, out: Path, limit: int | None, seed: int, compare: Sequence[str] = ()) -> dict[str, Any]:
    """One row of figures a system, over one sample of `squad` and one of `tatqa`.

    Args:
        data: the folder of data sets.
        out: where results go; single answers lie in `workspaces` under it.
        limit: at most so many questions of each set.
        seed: of samples, bootstrap and the random planner's weights.
        compare: more GGUFs to try, as NAME=PATH.
    """
    others = compared_models(compare)
    squad = sample(squad_questions(data), min(limit or SQUAD, SQUAD), seed)
    tatqa = sample(tatqa_questions(data), min(limit or TATQA, TATQA), seed)
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as room:
        planner = Path(room) / "random.gguf"
        with_random_weights(starter_path(), planner, seed)
        systems = own_systems(planner) + others
        read = {s.name: tried(s, "squad", data, out, squad, scoped=False) for s in systems}
        counted = {s.name: tried(s, "tatqa", data, out, tatqa, scoped=True) for s in systems}
    rows = [figures_row(name, read[name].model, read[name].scored, counted[name].scored, seed) for name in read]
    return {
        "questions": {"squad": len(squad), "tatqa": len(tatqa)},
        "evidence_cited_agent_minus_top_sentence": evidence_gain(read, seed),
        "systems": rows,
    }


def tried(system: System, name: str, data: Path, out: Path, questions: Sequence[Question], *, scoped: bool) -> Trial:
    """A set's questions, asked of one system."""
    with ready(name, data / name / "documents.jsonl.gz", out, system.model) as agent:
        model = agent.model.name if system.ask is ask_agent else "none"
        scored = ask_all(agent, questions, scoped=scoped, label=f"{system.name}, {name}", ask=system.ask)
    keep(scored, out, f"{name}-" + re.sub(r"[^\w.-]+", "-", system.name))
    return Trial(model, scored)


def figures_row(name: str, model: str, squad: Sequence[Scored], tatqa: Sequence[Scored], seed: int) -> dict[str, Any]:
    """The figures of a system, as a row of the table."""
    yes = [s for s in squad if s.question.answerable]
    no = [s for s in squad if not s.question.answerable]
    kinds = {kind: [s.exact for s in tatqa if s.question.kind == kind] for kind in ("span", "arithmetic")}
    return {
        "system": name,
        "model": model,
        "answerable_em": interval([s.exact for s in yes], seed),
        "answerable_f1": interval([s.f1 for s in yes], seed),
        "evidence_cited": interval([float(cites_evidence(s.question, s.answer)) for s in yes], seed),
        "unanswerable_declined": interval([float(s.route == "declined") for s in no], seed),
        "all_em": interval([s.exact for s in squad], seed),
        "confidence_auroc": auroc([s.confidence for s in yes], [s.confidence for s in no], seed),
        "tatqa_span_em": interval(kinds["span"], seed),
        "tatqa_arithmetic_em": interval(kinds["arithmetic"], seed),
        "failed": sum(s.answer is None for s in [*squad, *tatqa]),
        "squad_seconds_p50": round(quantile([s.seconds for s in squad if s.answer], 0.5), 3),
        "tatqa_seconds_p50": round(quantile([s.seconds for s in tatqa if s.answer], 0.5), 3),
    }


def evidence_gain(read: Mapping[str, Trial], seed: int) -> dict[str, float | int]:
    """By how much more often the agent cites the right words than the rule does, question by question."""
    pairs = zip(read[AGENT].scored, read[TOP_SENTENCE].scored, strict=True)
    gains = [
        float(cites_evidence(a.question, a.answer)) - float(cites_evidence(b.question, b.answer))
        for a, b in pairs
        if a.question.answerable
    ]
    return interval(gains, seed)
