"""Routing by the question alone, on `routellm`: which of a small and a large model was right on 7,615 questions."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.apps.bench.curves import saved_at
from understudy.apps.bench.workspaces import bar
from understudy.apps.folder import read_lines
from understudy.apps.metrics import auroc
from understudy.retrieval.embed import MiniLM

__all__ = ["measure_routing"]

NEIGHBOURS = 40
Floats = NDArray[np.float64]


def measure_routing(data: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """AUROC of "the small model is right", and calls of the large model that close 50% and 80% of the gap.

    Half of the questions (by a hash of their id) are learned from, the other half is measured.
    """
    records = [r for s in ("mmlu", "gsm8k") for r in read_lines(data / "routellm" / f"questions.{s}.jsonl.gz")]
    records = sorted(records, key=lambda r: hashlib.sha256(str(r["id"]).encode()).digest())[: limit or None]
    vectors = embedded([r["question"] for r in records])
    small = np.array([float(r["meta"]["correct"]["small"]) for r in records])
    large = np.array([float(r["meta"]["correct"]["large"]) for r in records])
    half = len(records) // 2
    scores = {
        "logistic_on_embeddings": logistic(vectors[:half], small[:half], vectors[half:]),
        "nearest_neighbours": neighbours(vectors[:half], small[:half], vectors[half:]),
        "random": np.random.default_rng(seed).random(len(records) - half),
    }
    local, expert = small[half:], large[half:]
    rows = [
        {
            "router": name,
            "auroc": auroc(score[local == 1].tolist(), score[local == 0].tolist(), seed),
            "calls_for_half_of_the_gap": round(saved_at(score, local, expert, 0.5), 4),
            "calls_for_80_percent_of_the_gap": round(saved_at(score, local, expert, 0.8), 4),
        }
        for name, score in scores.items()
    ]
    return {
        "questions_measured": len(local),
        "small_right": round(float(local.mean()), 4),
        "large_right": round(float(expert.mean()), 4),
        "routers": rows,
    }


def embedded(texts: list[str]) -> Floats:
    """Unit vectors `[texts, 384]`."""
    encoder, rows = MiniLM(), []
    with bar("embedding routellm", len(texts)) as advance:
        for at in range(0, len(texts), 64):
            rows += encoder.embed_documents(texts[at : at + 64])
            advance(len(rows), None)
    return np.array(rows, dtype=np.float64)


def logistic(known: Floats, right: Floats, asked: Floats) -> Floats:
    """Probability that the small model is right, by a logistic regression on the question's vector."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    model = LogisticRegression(C=1.0, max_iter=2000).fit(known, right)
    return np.asarray(model.predict_proba(asked)[:, 1], dtype=np.float64)


def neighbours(known: Floats, right: Floats, asked: Floats) -> Floats:
    """The share of the nearest known questions that the small model got right, weighted by cosine."""
    near = asked @ known.T
    count = min(NEIGHBOURS, len(known))
    nearest = np.argpartition(-near, count - 1, axis=1)[:, :count]
    weight = np.clip(np.take_along_axis(near, nearest, axis=1), 1e-3, None)
    return np.asarray((weight * right[nearest]).sum(axis=1) / weight.sum(axis=1), dtype=np.float64)
