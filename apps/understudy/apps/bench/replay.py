"""Real large models as experts: `financebench` has their answers, judged by people, wrong ones and refusals too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.apps.bench.curves import areas
from understudy.apps.bench.data import Question, question_of
from understudy.apps.bench.workspaces import folder
from understudy.apps.folder import read_lines
from understudy.core.workspace import write_atomically

__all__ = ["EXPERTS", "asked_pages", "financebench_questions", "replayed", "verdicts"]

Floats = NDArray[np.float64]
EXPERTS = ("gpt-4-1106-preview_oracle", "claude-2_inContext_reverse", "llama2_singleStore")
"""One of each maker: the first was given the right pages, the second the whole report, the third a search in it."""


def financebench_questions(data: Path) -> list[Question]:
    """Analysts' questions, each on the page that holds its evidence."""
    return [question_of(r) for r in read_lines(data / "financebench" / "questions.open.jsonl.gz")]


def asked_pages(data: Path, out: Path) -> Path:
    """A file of the pages alone that are asked about: reading all ten thousand would take an hour."""
    asked = {q.document for q in financebench_questions(data)}
    pages = (d for d in read_lines(data / "financebench" / "documents.jsonl.gz") if d["id"] in asked)
    path = folder(out) / "financebench-pages.jsonl"
    write_atomically(path, "".join(json.dumps(page) + "\n" for page in pages))
    return path


def verdicts(data: Path) -> dict[str, dict[str, bool]]:
    """By question, which expert's answer people judged correct."""
    return {
        str(r["id"]): {name: r["meta"]["model_results"][name]["label"] == "Correct Answer" for name in EXPERTS}
        for r in read_lines(data / "financebench" / "questions.open.jsonl.gz")
    }


def replayed(
    questions: Sequence[str],
    groups: Sequence[str],
    scores: Mapping[str, Floats],
    local: Floats,
    judged: Mapping[str, Mapping[str, bool]],
    estimate: Callable[[Floats], Mapping[str, Any]],
    seed: int,
) -> list[dict[str, Any]]:
    """Every strategy beside every expert.

    Args:
        questions: their ids.
        groups: what answers cluster by.
        scores: of the strategies, ours first.
        local: quality of the local answers, 0 or 1.
        judged: see `verdicts`.
        estimate: a mean with its interval.
        seed: of the resampling.
    """
    rows = []
    for name in EXPERTS:
        expert = np.array([float(judged[q][name]) for q in questions])
        found = areas(scores, local, expert, groups, seed)
        rows.append({"expert": f"{name} (replayed)", "always_local": estimate(local), "always_expert": estimate(expert),
                     "best_of_both": estimate(np.maximum(local, expert)), **found})  # fmt: skip
    return rows
