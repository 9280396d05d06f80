"""Suite `steps`: whether every step is valid and every question comes to an end, over many questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import BaseModel, ValidationError

from understudy.apps.bench.answering import ask_all, keep
from understudy.apps.bench.data import Question, pubmedqa_questions, sample, squad_questions, tatqa_questions
from understudy.apps.bench.scoring import Scored, arguments, repeats
from understudy.apps.bench.workspaces import ready
from understudy.apps.metrics import quantile
from understudy.core.steps import Consult, Decline
from understudy.core.types import Answer, StepRecord

__all__ = ["drawn", "is_valid", "measure_steps", "reached_limit", "step_figures", "walk_of"]

QUESTIONS = 2000
CUT_SHORT = "when it had to end"
"""In the reason of an answer whose last step was another tool than an end."""


@dataclass(frozen=True)
class Walk:
    """How one question went. One that failed with an error took one step, which is invalid, and never ended."""

    kinds: tuple[str, ...]
    valid: int
    repeated: int
    ended: bool
    """Before the limit of steps."""
    seconds: float


def measure_steps(data: Path, out: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Valid steps, ends within the limit, repeated steps and seconds, each set by itself and all together."""
    sets = drawn(
        {"squad": squad_questions(data), "tatqa": tatqa_questions(data), "pubmedqa": pubmedqa_questions(data)},
        min(limit or QUESTIONS, QUESTIONS),
        seed,
    )
    figures: dict[str, Any] = {}
    everything: list[Walk] = []
    for name, questions in sets.items():
        with ready(name, data / name / "documents.jsonl.gz", out) as agent:
            tools, most = agent.toolbox.tools, agent.settings.small_model.max_steps
            scored = ask_all(agent, questions, scoped=name != "squad", label=f"stepping through {name}")
        keep(scored, out, f"steps-{name}")
        walks = [walk_of(s, tools, most) for s in scored]
        figures[name] = step_figures(walks)
        everything += walks
    return {**figures, "all": step_figures(everything)}


def drawn(sets: Mapping[str, list[Question]], size: int, seed: int) -> dict[str, list[Question]]:
    """A sample of all sets together, as its parts; sets that nothing was drawn from are left out."""
    chosen = sample([q for questions in sets.values() for q in questions], size, seed)
    ids = {q.id for q in chosen}
    parts = {name: [q for q in questions if q.id in ids] for name, questions in sets.items()}
    return {name: questions for name, questions in parts.items() if questions}


def walk_of(scored: Scored, tools: Sequence[BaseTool], most: int) -> Walk:
    """How a question went, with the tools that were on offer and the limit of steps."""
    if scored.answer is None:
        return Walk(kinds=("failed",), valid=0, repeated=0, ended=False, seconds=scored.seconds)
    steps = scored.answer.steps
    return Walk(
        kinds=tuple(step.kind for step in steps),
        valid=sum(is_valid(step, tools) for step in steps),
        repeated=repeats(steps),
        ended=not reached_limit(scored.answer, most),
        seconds=scored.seconds,
    )


def step_figures(walks: Sequence[Walk]) -> dict[str, Any]:
    """The figures of some questions."""
    steps = sum(len(w.kinds) for w in walks)
    valid = sum(w.valid for w in walks)
    ended = sum(w.ended for w in walks)
    seconds = [w.seconds for w in walks]
    return {
        "questions": len(walks),
        "steps": steps,
        "valid_steps": valid,
        "valid_share": share(valid, steps),
        "ended_before_limit": ended,
        "ended_before_limit_share": share(ended, len(walks)),
        "repeated_steps": sum(w.repeated for w in walks),
        "questions_with_repeats": sum(w.repeated > 0 for w in walks),
        "kinds": dict(sorted(Counter(kind for w in walks for kind in w.kinds).items())),
        "seconds_p50": round(quantile(seconds, 0.5), 3),
        "seconds_p95": round(quantile(seconds, 0.95), 3),
    }


def share(part: int, whole: int) -> float:
    """A share, rounded down, so that it is 1 only where nothing is missing."""
    return part * 10**4 // whole / 10**4 if whole else 0.0


def is_valid(step: StepRecord, tools: Sequence[BaseTool]) -> bool:
    """Whether a step is of a kind on offer with arguments that its model takes: the grammar is made from these models.

    Of an answer only the kind is recorded; what it points at or quotes was verified when it was judged.
    """
    models: dict[str, Any] = {"consult": Consult, "decline": Decline, **{t.name: t.args_schema for t in tools}}
    if step.kind == "answer":
        return True
    model = models.get(step.kind)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return False
    given = arguments(step)
    try:
        model.model_validate(given)
    except ValidationError:
        return False
    return set(given) <= set(model.model_fields)


def reached_limit(answer: Answer, most: int) -> bool:
    """Whether planning was ended by the limit of steps."""
    return len(answer.steps) >= most or CUT_SHORT in answer.reason
