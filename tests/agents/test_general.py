"""The general set: sound, and able to tell readers apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from understudy.agents.cast import Players
from understudy.agents.general import GeneralQuestion, general_answers, general_set, general_steps
from understudy.core.fakes import FakePlanner, FakeRetriever
from understudy.core.steps import AnswerStep, Decline, Quote, Step, Taken
from understudy.core.types import Evidence, Finding, Message, Observation, Passage
from understudy.core.usage import SmallTokens
from understudy.retrieval.verdict import polar

ANSWERABLE, UNANSWERABLE = 110, 40
Said = Callable[[GeneralQuestion], str | None]


class Reader:
    """Says of every question what it is told to; `None` where it finds nothing."""

    def __init__(self, says: Said, sure: float = 1.0) -> None:
        self.says, self.sure = says, sure

    def read(self, question: str, passages: Sequence[Passage], expected: float | None = None) -> Observation:
        (passage,) = passages
        (asked,) = (q for q in general_set() if (q.question, q.text) == (question, passage.text))
        said = self.says(asked)
        found = () if said is None else (Finding(text=said, score=1.0, origin="reader", passage=0),)
        return Observation(findings=found, answerable=self.sure if found else 0.0)


def score(reader: Any) -> float:
    answers = general_answers(Players(FakePlanner([]), reader, FakeRetriever(), "fake"))
    return sum(right for right, _ in answers) / len(answers)


def gold(asked: GeneralQuestion) -> str | None:
    return asked.answers[-1] if asked.answers else None


def test_it_has_as_many_questions_of_each_kind_as_it_should() -> None:
    asked = general_set()
    assert sum(bool(q.answers) for q in asked) == ANSWERABLE
    assert sum(not q.answers for q in asked) == UNANSWERABLE
    assert len({(q.question, q.text) for q in asked}) == len(asked)
    passages = {q.text for q in asked}
    assert len(passages) == len({q.title for q in asked}) == 45
    assert all(60 <= len(text.split()) <= 110 for text in passages)
    answered = {q.text for q in asked if q.answers}
    assert {q.text for q in asked if not q.answers} <= answered, "a passage that answers nothing is no near miss"


@pytest.mark.parametrize("asked", general_set(), ids=lambda q: q.question)
def test_every_question_is_sound(asked: GeneralQuestion) -> None:
    assert asked.question.endswith("?")
    assert asked.title
    assert len(asked.answers) <= 3
    assert len(set(asked.answers)) == len(asked.answers)
    for answer in asked.answers:
        assert answer in asked.text
        assert answer == answer.strip()
        assert 1 <= len(answer.split()) <= 12
    assert not polar(asked.question), "the shipped reader says neither yes nor no"


def test_readers_of_one_habit_are_told_apart_from_a_good_one() -> None:
    assert score(Reader(gold)) == 1.0
    assert score(Reader(lambda asked: None)) == UNANSWERABLE / 150
    assert score(Reader(lambda asked: (asked.answers or ("a guess",))[0])) == ANSWERABLE / 150
    assert score(Reader(lambda asked: asked.text)) == 0.0


def test_what_a_reader_is_not_sure_of_is_not_said() -> None:
    answers = general_answers(Players(FakePlanner([]), Reader(gold, sure=0.49), FakeRetriever(), "fake"))  # type: ignore[arg-type]
    assert {said for _, said in answers} == {""}
    assert score(Reader(gold, sure=0.49)) == UNANSWERABLE / 150


def test_the_answers_come_in_the_order_of_the_questions() -> None:
    answers = general_answers(Players(FakePlanner([]), Reader(gold), FakeRetriever(), "fake"))  # type: ignore[arg-type]
    assert [said for _, said in answers] == [gold(q) or "" for q in general_set()]


class Writer(FakePlanner):
    """Answers in its own words what it is shown; `None` declines."""

    def __init__(self, says: Said) -> None:
        super().__init__([])
        self.says = says

    def next_step(self, transcript: Sequence[Message], evidence: Evidence, **how: Any) -> Taken:
        assert how == {"final": True}
        assert [m.role for m in transcript] == ["user", "assistant", "user"]
        (passage,) = evidence.passages
        (asked,) = (q for q in general_set() if (q.question, q.text) == (transcript[0].content, passage.text))
        said = self.says(asked)
        step: Step = Decline(reason="not_in_documents")
        if said is not None:
            step = AnswerStep(quotes=[Quote(passage=1, quote=asked.title)], text=said)
        return Taken(step, "", SmallTokens(), 0.0, -1.0, -1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("says", "right"),
    [
        pytest.param(lambda q: f"It is {gold(q)}, as the text says." if q.answers else None, 150, id="right"),
        pytest.param(lambda q: None, UNANSWERABLE, id="declines"),
        pytest.param(lambda q: (q.answers or ("a guess",))[0], ANSWERABLE, id="never declines"),
        pytest.param(lambda q: q.text[:600], 0, id="reads out"),
    ],
)
def test_models_that_write_are_told_apart_too(says: Said, right: int) -> None:
    answers = general_steps(Players(Writer(says), Reader(gold), FakeRetriever(), "fake"))  # type: ignore[arg-type]
    assert sum(score for score, _ in answers) == right
