"""Metrics on cases worked by hand, and the rule that keeps training articles out of measurements."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from understudy.apps.bench import run
from understudy.apps.bench.datasets import read, squad_questions
from understudy.apps.bench.metrics import exact_match, interval, numbers_equal, quantile, reciprocal_rank, token_f1
from understudy.apps.starter.corpus import squad_readings


def test_exact_match_and_f1() -> None:
    assert exact_match("The Eiffel Tower!", ["eiffel tower"]) == 1
    assert exact_match("Eiffel", ["eiffel tower"]) == 0
    assert token_f1("Eiffel", ["eiffel tower", "x"]) == pytest.approx(2 / 3)
    assert token_f1("green", ["blue"]) == 0
    assert (exact_match("", []), token_f1("", []), exact_match("x", [])) == (1, 1, 0)


@pytest.mark.parametrize(
    ("answer", "gold", "equal"),
    [
        ("$1,496.5", ["1496.5"], True),
        ("24.5", ["24.5 million"], False),
        ("24.5 million", ["24,500 thousand"], True),
        ("(12.6)", ["-12.6"], True),
        ("12.6", ["-12.6"], False),
        ("-22.22", ["-22.22%"], True),
        ("13.37", ["13.4"], True),
        ("none", ["1"], False),
    ],
)
def test_numbers(answer: str, gold: list[str], equal: bool) -> None:
    assert numbers_equal(answer, gold) is equal


def test_ranks_and_intervals() -> None:
    assert reciprocal_rank(["a", "b"], ["b"]) == 0.5
    assert reciprocal_rank(["a"], ["b"]) == 0
    assert quantile([3, 1, 2], 0.5) == 2
    low, high = interval([0.0, 1.0] * 50, 1)
    assert 0.35 < low < 0.5 < high < 0.65


def test_a_suite_writes_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("code", tmp_path, tmp_path / "out")
    assert result["figures"]["lines a file, median"] < 300
    assert (tmp_path / "out" / "code.json").exists()
    assert "| files |" in (tmp_path / "out" / "code.md").read_text()


@pytest.mark.data
def test_nothing_measured_was_trained_on(real_data: Path) -> None:
    titles = {d["id"]: d["title"] for d in read(real_data / "squad" / "documents.jsonl.gz")}
    measured = {q["doc_ids"][0] for q in squad_questions(real_data, 10_000, 1)}
    assert all(hashlib.md5(titles[i].encode()).hexdigest()[0] in "0123" for i in measured)
    texts = {d["text"] for d in read(real_data / "squad" / "documents.jsonl.gz") if d["id"] in measured}
    assert texts.isdisjoint({r.passage for r in squad_readings(real_data)})
