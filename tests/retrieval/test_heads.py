"""Heads of questions that recur: cross-fitted, kept in a file, and what they change in a search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.core.errors import ModelFileError
from understudy.core.types import Scope
from understudy.core.workspace import Workspace
from understudy.retrieval.embed import MiniLM
from understudy.retrieval.heads import FOLDS, UNKNOWN, Head, Heads, fold_of, key_of
from understudy.retrieval.hybrid import HybridRetriever
from understudy.retrieval.ingest import ingest
from understudy.retrieval.store import DocumentStore

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


PARTS = [
    f"## Section {n}\n\nThe supplier delivers goods of kind {n} to warehouse {n} and is liable for delays, says section {n}. "
    + "Deliveries are confirmed in writing, and every warehouse keeps a list of what came and when it came. " * 9
    for n in range(12)
]


def test_what_resembles_quotes_leads_the_search_of_a_document_and_of_nothing_else(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "supply.md").write_text("# Supply\n\n" + "\n\n".join(PARTS))
    workspace = Workspace.open(tmp_path / "workspace")
    store, encoder = DocumentStore.of(workspace), MiniLM(threads=1)
    try:
        ingest(store, encoder, [files])
        bare, one = HybridRetriever(workspace, store, encoder), Scope(document="supply.md")
        passages, vectors = bare.document(one)
        assert len(passages) == len(vectors) > 10
        asked = "Is there a cap on liability?"
        found = bare.search(asked, one, limit=8)
        clause = next(n for n, p in enumerate(passages) if p.start == found[-1].start)
        quoted = Head(np.array([*vectors[clause] * 20, -15.0], dtype=np.float32), quoted=4, found=4, asked=8)
        taught = bare.taught(heads(quoted))

        led = taught.search(asked, one, limit=8)
        assert led[0] == found[-1], "scores and ranks are those of the search"
        assert [p for p in led[4:] if p in found] == led[4:], "half of the places are the search's own"
        assert len({(p.start, p.end) for p in taught.search(asked, one, limit=8)}) == 8
        assert taught.search("What are delays?", one) == bare.search("What are delays?", one)
        assert taught.search(asked, Scope()) == bare.search(asked, Scope())
        assert bare.expect(asked, one) is None
        assert taught.expect(asked, Scope()) is None
        assert taught.expect("What are delays?", one) is None
        expected = taught.expect(asked, one)
        assert expected is not None
        assert expected > 0.5
        rare = Head(np.array([*-vectors[clause] * 20, -15.0], dtype=np.float32), quoted=4, found=0, asked=8)
        unlikely = bare.taught(heads(rare)).expect(asked, one)
        assert unlikely is not None
        assert unlikely < 0.1
    finally:
        store.close()
