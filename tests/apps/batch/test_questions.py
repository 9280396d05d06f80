"""Questions from files of three kinds, good and bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from understudy.apps.batch.questions import LONGEST, of_each, read_questions
from understudy.core.errors import UserError
from understudy.core.jobs import Query

ROWS: list[dict[str, Any]] = [
    {"id": "1", "question": "Who signed?", "document": "a.md", "answers": ["Ann", "Bo"]},
    {"id": None, "question": "When, “exactly”?\nAnd where?", "document": None, "answers": None},
]
QUERIES = [
    Query(id="1", question="Who signed?", document="a.md", answers=("Ann", "Bo")),
    Query(question="When, “exactly”?\nAnd where?"),
]


def as_csv(path: Path) -> None:
    path.write_text(
        'id,question,document,answers,mine\n1,Who signed?,a.md,"[""Ann"", ""Bo""]",x\n'
        ',"When, “exactly”?\nAnd where?",,,\n',
        encoding="utf-8-sig",
    )


def as_jsonl(path: Path) -> None:
    path.write_text("\n\n".join(json.dumps(row) for row in ROWS))


def as_parquet(path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the extra `batch`")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)


@pytest.mark.parametrize("write", [as_csv, as_jsonl, as_parquet])
def test_columns_are_read_by_their_names(tmp_path: Path, write: Any) -> None:
    path = tmp_path / f"q.{write.__name__.removeprefix('as_')}"
    write(path)
    assert read_questions(path) == QUERIES


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"question": None}, "the question is empty; ask something"),
        ({"question": 7}, "the question is no text"),
        ({"question": "x" * (LONGEST + 1)}, f"the question has {LONGEST + 1} characters; ask a shorter one"),
        ({"question": "Who?", "document": ["a"]}, "the document's name is no text"),
        (
            {"question": "Who\ud800?"},
            "the question or its document holds half characters (lone surrogates); take them out",
        ),
    ],
)
def test_a_bad_row_is_an_error_of_its_own(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(f'{json.dumps(row)}\n{{"question": "Who?"}}\n')
    bad, good = read_questions(path)
    assert bad.problem == problem
    assert good == Query(question="Who?")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("q.txt", b"Who?", "can't read .txt; known: .csv, .jsonl, .parquet"),
        ("q.csv", b"", "has no column 'question'; it has none"),
        ("q.csv", b"frage,document\nWho?,a", "has no column 'question'; it has frage, document"),
        ("q.csv", b"question\n", "holds no questions"),
        ("q.csv", b'question\n"Who?', "is no CSV"),
        ("q.csv", b'"question', "line 1 is no CSV"),
        ("q.csv", b"question\nW\xff", "is not UTF-8 (byte 10)"),
        ("q.jsonl", b'{"question": "Who?"}\n{', "line 2 is no JSON"),
        ("q.jsonl", b"[1]", "line 1 is no object"),
        ("q.jsonl", b'{"frage": "Who?"}', "has no column 'question'; it has frage"),
        ("q.parquet", b"PAR1 and no more", "is no Parquet file, or damaged"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_questions(path)
    assert why in str(error.value)
    assert "\n" not in str(error.value)


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(f"question\nWho?\n{'x' * 200_000}\n")
    good, long = read_questions(tmp_path / "q.csv")
    assert good.problem is None
    assert long.problem == "the question has 200000 characters; ask a shorter one"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_questions(tmp_path / "q.csv")


def test_every_question_of_every_document() -> None:
    asked = [Query(question="Who?", id="1"), Query(question="When?")]
    found = of_each(asked, ["a", "b"])
    assert [(q.document, q.question) for q in found] == [("a", "Who?"), ("a", "When?"), ("b", "Who?"), ("b", "When?")]
    with pytest.raises(UserError, match="leave the column document out"):
        of_each([Query(question="Who?", document="a")], ["a"])
