"""Quality in use, where there is no gold: whether a draft says the same as the expert."""

from __future__ import annotations

from understudy.core.matching import normalised, numeric_match, pure_number, token_f1
from understudy.core.types import Draft, ExpertAnswer

__all__ = ["NAME", "agreement"]

NAME = "agreement-1"
"""Recorded with every threshold: another way to compare makes another promise."""
SAME_WORDS = 0.8


def agreement(draft: Draft, expert: ExpertAnswer) -> float:
    """1 where a draft says the same as the expert, else 0.

    Two plain numbers are the same if they are equal with sign and scale, up to rounding; other answers if they are
    equal in SQuAD's form, or share tokens with an F1 of 0.8 or more. An expert that finds nothing in the documents
    agrees with no draft.
    """
    if expert.not_in_documents:
        return 0.0
    if pure_number(draft.text) and pure_number(expert.text):
        return float(numeric_match(draft.text, [expert.text]))
    if not normalised(draft.text):
        return 0.0
    return float(token_f1(draft.text, [expert.text]) >= SAME_WORDS)
