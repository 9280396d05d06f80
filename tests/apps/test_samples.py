"""The sample documents load, and what was recorded about them stands in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from understudy.agents import Agent
from understudy.apps.demo import SAMPLES, Outcome, correctness
from understudy.core.types import Answer, Scope


def questions() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((SAMPLES / "questions.json").read_text(encoding="utf-8"))
    return found


def recordings() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / "recorded-answers.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    with Agent.open(tmp_path_factory.mktemp("samples")) as agent:
        report = agent.ingest([SAMPLES / "documents"])
        assert (report.added, report.failed) == (4, [])
        names = [p.name for p in (SAMPLES / "documents").iterdir()]
        found = {n: agent.retriever.search("the", Scope(document=n), limit=50) for n in names}
    return {n: "\n".join(p.text for p in passages) for n, passages in found.items()}


def test_questions_are_well_formed() -> None:
    asked = questions()
    assert len(asked) == 12
    assert all(set(q) - {"thread"} == {"kind", "question", "expected"} for q in asked)
    kinds = [q["kind"] for q in asked]
    assert kinds.count("unanswerable") == 2
    assert kinds.count("follow-up") == 2
    assert all(q["thread"] == "profit" for q in asked if q["kind"] == "follow-up")
    assert {q["question"] for q in asked} >= {r["question"] for r in recordings()}


def test_recorded_quotes_are_verbatim(texts: dict[str, str]) -> None:
    for recording in recordings():
        for citation in recording.get("citations", []):
            assert citation["quote"] in texts[citation["document"]], recording["question"]


def test_recorded_answers_say_what_is_expected() -> None:
    expected = {q["question"]: q["expected"] for q in questions()}
    for recording in recordings():
        answer = Answer(
            question=recording["question"], text=recording["text"], route="expert", reason="", confidence=1, thread="t"
        )
        assert Outcome("", expected[recording["question"]], answer).right, recording["question"]


def test_the_experts_answers_are_not_counted_as_the_small_models() -> None:
    answer = Answer(question="q", text="1961", route="expert", reason="", confidence=1, thread="t")
    rows = dict(correctness([Outcome("look-up", "1961", answer)]))
    assert "answered nothing by itself" in rows["small model alone"]
    assert "not measured" in rows["recorded expert"]
