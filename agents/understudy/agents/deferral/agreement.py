"""Quality in use, where there is no gold: whether a draft says the same as the expert."""

from __future__ import annotations

from understudy.core.matching import same_answer
from understudy.core.types import Draft, ExpertAnswer

__all__ = ["NAME", "agreement"]

NAME = "agreement-4"
"""Recorded with every threshold: another way to compare, here or in `same_answer`, makes another promise."""


def agreement(draft: Draft, expert: ExpertAnswer) -> float:
    """1 where a draft says the same as the expert, else 0.

    An expert that finds nothing in the documents agrees with no draft but one that says just that: a "No" that rests on
    what was searched in vain.
    """
    if expert.not_in_documents:
        return float(bool(draft.citations) and all(c.kind == "absence" for c in draft.citations))
    return float(same_answer(draft.text, expert.text))
