"""The general set: questions of no domain that ship with the project, by which no adapter may do worse."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from understudy.agents.cast import Players
from understudy.core.matching import contains_answer, exact_match, token_f1
from understudy.core.steps import AnswerStep
from understudy.core.types import Evidence, Message, Passage

__all__ = ["GeneralQuestion", "general_answers", "general_set", "general_steps"]

RIGHT = 0.8
"""Token F1 from which an answer is right, as for drafts."""
LONGEST = 40
"""Words of an answer that may hold the right one: a passage read out is none."""
ANSWERS = 0.5
"""Below this probability the reader is taken to say that the passage doesn't answer."""
SEARCHED = '{"kind":"search","query":%s}'
"""The step that brought the passage, as a small model writes it."""


class GeneralQuestion(BaseModel):
    """A question on a passage; without answers, the passage doesn't hold one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    question: str
    title: str
    text: str
    answers: tuple[str, ...]


@cache
def general_set() -> tuple[GeneralQuestion, ...]:
    """All of them."""
    lines = (Path(__file__).parent / "general.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(GeneralQuestion.model_validate(json.loads(line)) for line in lines)


def general_answers(players: Players) -> list[tuple[float, str]]:
    """For every question of the set, how well the players' reader does on it, and what it says."""
    return [answered(players, question) for question in general_set()]


def answered(players: Players, asked: GeneralQuestion) -> tuple[float, str]:
    """Right or not, and the answer; "" where the reader finds none."""
    read = players.reader.read(asked.question, [passage_of(asked)])
    said = read.findings[0].text if read.findings and (read.answerable or 0.0) >= ANSWERS else ""
    if not asked.answers:
        return float(not said), said
    return float(max(exact_match(said, asked.answers), token_f1(said, asked.answers)) >= RIGHT), said


def general_steps(players: Players) -> list[tuple[float, str]]:
    """`general_answers` of a small model that reads: what it answers once it is shown the passage."""
    return [stepped(players, question) for question in general_set()]


def stepped(players: Players, asked: GeneralQuestion) -> tuple[float, str]:
    """Right or not, and the answer; "" where it gives none. A model that writes may say more than the words."""
    planner, passage = players.planner, passage_of(asked)
    found = players.reader.read(asked.question, [passage]).model_copy(update={"passages": (passage,)})
    searched = Message(role="assistant", content=SEARCHED % json.dumps(asked.question))
    shown = planner.observe(asked.question, Evidence(), found)
    transcript = [*planner.open(asked.question, []), searched, shown]
    step = planner.next_step(transcript, Evidence().extended(found, asked.question), final=True).step
    said = step.text if isinstance(step, AnswerStep) else ""
    if not asked.answers:
        return float(not said), said
    return float(len(said.split()) <= LONGEST and contains_answer(said, asked.answers)), said


def passage_of(asked: GeneralQuestion) -> Passage:
    """The question's passage, as a search would bring it."""
    return Passage(
        document="general", title=asked.title, version="", location="", start=0, end=len(asked.text), text=asked.text
    )
