"""The general set: questions of no domain that ship with the project, by which no adapter may do worse."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from understudy.agents.cast import Players
from understudy.core.matching import exact_match, token_f1
from understudy.core.types import Passage

__all__ = ["GeneralQuestion", "general_answers", "general_set"]

RIGHT = 0.8
"""Token F1 from which an answer is right, as for drafts."""
ANSWERS = 0.5
"""Below this probability the reader is taken to say that the passage doesn't answer."""


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
    passage = Passage(
        document="general", title=asked.title, version="", location="", start=0, end=len(asked.text), text=asked.text
    )
    read = players.reader.read(asked.question, [passage])
    said = read.findings[0].text if read.findings and (read.answerable or 0.0) >= ANSWERS else ""
    if not asked.answers:
        return float(not said), said
    return float(max(exact_match(said, asked.answers), token_f1(said, asked.answers)) >= RIGHT), said
