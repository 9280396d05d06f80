"""Suite `retrieval`: where the gold document stands, for dense, lexical and fused ranking."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, get_args

from understudy.agents import Agent
from understudy.apps.bench.data import Question, sample, squad_questions
from understudy.apps.bench.workspaces import bar, ready
from understudy.apps.metrics import interval, quantile, reciprocal_rank
from understudy.core.types import Scope
from understudy.retrieval.ranking import Mode

__all__ = ["DEPTH", "measure_retrieval", "rank_of"]

DEPTH = 50
"""Passages asked for; a gold document further down counts as not found."""
QUESTIONS = 500


def rank_of(document: str, found: list[str]) -> int | None:
    """Where a document's first passage stands, counted from 1."""
    return found.index(document) + 1 if document in found else None


def measure_retrieval(data: Path, out: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Recall@5 and MRR on answerable `squad` questions of measured articles, the whole collection ingested."""
    answerable = [q for q in squad_questions(data) if q.answerable]
    questions = sample(answerable, limit or QUESTIONS, seed)
    figures: dict[str, Any] = {}
    with ready("squad", data / "squad" / "documents.jsonl.gz", out) as agent:
        figures["documents"] = agent.status()["collections"]["default"].get("documents")
        for mode in get_args(Mode):
            figures[mode] = measure_mode(agent, questions, mode, seed)
    return figures


def measure_mode(agent: Agent, questions: list[Question], mode: Mode, seed: int) -> dict[str, Any]:
    """The figures of one way to rank."""
    ranks: list[int | None] = []
    seconds: list[float] = []
    with bar(f"ranking, {mode}", len(questions)) as advance:
        for done, question in enumerate(questions, 1):
            began = time.perf_counter()
            found = agent.retriever.search(question.text, Scope(), limit=DEPTH, mode=mode)
            seconds.append(time.perf_counter() - began)
            ranks.append(rank_of(question.document, [p.document for p in found]))
            advance(done, None)
    return {
        "recall_at_1": interval([float(r == 1) for r in ranks], seed),
        "recall_at_5": interval([float(r is not None and r <= 5) for r in ranks], seed),
        "mrr": interval([reciprocal_rank(r) for r in ranks], seed),
        "seconds_p50": round(quantile(seconds, 0.5), 4),
        "seconds_p95": round(quantile(seconds, 0.95), 4),
    }
