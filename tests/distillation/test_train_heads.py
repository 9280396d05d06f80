"""What heads learn from experts' quotes, and from which documents they don't."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from understudy.core.types import Citation, Evidence, Example, ExpertAnswer, Passage, Scope
from understudy.distillation.train_heads import train_heads
from understudy.retrieval.heads import FOLDS, Heads, fold_of, key_of

QUESTION = "Is there a cap on liability?"
WIDTH, PASSAGES = 16, 30
CLAUSE = 7
"""The place of the clause in documents that have it."""


class Contracts:
    """Documents of random passages; every second holds a clause that points in one direction."""

    def __init__(self, count: int) -> None:
        self.rng = np.random.default_rng(5)
        self.names = [f"contract-{n}.md" for n in range(count)]
        self.vectors = {name: self.document(n % 2 == 0) for n, name in enumerate(self.names)}
        self.asked: list[str] = []

    def document(self, clause: bool) -> NDArray[np.float32]:
        made = self.rng.normal(size=(PASSAGES, WIDTH)).astype(np.float32)
        if clause:
            made[CLAUSE, 0] += 8.0
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    def __call__(self, scope: Scope) -> tuple[Sequence[Passage], NDArray[np.float32]]:
        assert scope.document is not None
        self.asked.append(scope.document)
        if scope.document not in self.vectors:
            return [], np.zeros((0, WIDTH), np.float32)
        return [passage(scope.document, n) for n in range(PASSAGES)], self.vectors[scope.document]

    def examples(self, question: str = QUESTION) -> list[Example]:
        return [answered(name, question, n % 2 == 0) for n, name in enumerate(self.names)]


def passage(document: str, at: int) -> Passage:
    return Passage(
        document=document, title="", version="v", location="", start=100 * at, end=100 * at + 90, text="x" * 90
    )


def answered(document: str, question: str, found: bool) -> Example:
    at = 100 * CLAUSE
    cited = Citation(document=document, title="", location="", start=at, end=at + 50, quote="x" * 50, score=1.0)
    said = ExpertAnswer(
        text="Yes" if found else "No", citations=(cited,) if found else (), not_in_documents=not found, expert="gpt"
    )
    return Example(
        question=question, scope=Scope(document=document), transcript=(), evidence=Evidence(), draft=None, expert=said,
        small_model="starter", principal="owner",
    )  # fmt: skip


def embed(text: str) -> list[float]:
    return [0.0, 1.0] + [0.0] * (WIDTH - 2)


def trained(examples: Sequence[Example], contracts: Contracts) -> Heads:
    heads = train_heads(examples, contracts, embed, 17)
    assert heads is not None
    return heads


def test_a_document_that_nobody_asked_about_is_told_by_its_clause() -> None:
    contracts = Contracts(40)
    heads = trained(contracts.examples(), contracts)
    for number in range(20):
        clause = number % 2 == 0
        vectors, document = contracts.document(clause), f"new-{number}.md"
        head = heads.of(QUESTION, document)
        assert head is not None
        logits = head.logits(vectors)
        assert (heads.probability(head, logits) > 0.5) is clause
        assert not clause or int(logits.argmax()) == CLAUSE


def test_a_document_is_scored_by_heads_that_its_own_answer_did_not_shape() -> None:
    contracts = Contracts(40)
    right = contracts.examples()
    before = trained(right, contracts)
    own = contracts.names[0]
    turned = [answered(own, QUESTION, found=False), *right[1:]]
    after = trained(turned, contracts)
    for fold in range(FOLDS):
        one, other = (h.by_question[key_of(QUESTION), fold] for h in (before, after))
        assert np.allclose(one.weights, other.weights) is (fold == fold_of(own))
        assert (one.found == other.found) is (fold == fold_of(own))


def test_questions_of_a_whole_collection_and_of_documents_that_are_gone_teach_nothing() -> None:
    contracts = Contracts(40)
    everywhere = answered("contract-0.md", QUESTION, found=True).model_copy(update={"scope": Scope()})
    gone = answered("gone.md", QUESTION, found=True)
    heads = trained([*contracts.examples(), everywhere, gone], contracts)
    assert heads.by_question[key_of(QUESTION), fold_of("gone.md")].asked <= 40
    assert sum(heads.by_question[key_of(QUESTION), fold].asked for fold in range(FOLDS)) == 40 * (FOLDS - 1)


@pytest.mark.parametrize("count", [0, 4, 14])
def test_too_few_answers_make_no_heads(count: int) -> None:
    contracts = Contracts(count)
    assert train_heads(contracts.examples(), contracts, embed, 17) is None


def test_the_same_seed_makes_the_same_heads() -> None:
    contracts = Contracts(40)
    first, second = (trained(contracts.examples(), contracts) for _ in range(2))
    assert all(
        np.array_equal(first.by_question[name].weights, second.by_question[name].weights) for name in first.by_question
    )
