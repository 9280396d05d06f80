"""Suite `health`: patients' questions over `medquad`, and yes/no/maybe questions on abstracts of `pubmedqa`."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from understudy.apps.bench.answering import ask_all, keep
from understudy.apps.bench.data import Question, medquad_documents, medquad_questions, pubmedqa_questions, sample
from understudy.apps.bench.scoring import Scored, cites
from understudy.apps.bench.workspaces import folder, ready
from understudy.apps.metrics import interval, quantile
from understudy.core.types import Answer, Scope

__all__ = ["commonest_label", "measure_health", "verdict"]

QUESTIONS = 150
DEPTH = 5
VERDICT = re.compile(r"\W*(yes|no|maybe)\b", re.IGNORECASE)


def measure_health(data: Path, out: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Whether the right document is cited, and how often a yes, no or maybe is right."""
    size = min(limit or QUESTIONS, QUESTIONS)
    return {"medquad": measure_medquad(data, out, size, seed), "pubmedqa": measure_pubmedqa(data, out, size, seed)}


def measure_medquad(data: Path, out: Path, size: int, seed: int) -> dict[str, Any]:
    """Over all measured documents. Another page on the same illness may answer too, and counts as wrong."""
    questions = sample(medquad_questions(data), size, seed)
    documents = medquad_documents(data)
    source = folder(out) / "medquad-measured.jsonl.gz"
    with gzip.open(source, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(d, ensure_ascii=False) + "\n" for d in documents)
    with ready("medquad", source, out) as agent:
        scored = ask_all(agent, questions, scoped=False, label="asking medquad")
        found = [agent.retriever.search(q.text, Scope(), limit=DEPTH) for q in questions]
    keep(scored, out, "medquad")
    retrieved = [q.document in {p.document for p in f} for q, f in zip(questions, found, strict=True)]
    return {
        "documents": len(documents),
        **citing_figures(scored, seed),
        "right_document_in_top_5": interval([float(r) for r in retrieved], seed),
    }


def measure_pubmedqa(data: Path, out: Path, size: int, seed: int) -> dict[str, Any]:
    """Each question in its own abstract, beside the rule that always says what is commonest in `train`."""
    questions = sample(pubmedqa_questions(data), size, seed)
    label = commonest_label(pubmedqa_questions(data, "train"))
    with ready("pubmedqa", data / "pubmedqa" / "documents.jsonl.gz", out) as agent:
        scored = ask_all(agent, questions, scoped=True, label="asking pubmedqa")
    keep(scored, out, "pubmedqa")
    said = [verdict(s.answer) for s in scored]
    return {
        **citing_figures(scored, seed),
        "verdict_given": interval([float(v is not None) for v in said], seed),
        "verdict_accuracy": interval([float(v in q.answers) for q, v in zip(questions, said, strict=True)], seed),
        "commonest_label": label,
        "commonest_label_accuracy": interval([float(label in q.answers) for q in questions], seed),
    }


def citing_figures(scored: Sequence[Scored], seed: int) -> dict[str, Any]:
    """Routes, the share of questions whose answer quotes the right document (no declined one does), and seconds."""
    return {
        "questions": len(scored),
        "routes": dict(sorted(Counter(s.route for s in scored).items())),
        "right_document_cited": interval([float(cites(s.answer, s.question.document)) for s in scored], seed),
        "seconds_p50": round(quantile([s.seconds for s in scored if s.answer], 0.5), 3),
    }


def verdict(answer: Answer | None) -> str | None:
    """The yes, no or maybe that an answer begins with; declining is none."""
    if answer is None or answer.route == "declined":
        return None
    match = VERDICT.match(answer.text)
    return match[1].lower() if match else None


def commonest_label(questions: Sequence[Question]) -> str:
    """The answer that most questions have; of equals, the first in the alphabet."""
    counts = Counter(answer for q in questions for answer in q.answers)
    return min(counts, key=lambda label: (-counts[label], label), default="")
