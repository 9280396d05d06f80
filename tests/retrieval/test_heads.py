"""Heads of questions that recur: cross-fitted, kept in a file, and what they change in a search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.core.errors import ModelFileError
from understudy.retrieval.heads import FOLDS, UNKNOWN, Head, Heads, fold_of, key_of

QUESTION = "Is there a cap on liability?"


def head(weights: list[float], quoted: int = 3, found: int = 2, asked: int = 5) -> Head:
    return Head(np.array(weights, dtype=np.float32), quoted, found, asked)


def heads(one: Head) -> Heads:
    """The same head in every fold."""
    by_question = {(key_of(QUESTION), fold): one for fold in range(FOLDS)}
    return Heads(by_question, np.array([1.0, 0.0, 0.0, 0.5, 0.0, -1.0], dtype=np.float32))


@given(st.text())
def test_a_document_has_one_fold_for_good(document: str) -> None:
    assert fold_of(document) == fold_of(document)
    assert 0 <= fold_of(document) < FOLDS


def test_a_question_is_known_by_its_words_whatever_their_case_and_space() -> None:
    known = heads(head([1.0, 0.0, 0.0]))
    assert known.of("  is there a CAP on liability?", "any.md") is not None
    assert known.of("Is there a cap on damages?", "any.md") is None


def test_a_document_is_likelier_to_answer_if_a_passage_resembles_quotes_and_if_others_answered() -> None:
    near, far = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)
    often, seldom = head([4.0, -4.0, 0.0], found=4), head([4.0, -4.0, 0.0], found=0)
    known = heads(often)
    assert known.probability(often, often.logits(near)) > known.probability(often, often.logits(far))
    assert known.probability(often, often.logits(near)) > known.probability(seldom, seldom.logits(near))


def test_without_a_quote_every_passage_scores_the_same() -> None:
    assert list(head([0.0, 0.0, 0.0], quoted=0).logits(np.eye(2, dtype=np.float32))) == [UNKNOWN, UNKNOWN]


def test_they_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    kept, path = heads(head([1.5, -2.0, 0.25])), tmp_path / "heads.safetensors"
    kept.save(path)
    held = Heads.load(path)
    assert held.by_question.keys() == kept.by_question.keys()
    one, other = held.of(QUESTION, "a.md"), kept.of(QUESTION, "a.md")
    assert one is not None
    assert other is not None
    assert (one.quoted, one.found, one.asked) == (other.quoted, other.found, other.asked)
    assert np.array_equal(one.weights, other.weights)
    assert np.array_equal(held.weights, kept.weights)
    assert [f.name for f in tmp_path.iterdir()] == ["heads.safetensors"]


@pytest.mark.parametrize("content", [b"", b"not a file of tensors", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "heads.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"heads\.safetensors holds no heads that can be read: .*; refine anew"):
        Heads.load(path)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="holds no heads"):
        Heads.load(tmp_path / "none.safetensors")
