"""Scores of answers and rankings, by their published definitions."""

from __future__ import annotations

import random
import re
import string
from collections import Counter
from collections.abc import Sequence

__all__ = ["exact_match", "interval", "numbers_equal", "quantile", "reciprocal_rank", "token_f1"]

ARTICLES = re.compile(r"\b(a|an|the)\b")
NUMBER = re.compile(r"[-−]?\(?[$€£]?\s*[-−]?\d[\d,]*(?:\.\d+)?\)?")
SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9}


def normalised(text: str) -> str:
    """Lower case, without punctuation, articles and extra white space (SQuAD, Rajpurkar et al. 2016)."""
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(ARTICLES.sub(" ", bare).split())


def exact_match(answer: str, gold: Sequence[str]) -> float:
    """1 when the answer equals one of the gold answers after normalisation. No gold: 1 for an empty answer."""
    return float(any(normalised(answer) == normalised(g) for g in gold) if gold else not answer)


def token_f1(answer: str, gold: Sequence[str]) -> float:
    """The best token F1 against the gold answers after normalisation. No gold: 1 for an empty answer."""
    if not gold:
        return float(not answer)
    return max(pair_f1(normalised(answer).split(), normalised(g).split()) for g in gold)


def pair_f1(left: list[str], right: list[str]) -> float:
    """Token F1 of two bags of words."""
    common = sum((Counter(left) & Counter(right)).values())
    return 2 * common / (len(left) + len(right)) if common else float(not left and not right)


def value_of(text: str) -> float | None:
    """The number that a short text states: brackets are negative, scale words multiply, percent signs are ignored."""
    match = NUMBER.search(text)
    if match is None:
        return None
    raw = match[0]
    value = float(re.sub(r"[^\d.]", "", raw).rstrip("."))
    negative = raw.startswith("(") or "-" in raw or "−" in raw or ("(" in raw and ")" in raw)
    scale = next((s for word, s in SCALES.items() if word in text.lower()), 1.0)
    return (-value if negative else value) * scale


def numbers_equal(answer: str, gold: Sequence[str]) -> bool:
    """Whether an answer states the number of one of the gold answers, to half a percent or its last printed digit."""
    found = value_of(answer)
    if found is None:
        return False
    values = [v for v in map(value_of, gold) if v is not None]
    return any(abs(found - v) <= max(0.005 * abs(v), 0.005) for v in values)


def reciprocal_rank(ranking: Sequence[str], gold: Sequence[str]) -> float:
    """One over the rank of the first gold item, 0 where there is none."""
    return next((1 / place for place, item in enumerate(ranking, 1) if item in gold), 0.0)


def interval(values: Sequence[float], seed: int, *, share: float = 0.95, draws: int = 1000) -> tuple[float, float]:
    """A percentile bootstrap interval of a mean."""
    if not values:
        return 0.0, 0.0
    rng = random.Random(seed)
    means = sorted(sum(rng.choices(values, k=len(values))) / len(values) for _ in range(draws))
    cut = int(draws * (1 - share) / 2)
    return means[cut], means[draws - 1 - cut]


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of the values lies."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0
