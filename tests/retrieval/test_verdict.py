"""Yes or no: which questions ask for it, which answers say it, and a reader that has learned to."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from understudy.core.errors import ModelFileError
from understudy.core.types import Passage
from understudy.retrieval.onnx_models import READER_WEIGHTS
from understudy.retrieval.reader import ANSWERABLE, SpanReader, likeliest
from understudy.retrieval.verdict import VERDICT, Verdict, evidence_of, polar, polarity


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("Is there a change of control clause?", True),
        ("  does the licence end?", True),
        ("MAY the tenant sublet?", True),
        ("Isotopes decay how fast?", False),
        ("What is the rent?", False),
        ("Which party may terminate?", False),
        ("Document name?", False),
        ("", False),
    ],
)
def test_which_questions_ask_for_yes_or_no(question: str, asks: bool) -> None:
    assert polar(question) is asks


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Yes", True),
        ("yes, with consent", True),
        ("**No.**", False),
        ('"No"', False),
        ("Not before May", None),
        ("None", None),
        ("Yesterday", None),
        ("There is no limit", None),
        ("", None),
    ],
)
def test_which_answers_say_yes_or_no(text: str, says: bool | None) -> None:
    assert polarity(text) is says


def test_a_verdict_weighs_the_likeliest_passage_and_the_mean_of_three() -> None:
    assert evidence_of([1.0, 5.0, -9.0, 3.0], None) == [5.0, 3.0, 0.0]
    assert evidence_of([2.0], 0.5) == [2.0, 2.0, 0.0]
    assert evidence_of([2.0], 0.9)[2] == pytest.approx(math.log(9))
    verdict = Verdict(np.array([0.5, 1.0, 2.0, -4.0], dtype=np.float32))
    assert verdict.of([1.0, 5.0, -9.0, 3.0]) == pytest.approx(1 / (1 + np.exp(-(2.5 + 3.0 - 4.0))))
    assert verdict.of([1.0, 5.0, -9.0, 3.0], 0.9) > verdict.of([1.0, 5.0, -9.0, 3.0]) > verdict.of([1.0], 0.1)
    assert verdict.of([5.0, 3.0, 1.0]) == verdict.of([1.0, 3.0, 5.0])


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=30), st.floats(0, 1e3))
def test_a_verdict_is_a_probability_that_rises_with_the_evidence(logits: list[float], more: float) -> None:
    verdict = Verdict(np.array([0.7, 0.2, 0.5, -1.0], dtype=np.float32))
    low, high = verdict.of(logits), verdict.of([x + more for x in logits])
    assert 0 < low <= 1
    assert low <= high <= 1


Adapted = Callable[[tuple[float, ...]], Path]


@pytest.fixture
def adapted(tmp_path: Path) -> Adapted:
    """The shipped reader's file with a verdict of these weights."""

    def make(weights: tuple[float, ...]) -> Path:
        path = tmp_path / "reader.safetensors"
        with safe_open(READER_WEIGHTS, "numpy") as file:
            metadata = file.metadata()
        save_file(load_file(READER_WEIGHTS) | {VERDICT: np.array(weights, dtype=np.float32)}, path, metadata)
        return path

    return make


def passage(text: str, start: int) -> Passage:
    return Passage(
        document="lease.md", title="Lease", version="v1", location="", start=start, end=start + len(text), text=text
    )


SWEPT = passage("The stairs are swept weekly. The rent is due on the first day of the month.", 0)
PETS = passage("The flat has two rooms. Pets may be kept with the landlord's consent. The cellar is dry.", 500)
QUESTION = "May pets be kept in the flat?"


def test_yes_cites_the_sentence_that_it_rests_on(adapted: Adapted) -> None:
    reader = SpanReader(threads=1, weights=adapted((0.0, 0.0, 0.0, 3.0)))
    read = reader.read(QUESTION, [SWEPT, PETS])
    (said,) = read.findings
    assert (said.text, said.origin, said.passage) == ("Yes", "reader", 1)
    assert (said.start, said.end) == (None, None)
    assert said.quote_start is not None
    assert said.quote_end is not None
    quote = PETS.text[said.quote_start - 500 : said.quote_end - 500]
    assert quote == "Pets may be kept with the landlord's consent."
    assert said.score == read.answerable == pytest.approx(1 / (1 + np.exp(-3.0)))


def test_no_rests_on_no_passage(adapted: Adapted) -> None:
    read = SpanReader(threads=1, weights=adapted((0.0, 0.0, 0.0, -3.0))).read(QUESTION, [SWEPT, PETS])
    (said,) = read.findings
    assert (said.text, said.origin, said.passage) == ("No", "reader", None)
    assert (said.start, said.end, said.quote_start, said.quote_end) == (None, None, None, None)
    assert said.score == read.answerable == pytest.approx(1 / (1 + np.exp(-3.0)))


def test_the_passages_decide(adapted: Adapted) -> None:
    base = SpanReader(threads=1)
    logits = [s.signals[ANSWERABLE] for s in likeliest(base.candidates(QUESTION, [SWEPT, PETS])).values()]
    assert logits[1] > logits[0]
    reader = SpanReader(threads=1, weights=adapted((1.0, 0.0, 0.0, -sum(logits) / 2)))
    assert reader.read(QUESTION, [SWEPT]).findings[0].text == "No"
    assert reader.read(QUESTION, [SWEPT, PETS]).findings[0].text == "Yes"
    assert reader.read(QUESTION, [PETS, SWEPT]).findings[0].passage == 0


def test_other_questions_and_readers_without_a_verdict_get_spans(adapted: Adapted) -> None:
    base, reader = SpanReader(threads=1), SpanReader(threads=1, weights=adapted((0.0, 0.0, 0.0, 3.0)))
    asked = "What may be kept with the landlord's consent?"
    assert reader.read(asked, [SWEPT, PETS]) == base.read(asked, [SWEPT, PETS])
    assert all(f.text not in ("Yes", "No") for f in base.read(QUESTION, [SWEPT, PETS]).findings)


def test_without_passages_nothing_is_said(adapted: Adapted) -> None:
    read = SpanReader(threads=1, weights=adapted((0.0, 0.0, 0.0, 3.0))).read(QUESTION, [])
    assert (read.findings, read.answerable) == ((), 0.0)


def test_the_shipped_reader_has_none_and_one_of_another_shape_is_refused(adapted: Adapted) -> None:
    assert Verdict.load(READER_WEIGHTS) is None
    with pytest.raises(ModelFileError, match="verdict of another version"):
        Verdict.load(adapted((1.0, 2.0)))
