"""One prefix for the questions of a document."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import tiny_model, tiny_settings

from understudy.agents import Agent
from understudy.agents.batch.prefix import Found, evidence_of, grouped
from understudy.core.jobs import Query
from understudy.core.settings import DeferralSettings, Settings
from understudy.core.types import Answer, Finding, Observation, Passage
from understudy.retrieval.hybrid import HybridRetriever

QUESTIONS = (
    "When does the ferry leave?",
    "Who is the harbour master?",
    "What is sold at the quay?",
    "Where is the inn?",
)
DOCUMENT = """# Harbour

The night ferry leaves the harbour at 22:40 from the eastern quay.

The harbour master is Ms Ingrid Falk, who lives at 9 Quay Street.

Herring and lamps are sold at the quay on Tuesdays.

The inn stands behind the customs house.
"""


def passage(number: int, score: float = 0.5) -> Passage:
    return Passage(
        document="d",
        title="T",
        version="v",
        location="",
        start=number * 10,
        end=number * 10 + 9,
        text="x" * 9,
        score=score,
    )


def found(*numbers: int) -> Found:
    passages = tuple(map(passage, numbers))
    finding = Finding(text="x", score=0.5, origin="reader", passage=len(numbers) - 1, start=1, end=2)
    return Found("why?", Observation(passages=passages, findings=(finding,)))


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=5, unique=True), min_size=1, max_size=12),
    st.integers(1, 20),
)
def test_every_question_is_shown_its_own_passages_and_no_prefix_is_too_long(asked: list[list[int]], most: int) -> None:
    searches = {n: found(*numbers) for n, numbers in enumerate(asked)}

    def fits(_questions: Sequence[Found], passages: Sequence[Passage]) -> bool:
        return len(passages) <= most

    shown = grouped(searches, fits)
    assert set(shown) == {n for n, numbers in enumerate(asked) if len(numbers) <= most}
    for number, passages in shown.items():
        places = [p.start for p in passages]
        assert places == sorted(set(places))
        assert {10 * n for n in asked[number]} <= set(places)
        assert len(passages) <= most
    if len({n for numbers in asked for n in numbers}) <= most:
        assert len({tuple(p.start for p in passages) for passages in shown.values()}) == 1, "all fit together"


def test_a_question_keeps_its_own_scores_and_findings() -> None:
    seen = found(3, 1)
    evidence = evidence_of(seen.seen, [passage(1, 0.0), passage(2, 0.0), passage(3, 0.0)])
    assert [p.score for p in evidence.passages] == [0.5, 0.0, 0.5]
    assert [f.passage for f in evidence.findings] == [0], "the finding is in the passage that stood last"


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("writer") / "tiny.gguf")


def count_searches(patched: pytest.MonkeyPatch) -> list[str]:
    searched: list[str] = []
    search = HybridRetriever.search

    def counted(retriever: HybridRetriever, query: str, *given: Any, **more: Any) -> list[Passage]:
        searched.append(query)
        return search(retriever, query, *given, **more)

    patched.setattr(HybridRetriever, "search", counted)
    return searched


def test_a_documents_evidence_is_read_once(tmp_path: Path, writer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harbour.md").write_text(DOCUMENT)
    fixed = Settings(small_model=tiny_settings(writer), deferral=DeferralSettings(min_confidence=0.0, audit_rate=0.0))
    with Agent.open(tmp_path / "w", settings=fixed) as agent:
        agent.ingest([tmp_path / "harbour.md"])
        asked = [Query(question=question, document="harbour.md") for question in QUESTIONS]
        searched = count_searches(monkeypatch)
        together = asyncio.run(agent.abatch(asked))
    assert len(searched) == len(QUESTIONS), "each is searched for once"
    small = [answer.tokens.small for answer in together]
    assert sorted(side.reused > 2 * side.evaluated for side in small) == [False, True, True, True], "one has read it"
    for answer in together:
        assert answer.steps[0].kind == "search"
        for citation in answer.citations:
            assert citation.kind == "absence" or DOCUMENT[citation.start : citation.end] == citation.quote


def test_a_question_that_cannot_be_asked_takes_no_other_with_it(tmp_path: Path, writer: Path) -> None:
    for name in ("harbour.md", "quay.md"):
        (tmp_path / name).write_text(DOCUMENT)
    fixed = Settings(small_model=tiny_settings(writer), deferral=DeferralSettings(min_confidence=0.0, audit_rate=0.0))
    asked = [Query(question=question, document="harbour.md") for question in (*QUESTIONS[:2], "  ", "a\x00b")]
    asked += [Query(question=QUESTIONS[0], document="quay.md"), Query(question=QUESTIONS[2], document="harbour.md")]
    with Agent.open(tmp_path / "w", settings=fixed) as agent:
        agent.ingest([tmp_path / "harbour.md", tmp_path / "quay.md"])
        found = asyncio.run(agent.abatch(asked, return_exceptions=True))
    assert [isinstance(answer, Answer) for answer in found] == [True, True, False, False, True, True]
