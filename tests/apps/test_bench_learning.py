"""Streams and shuffled answers: what they are made of."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from example_parts import example

from understudy.apps.bench.learning import CPU_SECOND_USD, Turned, paid_back
from understudy.apps.bench.shuffled import shuffled
from understudy.apps.bench.streams import kind_of
from understudy.core.types import Example, Passage, Scope

BODY = "Pets are allowed. The rent is 700 euros."
OTHERS = [
    Passage(
        document="", title="", version="v", location="", start=100 * n, end=100 * n + 40, text=f"part {n} " + "x" * 33
    )
    for n in range(5)
]


@pytest.mark.parametrize(
    ("answers", "numbers", "kind"),
    [
        (("Yes",), False, "yes"),
        (("No.",), True, "no"),
        ((), False, "not there"),
        (("12",), True, "number"),
        (("12",), False, "words"),
        (("Norway",), True, "words"),
        (("Yes Bank Ltd",), True, "words"),
    ],
)
def test_every_answer_is_of_one_kind(answers: tuple[str, ...], numbers: bool, kind: str) -> None:
    assert kind_of(answers, numbers=numbers) == kind


def asked(number: int) -> Example:
    polar = number % 2 == 0
    said = ("Yes" if number % 4 == 0 else "No") if polar else f"{number} euros"
    quote = "" if said == "No" else "Pets are allowed."
    question = "Are pets allowed?" if polar else "What is the rent?"
    made = example(said, quote, BODY, question, not_in_documents=said == "No")
    return made.model_copy(update={"scope": Scope(document=f"lease-{number}.md")})


def library(scope: Scope) -> tuple[Sequence[Passage], None]:
    return [p.model_copy(update={"document": scope.document}) for p in OTHERS], None


def test_shuffled_answers_are_the_same_ones_elsewhere() -> None:
    right = [asked(n) for n in range(40)]
    wrong = shuffled(right, library, random.Random(3))
    assert [(e.question, e.scope) for e in wrong] == [(e.question, e.scope) for e in right]
    assert sorted(e.expert.text for e in wrong) == sorted(e.expert.text for e in right)
    assert sum(a.expert.text != b.expert.text for a, b in zip(right, wrong, strict=True)) > 20
    for made in wrong:
        assert (made.expert.text in ("Yes", "No")) is (made.question == "Are pets allowed?")
        assert bool(made.expert.citations) is (made.expert.text != "No")
        for cited in made.expert.citations:
            assert cited.document == made.scope.document
            assert cited.quote in [p.text for p in OTHERS]
    assert shuffled(right, library, random.Random(3)) == wrong


def test_refining_has_paid_for_itself_once_more_was_saved_than_it_cost() -> None:
    turned = [
        Turned("words", consulted=n not in (2, 5, 6, 7, 8), quality=1.0, usd=0.01, seconds=1.0) for n in range(1, 11)
    ]
    free = paid_back(turned, [], 0.01)
    assert free == 2
    costly = [{"after": 4, "cpu_seconds": 0.025 / CPU_SECOND_USD}]
    assert paid_back(turned, costly, 0.01) == 6, "0.01 was saved before, and 0.025 spent after the fourth"
    assert paid_back(turned, [{"after": 4, "cpu_seconds": 1 / CPU_SECOND_USD}], 0.01) is None
