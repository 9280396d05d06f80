"""Quality in use, where there is no gold: whether a draft says the same as the expert."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal

from understudy.core.matching import normalised, numbers_in, numeric_match, pure_number, token_f1
from understudy.core.types import Draft, ExpertAnswer

__all__ = ["NAME", "agreement", "same_answer"]

NAME = "agreement-4"
"""Recorded with every threshold: another way to compare makes another promise."""
SAME_WORDS = 0.8
DIGITS = re.compile(r"\d[\d,.]*\d|\d")
CURRENCY = re.compile(r"[$€£¥]")
NEGATION = re.compile(r"\b(?:not|no|never|none|nor|neither|without|cannot)\b|n['’]t\b", re.IGNORECASE)


def agreement(draft: Draft, expert: ExpertAnswer) -> float:
    """1 where a draft says the same as the expert, else 0.

    Two plain numbers are the same if they are equal with sign and scale, up to rounding. Other answers are if they
    share tokens (in SQuAD's form) with an F1 of 0.8 or more, and have the same numbers, signs, scales and negations:
    words alone would take "12 million" for "13 million". Two currencies never agree. An expert that finds nothing in
    the documents agrees with no draft but one that says just that: a "No" that rests on what was searched in vain.
    """
    if expert.not_in_documents:
        return float(bool(draft.citations) and all(c.kind == "absence" for c in draft.citations))
    return same_answer(draft.text, expert.text)


def same_answer(said: str, wanted: str) -> float:
    """1 where two texts say the same, in the sense of `agreement`."""
    if not normalised(said) or other_currency(said, wanted):
        return 0.0
    if pure_number(said) and pure_number(wanted):
        return float(numeric_match(said, [wanted]))
    same_facts = figures(said) == figures(wanted) and values(said) == values(wanted) and denied(said) == denied(wanted)
    return float(same_facts and token_f1(said, [wanted]) >= SAME_WORDS)


def other_currency(a: str, b: str) -> bool:
    """Whether both name a currency, and not the same."""
    first, second = set(CURRENCY.findall(a)), set(CURRENCY.findall(b))
    return bool(first and second and first != second)


def figures(text: str) -> tuple[Counter[str], int]:
    """The digits of every number of a text, without thousands separators, and how many numbers are negative."""
    digits = Counter(found.replace(",", "") for found in DIGITS.findall(text))
    return digits, sum(number.value < 0 for number in numbers_in(text))


def values(text: str) -> Counter[Decimal]:
    """What the numbers of a text amount to, scale words included."""
    return Counter(number.value for number in numbers_in(text))


def denied(text: str) -> bool:
    """Whether a text denies something."""
    return len(NEGATION.findall(text)) % 2 == 1
