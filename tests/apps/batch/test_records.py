"""Records in three forms of file hold the same, each value in its type."""

from __future__ import annotations

import csv
import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from understudy.agents.extraction.records import Extraction
from understudy.apps.batch.records import Records
from understudy.apps.batch.results import write_results
from understudy.core.jobs import Query, Result
from understudy.core.types import Answer, Citation

CITED = Citation(document="a.md", title="A", location="p. 1", start=0, end=3, quote="Ann", score=0.9)


class Law(Enum):
    NORWAY = "NO"


class Clauses(BaseModel):
    text: str | None = Field(None, description="text?")
    whole: int | None = Field(None, description="whole?")
    real: float | None = Field(None, description="real?")
    money: Decimal | None = Field(None, description="money?", decimal_places=2)
    exact: Decimal | None = Field(None, description="exact?")
    truth: bool | None = Field(None, description="truth?")
    day: date | None = Field(None, description="day?")
    moment: datetime | None = Field(None, description="moment?")
    law: Law | None = Field(None, description="law?")
    level: Literal[1, 2] | None = Field(None, description="level?")
    steps: list[str] | None = Field(None, description="steps?")
    days: list[date] | None = Field(None, description="days?")


WORDS = {
    "text": "a, “b”", "whole": "two (2)", "real": "3.5%", "money": "$1,250.5", "exact": "5 million", "truth": "No",
    "day": "12 March 2021", "moment": "2021-03-12T22:40:00+02:00", "law": "Norway", "level": "level 2", "steps": "a; b",
    "days": "12 March 2021; 13 March 2021",
}  # fmt: skip
VALUES = {
    "text": "a, “b”", "whole": 2, "real": 0.035, "money": Decimal("1250.50"), "exact": Decimal(5_000_000), "truth": False,
    "day": date(2021, 3, 12), "moment": datetime(2021, 3, 12, 22, 40, tzinfo=timezone(timedelta(hours=2))),
    "law": "NO", "level": 2, "steps": ["a", "b"], "days": [date(2021, 3, 12), date(2021, 3, 13)],
}  # fmt: skip


def answer(text: str) -> Answer:
    return Answer(question="?", text=text, route="local", reason="", confidence=0.5, thread="t", citations=(CITED,))


def results() -> list[Result]:
    """A document where all is found, one where nothing can be read, and one that could not be asked."""
    rows: list[tuple[str, str, Answer | None]] = [("a.md", name, answer(text)) for name, text in WORDS.items()]
    rows += [("b.md", name, answer("?")) for name in WORDS]
    rows += [("c.md", name, None) for name in WORDS]
    return [
        Result(number=n, query=Query(question="?", document=d, id=f), answer=a, error=None if a else "no budget")
        for n, (d, f, a) in enumerate(rows)
    ]


def written(path: Path) -> Path:
    write_results(path, results(), str, Records(Extraction(Clauses)))
    return path


def test_parquet_has_every_value_in_its_own_type(tmp_path: Path) -> None:
    from pyarrow import parquet

    table = parquet.read_table(written(tmp_path / "r.parquet"))
    kinds = {name: str(table.schema.field(name).type) for name in VALUES}
    assert kinds == {
        "text": "string", "whole": "int64", "real": "double", "money": "decimal128(38, 2)",
        "exact": "decimal128(38, 12)", "truth": "bool", "day": "date32[day]", "moment": "timestamp[us]",
        "law": "string", "level": "int64", "steps": "list<element: string>", "days": "list<element: date32[day]>",
    }  # fmt: skip
    a, b, c = table.to_pylist()
    expected: dict[str, Any] = {**VALUES, "moment": datetime(2021, 3, 12, 20, 40)}
    assert {name: a[name] for name in VALUES} == expected
    assert a["money_citations"] == [CITED.model_dump()]
    assert (a["money_text"], a["money_confidence"], a["money_route"], a["money_error"]) == (
        "$1,250.5",
        0.5,
        "local",
        None,
    )
    assert (b["whole"], b["whole_text"], b["whole_error"]) == (None, "?", "holds no number")
    assert (c["whole"], c["whole_text"], c["whole_error"], c["whole_confidence"]) == (None, None, "no budget", None)
    assert [row["document"] for row in (a, b, c)] == ["a.md", "b.md", "c.md"]


def test_csv_and_jsonl_hold_the_same(tmp_path: Path) -> None:
    lines = written(tmp_path / "r.jsonl").read_text().splitlines()
    objects = [json.loads(line) for line in lines]
    with written(tmp_path / "r.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert list(objects[0]) == list(cells[0])
    assert {name: objects[0][name] for name in VALUES} == {
        **VALUES, "money": "1250.5", "exact": "5000000", "day": "2021-03-12", "moment": "2021-03-12T22:40:00+02:00",
        "days": ["2021-03-12", "2021-03-13"],
    }  # fmt: skip
    assert {name: cells[0][name] for name in VALUES} == {
        "text": "a, “b”", "whole": "2", "real": "0.035", "money": "1250.5", "exact": "5000000", "truth": "false",
        "day": "2021-03-12", "moment": "2021-03-12T22:40:00+02:00", "law": "NO", "level": "2", "steps": '["a", "b"]',
        "days": '["2021-03-12", "2021-03-13"]',
    }  # fmt: skip
    assert json.loads(cells[0]["day_citations"]) == objects[0]["day_citations"] == [CITED.model_dump()]
    assert (objects[1]["day"], cells[1]["day"], cells[1]["day_error"]) == (None, "", "holds no date")


def test_what_became_of_every_field_is_counted() -> None:
    counts = Records(Extraction(Clauses)).counts(results())
    assert counts["day"] == {"found": 1, "unread": 1, "failed": 1}
    assert counts["text"] == {"found": 2, "failed": 1}, "any words are text"
