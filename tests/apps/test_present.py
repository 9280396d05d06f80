"""What people read in a terminal: the status of a workspace."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from understudy.agents.deferral.derive import Derivation
from understudy.apps.present import show_refinement, show_status

PROMISE = Derivation(
    small_model="starter@1", max_quality_loss=0.02, confidence=0.9, threshold=0.83, labels=400, tested=180,
    consults=0.7, derived="2026-11-25T10:00:00+00:00",
).model_dump(mode="json", exclude={"calibrator"})  # fmt: skip
EXPERT: dict[str, Any] = {
    "name": "gpt", "recorded": False, "reach": "cloud", "usd_per_mtok": [1.25, 10.0], "skills": ["finance"],
    "resting": False, "answers": [{"domain": "finance", "asked": 12, "usable": 11}],
}  # fmt: skip
RULE: dict[str, Any] = {
    "collection": "reports", "expert": "gpt", "sensitivity": "redacted", "reach": "cloud", "egress": "ask",
    "allows": "redacted", "asks": True, "overridden": False,
}  # fmt: skip


def shown(**changed: object) -> str:
    found = {
        "workspace": "/data/[mine]", "small_model": {"name": "starter@1", "profile": "pointing"}, "experts": [EXPERT],
        "deferral": PROMISE, "spent_this_month": {"usd": 0.0123, "calls": 12, "tokens": 4567}, "cached_answers": 3,
        "collections": {"reports": {"sensitivity": "redacted", "revision": 1, "documents": 7}}, "examples": 4,
        "example_store": {"database": "/data/[mine]/records.sqlite", "workspace": ""}, "policy": [RULE],
        "ner": None, "audit": {"records": 812, "head": "/keys/[mine].head", "trouble": None},
        "mcp": [],
    }  # fmt: skip
    console = Console(file=io.StringIO(), width=160)
    show_status(console, found | changed)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_everything_of_a_workspace_is_told() -> None:
    text = shown()
    for words in (
        "/data/[mine]", "starter@1, pointing", "3 answers of experts remembered, 4 examples", "$0.0123 in 12 calls",
        "reports", "redacted", "1.25, 10", "11 of 12 (finance)", "threshold 0.83", "0.02 at most, with 90% confidence",
        "about 70% of questions go to an expert", "evidence, identifiers replaced, if a person approves",
        "812 records; it ends as its head says, which is kept in /keys/[mine].head",
        "400 labels, 180 questions tested on; starter@1, 2026-11-25",
    ):  # fmt: skip
        assert words in text, words


def test_what_is_not_there_is_said() -> None:
    assert "no documents yet" in shown(collections={})
    assert "examples in" not in shown()
    assert "by the model" not in shown()
    assert "by word lists, and by the model in /models/[ner]" in shown(ner="/models/[ner]")
    shared = shown(example_store={"database": "postgresql+psycopg://ann:***@db/[kept]", "workspace": "legal"})
    assert "postgresql+psycopg://ann:***@db/[kept] as legal" in shared
    fixed = {"threshold": 0.5, "promise": None, "why": "deferral.min_confidence is set"}
    assert "nothing is promised: deferral.min_confidence is set (0.5)" in shown(deferral=fixed)
    down = EXPERT | {"resting": True, "recorded": True, "answers": [], "skills": []}
    text = shown(experts=[down])
    for words in ("recorded; left alone for a minute: it was down", "none yet", "any"):
        assert words in text


def test_what_became_of_the_small_model_is_told() -> None:
    run: dict[str, Any] = {"domain": "law", "version": "v1", "promoted": False, "reason": "too few", "rejected": {}}
    why = "peft is not installed; install it with: pip install 'understudy[refine]'"
    learned = {"rows": 40, "steps": 15, "before": 1.25, "after": 0.5}
    console = Console(file=io.StringIO(), width=160)
    trainings = ({"steps": 3, "small_model": {"left_out": why}}, {"small_model": learned}, {"steps": 3}, None)
    show_refinement(console, [{**run, "training": training} for training in trainings])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"the small model was not trained, the reader alone was: {why}" in text
    assert "40 transcripts, 15 steps, held-out loss 1.250 → 0.500" in text
    assert text.count("the small model") == 2
