"""The model card that lies beside trained weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

__all__ = ["write_card"]

DATA = {
    "reader": (
        ("SQuAD 1.1 and 2.0: all of train, of dev the training side", "CC BY-SA 4.0"),
        ("TAT-QA dev", "CC BY 4.0"),
        ("clozes over these, MedQuAD (training side), PubMedQA train, FinQA train and dev",
         "CC BY 4.0 (MedQuAD), MIT (PubMedQA, FinQA)"),
    ),
    "planner": (
        ("tables and questions of this project's generators", "Apache-2.0"),
        ("SQuAD: questions on the articles kept from the reader", "CC BY-SA 4.0"),
        ("TAT-QA dev, FinQA train and dev: questions with their derivations, row labels", "CC BY 4.0, MIT"),
    ),
}  # fmt: skip
USE = {
    "reader": "Finds spans of passages that may answer a question, with the probability that they do.",
    "planner": "Decides Understudy's next step from scores and values that it is shown. It reads no passage, writes no "
    "sentence, and is of no use outside Understudy.",
}


def write_card(
    path: Path, model: str, weights: Path, recipe: Mapping[str, object], scores: Mapping[str, object]
) -> None:
    """Write a card: what it is for, data and licences, recipe, size, scores on what was kept apart."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
    lines = [
        f"# understudy-starter {model}", "", USE[model], "",
        f"- file: `{weights.name}`, {weights.stat().st_size:,} bytes, sha256 `{digest}…`",
        "- licence: Apache-2.0; data:", *(f"  - {what} ({licence})" for what, licence in DATA[model]), "",
        "Scores on training-side data that was kept from it (what it is measured by stands in `docs/results/`):", "",
        "| score | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in scores.items()), "",
        "| recipe | |", "|---|---|", *(f"| {name} | {value} |" for name, value in recipe.items()), "",
    ]  # fmt: skip
    path.write_text("\n".join(lines), encoding="utf-8")
