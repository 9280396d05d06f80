"""Suite `sensitivity`: what the oracle can tell from what it is sent, and a small run through real agents."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from understudy.apps.bench import sensitivity
from understudy.apps.bench.sensitivity import Case, Oracle, seen_of
from understudy.apps.bench.streams import Asked


def case(answer: str, facts: tuple[str, ...], record: str = "", values: tuple[str, ...] = ()) -> Case:
    return Case(Asked("Who?", "d", (answer,), (), "words"), facts, record, values)


def replied(oracle: Oracle, sent: str) -> Any:
    return json.loads(oracle(sent))


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ("Signed by Ada Birch in 2019.", "Ada Birch, 2019"),
        ("Signed by ⟦PERSON_4⟧ in 2019.", "⟦PERSON_4⟧, 2019"),
        ("Signed by ⟦PERSON_4⟧ in that year.", None),
        ("Signed in 2019.", None),
    ],
)
def test_the_oracle_answers_in_the_words_it_was_sent(sent: str, answer: str | None) -> None:
    oracle = Oracle()
    oracle.case = case("Ada Birch, 2019", ("Ada Birch", "2019"), sent, ("Ada Birch",))
    reply = replied(oracle, sent)
    assert reply["answer"] == (answer or "The passages don't say.")
    assert reply.get("not_in_documents", False) is (answer is None)


def test_numbers_that_an_answer_is_computed_from_must_all_be_there() -> None:
    oracle = Oracle()
    oracle.case = case("12.5", ("1,568.6", "690.5"))
    assert replied(oracle, "| 1,568.6 | 690.5 |")["answer"] == "12.5"
    assert replied(oracle, "| 1,568.6 | ⟦ACCOUNT_1⟧ |")["not_in_documents"]


def test_a_diagnosis_takes_nearly_the_whole_record() -> None:
    oracle = Oracle()
    words = " ".join(f"sign{n}" for n in range(20))
    oracle.case = case("Gout", (), words)
    assert replied(oracle, words.replace("sign3 ", "⟦PLACE_1⟧ "))["answer"] == "Gout"
    assert replied(oracle, "What is the most likely diagnosis?")["not_in_documents"]
    assert oracle.seen == [pytest.approx(19 / 20), 0.0]
    assert seen_of("", "anything") == 1.0


def written(folder: Path, documents: list[dict[str, Any]], questions: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True)
    for name, rows in (("documents", documents), ("questions.all", questions)):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def test_what_a_collection_withholds_the_expert_cannot_answer(tmp_path: Path) -> None:
    record = "PATIENT RECORD. The patient reports fever, cough and night sweats for six weeks, with loss of weight."
    written(
        tmp_path / "agentclinic",
        [{"id": f"case-{n}", "title": f"Patient case {n}", "text": record, "meta": {}} for n in (1, 2)],
        [
            {
                "id": f"case-{n}#dx",
                "question": f"What is the most likely diagnosis for patient case {n}?",
                "answers": ["Tuberculosis"],
                "doc_ids": [f"case-{n}"],
                "answerable": True,
                "meta": {"needs_reasoning": True, "evidence": []},
            }
            for n in (1, 2)
        ],
    )
    rows = {r["collection"]: r for r in sensitivity.rows_of("agentclinic", tmp_path, None, 17)}
    assert list(rows) == ["open", "redacted", "local", "never"]
    assert rows["open"]["quality"]["value"] == 1.0
    assert rows["open"]["words_of_the_document_sent"] == 1.0
    assert rows["local"]["quality"]["value"] == rows["never"]["quality"]["value"] == 0.0
    assert rows["local"]["words_of_the_document_sent"] < 0.5
    assert (rows["never"]["asked_the_expert"], rows["never"]["kilobytes_sent"]) == (0, 0.0)
