"""Transcripts from gold: only steps that give the gold answer through the real tools; and the fit of the reader's score."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from understudy.apps.starter.calibrate_reader import RIGHT, UNANSWERABLE_SHARE, fitted, label
from understudy.apps.starter.corpus import Reading
from understudy.apps.starter.gold import best_run, gold_transcripts
from understudy.apps.starter.search import TrainingTools
from understudy.core.types import Message, Passage, Scope
from understudy.retrieval.confidence import SIGNALS, Confidence
from understudy.retrieval.onnx_models import READER_WEIGHTS
from understudy.retrieval.reader import SpanReader

BODY = "| Net sales | 440.0 | 400.0 |\n| Staff costs | 120.5 | 130.5 |"
TABLE = Passage(
    document="d", title="Report", version="v", location="", start=0, end=len(BODY), text=BODY,
    context="|  | 2019 | 2018 |\n| --- | --- | --- |", table=True, score=0.8,
)  # fmt: skip
PROSE = "The Halden works were founded by Ingrid Sorensen in 1961. They make pressure gauges."
TEXT = Passage(
    document="d", title="Report", version="v", location="", start=500, end=500 + len(PROSE), text=PROSE, score=0.6
)


class Searched:
    """A retriever that finds what it is told to, and knows no question."""

    def __init__(self, found: Callable[[Scope], list[Passage]]) -> None:
        self._found = found

    def search(self, query: str, scope: Scope, limit: int = 5) -> list[Passage]:
        return self._found(scope)

    def expect(self, question: str, scope: Scope) -> None:
        return None


class Index:
    """What transcripts and calibration need of a `TrainingIndex`."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.retriever = Searched(lambda scope: list(passages))

    def table_passages(self, collection: str, documents: Sequence[str]) -> list[Passage]:
        return [TABLE] if "d" in documents else []


def record(question: str, answer: str, kind: str, derivation: str = "") -> dict[str, Any]:
    return {
        "id": question, "question": question, "answers": [answer], "doc_ids": ["d"], "answerable": True,
        "meta": {"answer_type": kind, "derivation": derivation},
    }  # fmt: skip


def transcripts(tmp_path: Path, *records: dict[str, Any]) -> list[list[Message]]:
    """The transcripts of some questions, as if they were those of `tatqa` dev."""
    for name, lines in (("tatqa/questions.dev", records), ("finqa/questions.train", ()), ("finqa/questions.dev", ())):
        path = tmp_path / f"{name}.jsonl.gz"
        path.parent.mkdir(exist_ok=True)
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    tools = TrainingTools(Index([TABLE, TEXT]), READER_WEIGHTS)  # type: ignore[arg-type]
    return list(gold_transcripts(tmp_path, tools, 1, random.Random(1)))


def steps(transcript: list[Message]) -> list[dict[str, Any]]:
    return [json.loads(m.content) for m in transcript if m.role == "assistant"]


def test_a_derivation_becomes_look_ups_and_the_expression_that_gives_gold(tmp_path: Path) -> None:
    asked = "What was the percentage change in net sales from 2018 to 2019?"
    (made,) = transcripts(tmp_path, record(asked, "10%", "arithmetic", "(440.0 - 400.0) / 400.0"))
    search, first, second, calculate, answer = steps(made)
    assert search == {"kind": "search", "query": f" {asked}"}
    assert (first["row"], first["column"]) == (" net sales", " 2019")
    assert (second["row"], second["column"]) == (" net sales", " 2018")
    numbers = [line.split()[0] for m in made for line in m.content.split("\n") if " table " in line and line[0] == "f"]
    assert calculate["expression"] == "({0} - {1}) / {1} * 100".format(*numbers)
    assert f"f{answer['findings'][0]} " in made[-2].content
    assert "calculator 10" in made[-2].content


def test_a_cell_a_comparison_and_a_span_are_found_each_by_its_own_tool(tmp_path: Path) -> None:
    made = transcripts(
        tmp_path,
        record("What were staff costs in 2019?", "120.5", "span"),
        record("In which year were staff costs higher?", "2018", "span", "130.5 > 120.5"),
        record("Who founded the Halden works?", "Ingrid Sorensen", "span"),
    )
    assert [[s["kind"] for s in steps(t)] for t in made] == [
        ["search", "lookup", "answer"],
        ["search", "compare", "answer"],
        ["search", "answer"],
    ]
    assert steps(made[1])[1] == {"kind": "compare", "label": " staff costs", "by": " higher"}


def test_arithmetic_that_no_form_gives_is_left_out_and_teaches_no_consulting(tmp_path: Path) -> None:
    unlike = record("What was the change in net sales from 2018 to 2019?", "77", "arithmetic", "440.0 - 400.0")
    unknown = record("What was the change in profit from 2018 to 2019?", "5", "arithmetic", "12 - 7")
    assert transcripts(tmp_path, unlike, unknown) == []


@pytest.mark.parametrize(
    ("question", "name", "run"),
    [
        ("What was net sales in 2019?", "Net sales", "net sales"),
        ("What was net sales in 2019?", "2019", "2019"),
        ("How large was it?", "Net sales", ""),
    ],
)
def test_the_run_of_words_that_names_a_label(question: str, name: str, run: str) -> None:
    assert best_run(question, name)[0] == run


def test_spans_are_labelled_by_gold_and_unanswerable_questions_weighed_up() -> None:
    start = PROSE.index("Ingrid Sorensen")
    reading = Reading("Who founded the Halden works?", "Report", PROSE, start, start + len("Ingrid Sorensen"), "g")
    unanswerable = Reading("Who sold the Halden works?", "Report", PROSE, None, None, "g")
    zero = Confidence(np.zeros((2, len(SIGNALS) + 1), dtype=np.float32))
    labelled = label([reading] * 3 + [unanswerable], Index([TEXT]), SpanReader(threads=1, confidence=zero))  # type: ignore[arg-type]
    assert labelled.right == [True] * 3 + [False]
    assert labelled.answers == [True] * 3 + [False]
    assert labelled.weights[3] / sum(labelled.weights) == pytest.approx(UNANSWERABLE_SHARE)
    assert RIGHT > 0.5


def test_the_fit_gives_more_to_what_was_right() -> None:
    rng = np.random.default_rng(2)
    signals = rng.normal(size=(400, len(SIGNALS)))
    right = signals[:, 0] + 0.3 * rng.normal(size=400) > 0
    labelled = SimpleNamespace(signals=signals.tolist(), weights=[1.0] * 400)
    weights = fitted(labelled, right.tolist())  # type: ignore[arg-type]
    assert len(weights) == len(SIGNALS) + 1
    assert weights[0] > 3 * max(abs(w) for w in weights[1:-1])


def test_the_scope_of_a_search_is_its_document() -> None:
    seen: list[Scope] = []
    index = Index([TEXT])
    index.retriever = Searched(lambda scope: seen.append(scope) or [TEXT])
    tools = TrainingTools(index, READER_WEIGHTS)  # type: ignore[arg-type]
    tools.search("Who?", "Who?", "d")
    tools.search("Who?", "Who?")
    assert [s.document for s in seen] == ["d", None]
