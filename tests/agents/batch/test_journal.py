"""The journal of jobs: nothing is lost, nothing is asked twice, and what changed is asked anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from understudy.agents.batch.journal import Journal
from understudy.core.errors import ScopeError, UserError
from understudy.core.jobs import Job, Query, SchemaSource
from understudy.core.types import Answer, Scope


def answer(text: str, cost: float = 0.0) -> Answer:
    return Answer(
        question="", text=text, route="expert" if cost else "local", reason="", confidence=1, thread="", cost_usd=cost
    )


def query(question: str, document: str | None = None) -> Query:
    return Query(question=question, document=document)


def begin(journal: Journal, *queries: Query, versions: dict[str | None, str] | None = None) -> Job:
    return journal.begin(
        "j", "owner", "default", "out.csv", 1.0, queries, lambda q: (versions or {}).get(q.document, "1")
    )


def keep(journal: Journal, number: int, outcome: Answer | str, rests_on: Sequence[Scope] = ()) -> int:
    (row,) = [row for row in journal.pending("j") if row.number == number]
    return journal.keep("j", row, outcome, rests_on)


def waiting(journal: Journal) -> list[int]:
    return [row.number for row in journal.pending("j")]


def texts(journal: Journal) -> list[str | None]:
    return [r.answer.text if r.answer else r.error for r in journal.results("j")]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "jobs.sqlite")


def test_answers_are_kept_in_order_whatever_came_first(journal: Journal) -> None:
    begin(journal, query("a", "x"), query("b"), query("c", "x"))
    assert waiting(journal) == [0, 2, 1], "those of one document stand together"
    keep(journal, 2, answer("C"))
    keep(journal, 1, "it is closed")
    assert texts(journal) == [None, "it is closed", "C"]
    assert waiting(journal) == [0]
    job = journal.get("j")
    assert (job.total, job.done, job.failed, job.routes) == (3, 2, 1, {"local": 1})


def test_the_same_is_asked_once_and_paid_for_once(journal: Journal) -> None:
    begin(journal, query("a"), query("b"), query("a"))
    assert waiting(journal) == [0, 1]
    assert keep(journal, 0, answer("A", 0.5)) == 2
    assert texts(journal) == ["A", None, "A"]
    assert journal.get("j").cost_usd == 0.5
    assert sum(r.answer.cost_usd for r in journal.results("j") if r.answer) == 0.5


def test_begun_anew_only_what_changed_is_asked(journal: Journal) -> None:
    begin(journal, query("a", "x"), query("b", "x"), query("c", "y"))
    for number, text in enumerate("ABC"):
        keep(journal, number, answer(text, 0.1))
    begin(journal, query("c", "y"), query("new", "x"), query("a", "x"), versions={"y": "2"})
    assert texts(journal) == [None, None, "A"]
    assert journal.get("j").cost_usd == pytest.approx(0.1)


def test_an_error_is_tried_again_when_the_job_is_begun_anew(journal: Journal) -> None:
    begin(journal, query("a"))
    keep(journal, 0, "no such document")
    assert not list(journal.pending("j"))
    begin(journal, query("a"))
    assert waiting(journal) == [0]


def test_a_job_that_ran_when_its_process_ended_is_interrupted(tmp_path: Path) -> None:
    first = Journal(tmp_path / "jobs.sqlite")
    begin(first, query("a"))
    with first.running("j"):
        assert first.get("j").status == "running"
        for again in (lambda: begin(first, query("b")), lambda: first.running("j").__enter__()):
            with pytest.raises(UserError, match="is running"):
                again()
        Journal(tmp_path / "jobs.sqlite").close()  # as another process would find it, were this one gone
        assert first.get("j").status == "interrupted"
    assert first.get("j").status == "done"
    with pytest.raises(KeyboardInterrupt), first.running("j"):
        raise KeyboardInterrupt
    first.close()
    assert Journal(tmp_path / "jobs.sqlite").get("j").status == "interrupted"
    with pytest.raises(ScopeError, match="no job 'k'"):
        first.get("k")


def test_erasure_takes_what_rests_on_a_document(journal: Journal) -> None:
    begin(journal, query("a", "x"), query("b"), query("c", "y"), query("d"))
    keep(journal, 1, answer("B"), [Scope(document="x"), Scope(document="y")])
    keep(journal, 2, answer("C"), [Scope(document="y")])
    keep(journal, 3, answer("D"), [Scope(document="y")])
    document = Scope(document="x")
    assert journal.found(document) == ["j/0", "j/1"]
    for _ in range(2):
        journal.forget(document)
        assert [r.number for r in journal.results("j")] == [2, 3]
    assert journal.found(Scope(collection="other", document="y")) == []
    begin(journal, query("a", "x"), query("b"), query("c", "y"), query("d"))
    assert texts(journal) == [None, None, "C", "D"]


def test_what_is_erased_while_it_is_asked_is_not_kept(journal: Journal) -> None:
    begin(journal, query("a", "x"), query("b", "y"))
    asked = list(journal.pending("j"))
    journal.forget(Scope(document="x"))
    assert journal.keep("j", asked[0], answer("A"), [Scope(document="x")]) == 0
    assert journal.keep("j", asked[1], answer("B"), [Scope(document="y")]) == 1
    assert texts(journal) == ["B"]


def test_thousands_of_rows_are_read_a_few_at_a_time(journal: Journal) -> None:
    begin(journal, *[query(str(n)) for n in range(1203)])
    assert [r.query.question for r in journal.results("j")] == [str(n) for n in range(1203)]


def test_what_a_job_fills_is_remembered_and_a_journal_of_before_is_opened(tmp_path: Path) -> None:
    source = SchemaSource(name="/a/contract.py:Clauses", sha256="0f")
    path = tmp_path / "jobs.sqlite"
    Journal(path).begin("j", "owner", "default", "out.csv", None, [query("a")], lambda _: "1", extracts=source)
    assert Journal(path).get("j").extracts == source
    with closing(sqlite3.connect(path)) as db:
        for since in ("extracts", "terms"):
            db.execute(f"ALTER TABLE jobs DROP COLUMN {since}")
    assert (Journal(path).get("j").extracts, Journal(path).terms("j")) == (None, None)
