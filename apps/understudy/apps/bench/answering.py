"""Suite `agent`: the whole agent, without experts, on `squad` and `tatqa`. Other suites ask by its means."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from understudy.agents import Agent
from understudy.apps.bench.data import Question, sample, squad_questions, tatqa_questions
from understudy.apps.bench.scoring import Scored, cites_evidence, score_answer, summary
from understudy.apps.bench.workspaces import bar, folder, ready
from understudy.core.errors import UnderstudyError
from understudy.core.types import Answer, Scope
from understudy.core.workspace import write_atomically

__all__ = ["Ask", "ask_agent", "ask_all", "keep", "measure_agent"]

Ask = Callable[[Agent, str, Scope], Answer]
"""A way to answer a question with the parts of an agent."""
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
        scored = ask_all(agent, questions, scoped=scoped, label=f"asking {name}")
    keep(scored, out, name)
    return {"small_model": model["name"], **summary(scored, tools, seed)}


def ask_agent(agent: Agent, question: str, scope: Scope) -> Answer:
    """The whole agent's answer."""
    return agent.ask(question, collection=scope.collection, document=scope.document)


def ask_all(
    agent: Agent, questions: Sequence[Question], *, scoped: bool, label: str, ask: Ask = ask_agent
) -> list[Scored]:
    """Questions asked one by one and scored, each of its own document if `scoped`."""
    scored = []
    with bar(label, len(questions)) as advance:
        for done, question in enumerate(questions, 1):
            scope = Scope(document=question.document if scoped else None)
            scored.append(asked(agent, question, scope, ask))
            advance(done, None)
    return scored


def asked(agent: Agent, question: Question, scope: Scope, ask: Ask) -> Scored:
    """One question, scored. What is refused with an error counts as failed."""
    began = time.perf_counter()
    answer: Answer | None
    try:
        answer = ask(agent, question.text, scope)
    except UnderstudyError:
        answer = None
    return score_answer(question, answer, time.perf_counter() - began)


def keep(scored: Sequence[Scored], out: Path, name: str) -> None:
    """Write single answers beside the workspaces, one a line."""
    lines = (json.dumps(shown(s), ensure_ascii=False) for s in scored)
    write_atomically(folder(out) / f"{name}-answers.jsonl", "\n".join(lines) + "\n")


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
        "confidence": round(scored.confidence, 4),
        "exact": scored.exact,
        "f1": round(scored.f1, 4),
        "evidence_cited": cites_evidence(scored.question, scored.answer),
        "seconds": round(scored.seconds, 3),
        "steps": [s.model_dump() for s in scored.answer.steps] if scored.answer else [],
        "cited": [c.document for c in scored.answer.citations] if scored.answer else [],
    }
