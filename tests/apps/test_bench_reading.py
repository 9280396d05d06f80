"""Suite `reader`: figures worked by hand, and the same reading with 8 bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.apps.bench.data import Question
from understudy.apps.bench.reading import EightBitReader, Read, figures_of, gold_paragraphs, precision_figures
from understudy.core.types import Passage
from understudy.retrieval.reader import SpanReader

PARAGRAPH = (
    "Halden Instruments was founded in 1974 by Ingrid Sorensen. The company makes pressure gauges. "
    "Its head office stands in Trondheim."
)


def question(answers: tuple[str, ...], kind: str = "", id: str = "q") -> Question:
    return Question(id, "What?", "d", answers, bool(answers), kind)


def read(text: str, gold: tuple[str, ...], score: float, answerable: float, id: str = "q") -> Read:
    return Read(question(gold, id=id), text, score, answerable, 0.1)


def test_reader_figures_worked_by_hand() -> None:
    found = figures_of(
        [read("1974", ("1974",), 0.2, 0.9), read("gauges", ("pressure gauges",), 0.8, 0.8), read("x", (), 0.5, 0.1)], 17
    )
    assert found["questions"] == 3
    assert found["answerable"]["exact_match"]["value"] == 0.5
    assert found["answerable"]["f1"]["value"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-4)
    assert found["auroc"]["answerable"]["value"] == 1.0
    assert found["auroc"]["best_span_score"]["value"] == 0.5


def test_what_8_bits_cost_is_told_question_by_question() -> None:
    full = [read("1974", ("1974",), 1, 1, "a"), read("y", ("y",), 1, 1, "b"), read("never compared", (), 1, 1, "c")]
    eight = [read("x", ("y",), 1, 1, "b"), read("1974", ("1974",), 1, 1, "a")]
    found = precision_figures(full, eight, 17)
    assert found["exact_match"]["value"] == 0.5
    assert found["exact_match_lost"]["value"] == 0.5


@pytest.mark.slow
def test_8_bits_read_as_full_precision_does(tmp_path: Path) -> None:
    passage = Passage(
        document="d", title="Halden", version="", location="", start=0, end=len(PARAGRAPH), text=PARAGRAPH
    )
    asked = "When was Halden Instruments founded?"
    full, eight = SpanReader().read(asked, [passage]), EightBitReader(tmp_path).read(asked, [passage])
    assert full.findings[0].text == eight.findings[0].text == "1974"
    assert full.findings[0].score != eight.findings[0].score
    assert eight.answerable == pytest.approx(full.answerable, abs=0.2)


@pytest.mark.data
def test_gold_paragraphs_hold_the_answers(real_data: Path) -> None:
    from understudy.apps.bench.data import squad_questions

    paragraphs = gold_paragraphs(real_data)
    asked = [q for q in squad_questions(real_data) if q.answerable]
    assert len(asked) > 400
    assert all(all(a in paragraphs[q.id].text for a in q.answers) for q in asked)
