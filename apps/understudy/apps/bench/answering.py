"""Suite `agent`: the whole agent, without experts, on `squad` and `tatqa`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from understudy.agents import Agent
from understudy.apps.bench.data import Question, sample, squad_questions, tatqa_questions
from understudy.apps.bench.scoring import Scored, score_answer, summary
from understudy.apps.bench.workspaces import bar, folder, ready
from understudy.core.errors import UnderstudyError
from understudy.core.types import Answer
from understudy.core.workspace import write_atomically

__all__ = ["measure_agent"]

SQUAD, TATQA = 500, 300


def measure_agent(data: Path, out: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Routes, exact match, F1, seconds and tokens; `squad` over the whole collection, `tatqa` in one document each."""
    squad = sample(squad_questions(data), min(limit or SQUAD, SQUAD), seed)
    tatqa = sample(tatqa_questions(data), min(limit or TATQA, TATQA), seed)
    return {
        "squad": measure_set("squad", data, out, squad, scoped=False, seed=seed),
        "tatqa": measure_set("tatqa", data, out, tatqa, scoped=True, seed=seed),
    }


def measure_set(
    name: str, data: Path, out: Path, questions: Sequence[Question], *, scoped: bool, seed: int
) -> dict[str, Any]:
    """The figures of one set; the single answers are kept beside the workspaces, for reading."""
    with ready(name, data / name / "documents.jsonl.gz", out) as agent:
        tools = frozenset(tool.name for tool in agent.toolbox.tools)
        model = agent.status()["small_model"]
        scored = []
        with bar(f"asking {name}", len(questions)) as advance:
            for done, question in enumerate(questions, 1):
                scored.append(asked(agent, question, scoped))
                advance(done, None)
    lines = (json.dumps(shown(s), ensure_ascii=False) for s in scored)
    write_atomically(folder(out) / f"{name}-answers.jsonl", "\n".join(lines) + "\n")
    return {"small_model": model["name"], **summary(scored, tools, seed)}


def asked(agent: Agent, question: Question, scoped: bool) -> Scored:
    """One question, scored. What the agent refuses with an error counts as failed."""
    began = time.perf_counter()
    answer: Answer | None
    try:
        answer = agent.ask(question.text, document=question.document if scoped else None)
    except UnderstudyError:
        answer = None
    return score_answer(question, answer, time.perf_counter() - began)


def shown(scored: Scored) -> dict[str, Any]:
    """One answer as a line for people who look for errors."""
    return {
        "id": scored.question.id,
        "question": scored.question.text,
        "document": scored.question.document,
        "gold": scored.question.answers,
        "kind": scored.question.kind,
        "route": scored.route,
        "text": scored.answer.text if scored.answer else None,
        "reason": scored.answer.reason if scored.answer else None,
        "exact": scored.exact,
        "f1": round(scored.f1, 4),
        "seconds": round(scored.seconds, 3),
        "steps": [s.model_dump() for s in scored.answer.steps] if scored.answer else [],
        "cited": [c.document for c in scored.answer.citations] if scored.answer else [],
    }
