"""Results in three forms hold the same, and no file is lost or torn."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from understudy.apps.batch.columns import COLUMNS
from understudy.apps.batch.results import check_output, digest_of, write_results
from understudy.core.errors import UserError
from understudy.core.jobs import Query, Result
from understudy.core.types import Answer, Citation, StepRecord

CITED = Citation(document="a.md", title="A", location="p. 1", start=0, end=3, quote="Ann", score=0.9)
ANSWER = Answer(
    question="Who?",
    text="Ann",
    route="local",
    reason="sure",
    confidence=0.9,
    citations=(CITED,),
    thread="t",
    steps=(StepRecord.model_validate({"kind": "search", "query": "who", "seconds": 0.1}),),
)
RESULTS = [
    Result(number=0, query=Query(question="Who?", document="a.md", id="1", answers=("Ann",)), answer=ANSWER),
    Result(number=1, query=Query(question=""), error="the question is empty; ask something"),
]


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        for row in rows:
            for name, value in row.items():
                row[name] = json.loads(value) if value[:1] in "[{" and value else value or None
        return rows
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    from pyarrow import parquet

    rows = parquet.read_table(path).to_pylist()
    return [{**row, "steps": None if row["steps"] is None else json.loads(row["steps"])} for row in rows]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_row_a_question_with_every_field_of_its_answer(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"r.{suffix}"
    told: list[str] = []
    (tmp_path / f".{path.name}.1.tmp").write_text("of a process that was killed")
    write_results(path, RESULTS, told.append)
    assert told == [digest_of(path)]
    good, bad = read(path)
    assert tuple(good) == COLUMNS
    assert set(Answer.model_fields) <= set(COLUMNS)
    assert (good["id"], good["question"], good["document"], good["answers"]) == ("1", "Who?", "a.md", ["Ann"])
    assert (good["text"], good["citations"], good["error"]) == ("Ann", [CITED.model_dump()], None)
    assert good["steps"] == [{"kind": "search", "query": "who", "seconds": 0.1}]
    assert float(good["confidence"]) == 0.9
    assert (bad["text"], bad["route"], bad["error"]) == (None, None, "the question is empty; ask something")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_results(path, RESULTS, str)
    before = path.read_bytes()

    def broken() -> Iterator[Result]:
        yield RESULTS[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"No space left on device.*; the answers are kept"):
        write_results(path, broken(), str)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.jsonl"]


def test_nobody_elses_file_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    check_output(path, "")
    path.write_text("mine")
    for before in ("", "another"):
        with pytest.raises(UserError, match="is there already, and isn't what this job wrote"):
            check_output(path, before)
    check_output(path, f"another {digest_of(path)}")
    (tmp_path / "d.csv").mkdir()
    for wrong, why in (("d.csv", "is a folder"), ("r.xlsx", "can't write .xlsx"), ("no/r.csv", "there is no folder")):
        with pytest.raises(UserError, match=why):
            check_output(tmp_path / wrong, "")
