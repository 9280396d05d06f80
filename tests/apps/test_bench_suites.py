"""Suites: which questions are drawn, how answers are scored, and what is written."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path

import pytest

from understudy.apps.bench import run
from understudy.apps.bench.code import functions
from understudy.apps.bench.data import Question, sample, squad_questions
from understudy.apps.bench.scoring import score_answer, summary
from understudy.apps.folder import may_train
from understudy.core.errors import DocumentError, UserError
from understudy.core.types import Answer, StepRecord
from understudy.core.usage import SmallTokens, Tokens


def question(answers: tuple[str, ...], kind: str = "") -> Question:
    return Question("q", "What?", "d", answers, bool(answers), kind)


def answer(text: str, route: str = "local", reason: str = "confidence 0.9 is enough", **fields: object) -> Answer:
    return Answer.model_validate(
        {"question": "What?", "text": text, "route": route, "reason": reason, "confidence": 0.9, "thread": "t"} | fields
    )


def write(path: Path, records: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(r) + "\n" for r in records)


def test_measured_is_a_quarter_by_md5() -> None:
    # md5("a") = 0cc1…, md5("b") = 92eb…, md5("c") = 4a8a…
    assert [may_train(t) for t in "abc"] == [False, True, True]


def test_only_measured_articles_are_asked(tmp_path: Path) -> None:
    write(tmp_path / "squad" / "documents.jsonl.gz", [{"id": t, "title": t, "text": t} for t in "abc"])
    records: list[dict[str, object]] = [
        {"id": t, "question": "?", "doc_ids": [t], "answers": ["x"], "answerable": t != "b", "meta": {}} for t in "abc"
    ]
    write(tmp_path / "squad" / "questions.dev.jsonl.gz", records)
    assert [q.id for q in squad_questions(tmp_path)] == ["a"]


def test_sample_is_seeded_and_ignores_the_order() -> None:
    questions = [Question(str(i), "?", "d", ("x",), True) for i in range(50)]
    drawn = sample(questions, 10, 17)
    assert drawn == sample(questions[::-1], 10, 17)
    assert drawn != sample(questions, 10, 18)
    assert len({q.id for q in drawn}) == 10
    assert len(sample(questions, 99, 17)) == 50


def test_declining_is_right_where_there_is_no_answer() -> None:
    declined = answer("I could not find it.", "declined")
    assert score_answer(question(()), declined, 1.0).exact == 1.0
    assert score_answer(question(("x",)), declined, 1.0).exact == 0.0
    assert score_answer(question(()), answer("x"), 1.0).f1 == 0.0


def test_numbers_need_their_sign_where_gold_is_a_number() -> None:
    gold = ("-5.14", "-5.14%")
    assert score_answer(question(gold, "arithmetic"), answer("5.14%"), 1.0).f1 == 0.0
    assert score_answer(question(gold, "arithmetic"), answer("(5.14)%"), 1.0).exact == 1.0


def test_summary_worked_by_hand() -> None:
    search = StepRecord.model_validate({"kind": "search", "query": "q", "passages": 4, "seconds": 0.2})
    again = StepRecord.model_validate({"kind": "search", "query": "q", "passages": 0, "seconds": 0.1})
    end = StepRecord.model_validate({"kind": "answer", "seconds": 0.3})
    tokens = Tokens(small=SmallTokens(evaluated=25, reused=75, forced=60, generated=40))
    right = answer("x", steps=[search, again, end], tokens=tokens)
    deferred = answer("y", reason="confidence 0.20 is too low; no expert is configured", steps=[search, end])
    scored = [
        score_answer(question(("x",)), right, 1.0),
        score_answer(question(("x",)), deferred, 1.0),
        score_answer(question(("x",)), None, 9.0),
    ]
    found = summary(scored, frozenset({"search"}), 17)
    assert found["routes"] == {"failed": 1, "local": 1, "local_deferred": 1}
    assert found["accepted_local"]["exact_match"]["value"] == 1.0
    assert found["quality"]["all"]["exact_match"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["steps"]["valid_share"] == 0.8
    assert found["cost"]["outside_llama_share"] == pytest.approx(1 - 1.1 / 2)
    assert found["cost"]["prompt_reused_share"] == 0.75
    assert found["cost"]["written_forced_share"] == 0.6


def test_functions_are_counted_whole() -> None:
    source = "def a():\n    def b():\n        pass\n    return b\n\nclass C:\n    async def d(self):\n        pass\n"
    assert dict(functions(source)) == {"a": 4, "b": 2, "d": 2}


def test_code_writes_its_result(tmp_path: Path) -> None:
    out = tmp_path / "results"
    result = run("code", tmp_path, out, None, 17)
    assert result["figures"]["all"]["file"]["count"] > 20
    assert result["figures"]["all"]["function"]["max"] >= result["figures"]["all"]["function"]["median"] > 0
    assert {"suite", "version", "date", "machine", "seed", "settings", "figures"} == set(result)
    assert json.loads((out / "code.json").read_text()) == result
    assert "| all · file · median |" in (out / "code.md").read_text()
    assert stat.S_IMODE((out / "code.json").stat().st_mode) & 0o077 == 0


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no suite 'speed'"):
        run("speed", tmp_path, tmp_path, None, 17)
    with pytest.raises(UserError, match="below 1"):
        run("code", tmp_path, tmp_path, 0, 17)
    with pytest.raises(DocumentError, match="no such file; give the folder of the data sets by --data"):
        run("retrieval", tmp_path / "absent", tmp_path, None, 17)
    with pytest.raises(DocumentError, match="no such file"):
        run("ingest", tmp_path / "absent", tmp_path, None, 17)
