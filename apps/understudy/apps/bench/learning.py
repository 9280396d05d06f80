"""Suites `learn-cuad` and `learn-tatqa`: a stream of questions, refined as it goes; what it saves, what it costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from understudy.agents import Agent
from understudy.agents.cast import Players
from understudy.apps.bench.streams import (
    Asked,
    Stream,
    Streams,
    as_example,
    documents_of,
    right,
    right_text,
    write_oracle,
)
from understudy.apps.bench.workspaces import bar, folder, retrieval_digest
from understudy.apps.picture import draw_learning, require_matplotlib
from understudy.core.settings import BriefingSettings, ExpertSettings, Settings
from understudy.distillation.gate import balanced

__all__ = ["SHOWN", "measure_learning", "oracle_of"]

WINDOW = 300
"""Questions at the beginning and at the end of the stream that are compared."""
REFINED_AFTER = (0.4, 0.8)
"""Shares of the stream."""
CPU_SECOND_USD = 0.05 / 3600
"""What a processor core costs, rented by the hour."""
SHOWN = {"cuad": 20, "tatqa": 5}
"""Passages that the oracle is shown: a contract has a hundred, and of what isn't shown nothing is learned."""
COMMONEST = {"cuad": "No", "tatqa": ""}
"""What a rule that doesn't read would always answer."""


@dataclass(frozen=True)
class Turned:
    """A question of the stream, with what became of it."""

    kind: str
    consulted: bool
    quality: float
    usd: float
    seconds: float


def measure_learning(name: str, data: Path, out: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """The figures of one stream; draws `out/learn-NAME.png` as well. Raises `MissingExtraError`, `DocumentError`."""
    require_matplotlib()
    stream = Streams[name](data, seed)
    questions, held_out = stream.questions[:limit], stream.held_out[:limit]
    room = folder(out)
    place = room / f"learn-{name}-{seed}-{len(questions)}-{retrieval_digest()}"
    settings = Settings(experts=(oracle_of(stream, room),), briefing=BriefingSettings(passages=SHOWN[name]))
    with Agent.open(place, settings=settings) as agent:
        with bar(f"reading {name}", None) as advance:
            agent.ingest(
                [documents_of([*questions, *held_out], name, data, room)],
                sensitivity="open",  # it is public, and what redaction costs is measured by itself
                on_progress=lambda d, t, _p: advance(d, t),
            )
        before = alone(agent, held_out, "before")
        turned, refinements = ask_stream(agent, questions, name)
        after = alone(agent, held_out, "after")
        examples = agent.status()["examples"]
    draw_learning([asdict(t) for t in turned], out / f"learn-{name}.png")
    return {
        "questions": len(questions),
        "documents": len({q.document for q in questions}),
        "window": min(WINDOW, len(turned) // 2),
        **windows(turned),
        "small_model_alone": small_model_alone(stream, held_out, before, after),
        "examples": examples,
        "refinements": [summary_of(r) for r in refinements],
        "cost": cost(turned, refinements),
        "curve": curve(turned),
    }


def oracle_of(stream: Stream, room: Path) -> ExpertSettings:
    """An expert that knows the right answers, at a large model's price."""
    path = room / f"{stream.name}-oracle.jsonl"
    write_oracle(stream, path)
    return ExpertSettings(
        name="oracle", model=f"recorded:{path.absolute()}", input_usd_per_mtok=1.25, output_usd_per_mtok=10.0
    )


def ask_stream(agent: Agent, questions: Sequence[Asked], name: str) -> tuple[list[Turned], list[dict[str, Any]]]:
    """The stream, question by question, refined on the way."""
    turned: list[Turned] = []
    refinements: list[dict[str, Any]] = []
    stops = [round(len(questions) * share) for share in REFINED_AFTER]
    with bar(f"asking {name}", len(questions)) as advance:
        for number, question in enumerate(questions, 1):
            began = time.perf_counter()
            answer = agent.ask(question.text, document=question.document)
            turned.append(
                Turned(
                    question.kind,
                    answer.route == "expert",
                    right(question, answer),
                    answer.cost_usd,
                    time.perf_counter() - began,
                )
            )
            if number in stops:
                began, cpu = time.perf_counter(), time.process_time()
                found = agent.refine()
                spent = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
                refinements += [{**r, "after": number, **spent} for r in found]
            advance(number, None)
    return turned, refinements


def alone(agent: Agent, questions: Sequence[Asked], label: str) -> list[float]:
    """How the small model does by itself on questions of documents that were never asked about."""
    players: Players = agent.cast.playing(*agent.place("default"))
    found = []
    with bar(f"alone, {label}", len(questions)) as advance:
        for number, question in enumerate(questions, 1):
            outcome = agent.learning.rehearsed(as_example(question, players.name), players)
            text = outcome.draft.text if outcome.draft else None
            found.append(float(question.kind == "not there") if text is None else right_text(question, text))
            advance(number, None)
    return found


def windows(turned: Sequence[Turned]) -> dict[str, Any]:
    """The first questions beside the last ones: what went to the expert, and what was lost against always asking it."""
    size = min(WINDOW, len(turned) // 2)
    return {name: window(part) for name, part in (("first", turned[:size]), ("last", turned[-size:]))}


def window(turned: Sequence[Turned]) -> dict[str, Any]:
    """Consults per hundred, and the loss against the oracle, plain and with every kind of answer counting the same."""
    kinds, losses = [t.kind for t in turned], [1 - t.quality for t in turned]
    return {
        "consults_per_100": round(100 * sum(t.consulted for t in turned) / len(turned), 1),
        "loss_points": round(100 * sum(losses) / len(losses), 2),
        "loss_points_balanced": round(100 * balanced(kinds, losses), 2),
        "local_answers": sum(not t.consulted for t in turned),
        "usd": round(sum(t.usd for t in turned), 4),
        "seconds_a_question": round(sum(t.seconds for t in turned) / len(turned), 3),
        "kinds": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
    }


def small_model_alone(
    stream: Stream, questions: Sequence[Asked], before: Sequence[float], after: Sequence[float]
) -> dict[str, Any]:
    """Class-balanced quality on held-out documents, beside a rule that always says the commonest thing."""
    kinds = [q.kind for q in questions]
    said = COMMONEST[stream.name]
    rule = [right_text(q, said) if said else float(q.kind == "not there") for q in questions]
    by_kind = {
        kind: {"before": mean_of(kind, kinds, before), "after": mean_of(kind, kinds, after), "n": kinds.count(kind)}
        for kind in sorted(set(kinds))
    }
    return {
        "questions": len(questions),
        "before_balanced": round(100 * balanced(kinds, before), 1),
        "after_balanced": round(100 * balanced(kinds, after), 1),
        "commonest_answer_balanced": round(100 * balanced(kinds, rule), 1),
        "kinds": [{"kind": kind, **values} for kind, values in by_kind.items()],
    }


def mean_of(kind: str, kinds: Sequence[str], values: Sequence[float]) -> float:
    """The mean over one kind."""
    chosen = [v for k, v in zip(kinds, values, strict=True) if k == kind]
    return round(sum(chosen) / len(chosen), 4)


def summary_of(refinement: dict[str, Any]) -> dict[str, Any]:
    """A refinement as a row."""
    report, training = refinement["report"] or {}, refinement["training"] or {}
    return {
        "after": refinement["after"],
        "trained_on": refinement["examples"]["train"],
        "gate_examples": report.get("questions", 0),
        "live": report.get("live"),
        "candidate": report.get("candidate"),
        "p": report.get("p"),
        "learned": report.get("learned"),
        "p_learned": report.get("p_learned"),
        "general_live": report.get("general_live"),
        "general_candidate": report.get("general_candidate"),
        "promoted": refinement["promoted"],
        "reason": refinement["reason"],
        "training_seconds": training.get("seconds"),
        "training_cpu_seconds": training.get("cpu_seconds"),
        "peak_mib": training.get("peak_mib"),
        "whole_seconds": round(refinement["seconds"], 1),
        "threshold": (refinement["recalibrated"] or {}).get("threshold"),
    }


def cost(turned: Sequence[Turned], refinements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Dollars of the expert, CPU-seconds of the loop, and after how many questions it has paid for itself.

    What a question that is answered here saves is the mean price of a consultation; what a refinement costs is its CPU
    time at the price of a rented core.
    """
    consulted = [t.usd for t in turned if t.consulted]
    price = sum(consulted) / len(consulted) if consulted else 0.0
    saved = sum(not t.consulted for t in turned)
    cpu = sum(r["cpu_seconds"] for r in refinements)
    return {
        "usd_spent": round(sum(consulted), 4),
        "usd_always_asking": round(price * len(turned), 4),
        "usd_a_consult": round(price, 6),
        "answered_locally": saved,
        "refining_cpu_seconds": round(cpu, 1),
        "refining_seconds": round(sum(r["seconds"] for r in refinements), 1),
        "refining_cpu_seconds_per_saved_question": round(cpu / saved, 1) if saved else None,
        "refining_usd": round(cpu * CPU_SECOND_USD, 4),
        "paid_back_after": paid_back(turned, refinements, price),
        "first_saved_question": next((n for n, t in enumerate(turned, 1) if not t.consulted), None),
    }


def paid_back(turned: Sequence[Turned], refinements: Sequence[dict[str, Any]], price: float) -> int | None:
    """The question from whose answer on more has been saved than refining had cost until then, for good."""
    found, balance = None, 0.0
    for number, question in enumerate(turned, 1):
        balance += 0.0 if question.consulted else price
        if balance <= 0:
            found = None
        elif found is None:
            found = number
        balance -= sum(r["cpu_seconds"] for r in refinements if r["after"] == number) * CPU_SECOND_USD
    return found


def curve(turned: Sequence[Turned], size: int = 100) -> list[dict[str, Any]]:
    """The stream in pieces."""
    pieces = [turned[at : at + size] for at in range(0, len(turned), size)]
    return [
        {
            "questions": (n + 1) * size,
            "consults_per_100": round(100 * sum(t.consulted for t in piece) / len(piece), 1),
            "quality": round(sum(t.quality for t in piece) / len(piece), 4),
            "usd": round(sum(t.usd for t in piece), 4),
        }
        for n, piece in enumerate(pieces)
    ]
