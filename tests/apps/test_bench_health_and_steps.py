"""Suites `health` and `steps`: which questions are asked, and how answers and steps are counted."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from langchain_core.tools import BaseTool

from understudy.apps.bench import SUITES
from understudy.apps.bench.data import Question, medquad_documents, medquad_questions, pubmedqa_questions
from understudy.apps.bench.health import commonest_label, verdict
from understudy.apps.bench.scoring import Scored, repeats
from understudy.apps.bench.stepping import drawn, is_valid, reached_limit, step_figures, walk_of
from understudy.core.fakes import FakeRetriever
from understudy.core.types import Answer, Citation, StepRecord
from understudy.tools.toolbox import LocalToolBox


def question(answers: tuple[str, ...], kind: str = "", id: str = "q") -> Question:
    return Question(id, "What?", "d", answers, bool(answers), kind)


def answer(text: str, *cited: Citation, route: str = "local", confidence: float = 0.9, **fields: object) -> Answer:
    return Answer.model_validate(
        {"question": "What?", "text": text, "route": route, "reason": "", "confidence": confidence, "thread": "t"}
        | {"citations": cited}
        | fields
    )


def step(kind: str, **fields: object) -> StepRecord:
    return StepRecord.model_validate({"kind": kind, "seconds": 0.1} | fields)


def write(path: Path, records: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(r) + "\n" for r in records)


def record(id: str, document: str, *answers: str, **meta: object) -> dict[str, object]:
    return {
        "id": id, "question": f"Why {id}?", "answers": answers, "doc_ids": [document], "answerable": bool(answers),
        "meta": meta,
    }  # fmt: skip


def test_only_measured_health_documents_are_asked(tmp_path: Path) -> None:
    # md5("a") = 0cc1…, md5("b") = 92eb…, md5("c") = 4a8a…
    write(tmp_path / "medquad" / "documents.jsonl.gz", [{"id": i, "title": i, "text": i} for i in "abc"])
    write(tmp_path / "medquad" / "questions.all.jsonl.gz", [record(f"{i}#0", i, "long") for i in "abc"])
    write(tmp_path / "pubmedqa" / "questions.test.jsonl.gz", [record("p", "x", "yes", answer_type="yes/no/maybe")])
    assert [d["id"] for d in medquad_documents(tmp_path)] == ["a"]
    assert [q.id for q in medquad_questions(tmp_path)] == ["a#0"]
    assert [(q.answers, q.kind) for q in pubmedqa_questions(tmp_path)] == [(("yes",), "yes/no/maybe")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes.", "yes"),
        ("“No”, it does not", "no"),
        ("MAYBE", "maybe"),
        ("None", None),
        ("It may be; yes", None),
        ("", None),
    ],
)
def test_a_verdict_begins_the_answer(text: str, said: str | None) -> None:
    assert verdict(answer(text)) == said


def test_declining_is_no_verdict() -> None:
    assert verdict(answer("No such thing was found", route="declined")) is None
    assert verdict(None) is None


def test_the_commonest_label_of_equals_is_the_first() -> None:
    asked = [question((label,)) for label in ("yes", "no", "maybe", "no", "yes")]
    assert commonest_label(asked) == "no"
    assert commonest_label([]) == ""


@pytest.fixture
def tools() -> tuple[BaseTool, ...]:
    return LocalToolBox(FakeRetriever(), None, lambda collection, documents: []).tools


def test_steps_are_valid_when_their_models_take_them(tools: tuple[BaseTool, ...]) -> None:
    assert is_valid(step("search", query="q", passages=4), tools)
    assert is_valid(step("lookup", row="r", column="c", result="5"), tools)
    assert is_valid(step("answer"), tools)
    assert is_valid(step("consult", reason="unsure"), tools)
    assert is_valid(step("decline", reason="not_in_documents"), tools)
    assert not is_valid(step("search", query=""), tools)
    assert not is_valid(step("search", query="q", more=1), tools)
    assert not is_valid(step("lookup", row="r"), tools)
    assert not is_valid(step("consult", reason="tired"), tools)
    assert not is_valid(step("sing"), tools)


def test_walks_worked_by_hand(tools: tuple[BaseTool, ...]) -> None:
    search, again = step("search", query="q", passages=4), step("search", query="q", passages=0)
    assert repeats([search, again, step("answer")]) == 1
    short = answer("x", steps=[search, again, step("answer")])
    long = answer("x", steps=[search, step("lookup", row="r"), step("consult", reason="unsure")])
    asked = question(("x",))
    scored = [
        Scored(asked, short, 1.0, 1.0, 1.0),
        Scored(asked, long, 1.0, 1.0, 2.0),
        Scored(asked, None, 0.0, 0.0, 3.0),
    ]
    assert [reached_limit(short, n) for n in (3, 4)] == [True, False]
    assert reached_limit(answer("", reason="the small model took another search when it had to end"), 9)
    found = step_figures([walk_of(s, tools, 4) for s in scored])
    assert (found["questions"], found["steps"], found["valid_steps"]) == (3, 7, 5)
    assert found["valid_share"] == 0.7142
    assert (found["ended_before_limit"], found["ended_before_limit_share"]) == (2, 0.6666)
    assert (found["repeated_steps"], found["questions_with_repeats"]) == (1, 1)
    assert found["kinds"] == {"answer": 1, "consult": 1, "failed": 1, "lookup": 1, "search": 3}
    assert found["seconds_p50"] == 2.0


def test_a_sample_of_all_sets_is_given_as_its_parts() -> None:
    sets = {n: [Question(f"{n}{i}", "?", "d", ("x",), True) for i in range(20)] for n in ("a", "b", "c")}
    parts = drawn(sets, 30, 17)
    assert sum(map(len, parts.values())) == 30
    assert all(q.id.startswith(name) for name, questions in parts.items() for q in questions)
    assert parts == drawn(sets, 30, 17)
    assert len(drawn(sets, 1, 17)) == 1


@pytest.mark.data
def test_there_are_2000_questions_to_step_through(real_data: Path) -> None:
    from understudy.apps.bench.data import squad_questions, tatqa_questions

    asked = [*squad_questions(real_data), *tatqa_questions(real_data), *pubmedqa_questions(real_data)]
    assert len({q.id for q in asked}) == len(asked) >= 2000


def test_the_help_names_every_suite() -> None:
    from typer.testing import CliRunner

    from understudy.apps.cli import app

    shown = CliRunner().invoke(app, ["bench", "--help"]).output
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    assert all(name in shown for name in SUITES)
    assert all(f"-{name}" in makefile for name in SUITES)
