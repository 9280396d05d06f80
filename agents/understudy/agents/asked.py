"""What may be asked at all."""

from __future__ import annotations

from understudy.core.errors import QuestionError

__all__ = ["question_of"]


def question_of(text: str) -> str:
    """A question as it is asked. Raises `QuestionError`: it is empty, or no text."""
    asked = text.strip()
    if not asked:
        raise QuestionError("the question is empty; ask something")
    if "\0" in asked:
        raise QuestionError("the question holds null bytes; take them out")
    if any("\ud800" <= c <= "\udfff" for c in asked):
        raise QuestionError("the question holds half characters (lone surrogates); take them out")
    return asked
