"""How answers and rankings are scored."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

__all__ = [
    "Number",
    "auroc",
    "contains_answer",
    "exact_match",
    "interval",
    "normalised",
    "numbers_in",
    "numeric_match",
    "pure_number",
    "quantile",
    "recall_at",
    "reciprocal_rank",
    "token_f1",
]

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
SCALES = {
    "%": Decimal("0.01"),
    "percent": Decimal("0.01"),
    "thousand": Decimal(1000),
    "million": Decimal(10**6),
    "billion": Decimal(10**9),
}
NUMBER = re.compile(
    r"""
    (?<![\w.])                                     # not inside a word such as FY18
    (?P<before>[(\-−–+$€£\s]*)
    (?P<digits>(?>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+))
    (?P<close>\s*\)|\s*%\s*\))?
    \s*(?P<scale>%|(?:percent|thousand|million|billion)s?\b)?
    (?![\w])
    """,
    re.VERBOSE | re.IGNORECASE,
)
RESAMPLES = 2000


def normalised(text: str) -> str:
    """SQuAD's form of an answer: lower case, without punctuation, articles and superfluous white space."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(predicted: str, gold: Iterable[str]) -> float:
    """1 when an answer equals a gold one in SQuAD's form. Without gold answers, only the empty answer is right."""
    return float(normalised(predicted) in ({normalised(g) for g in gold} or {""}))


def token_f1(predicted: str, gold: Iterable[str]) -> float:
    """The best F1 of tokens over the gold answers, in SQuAD's form. Two empty answers score 1."""
    return max((f1_of(normalised(predicted).split(), normalised(g).split()) for g in list(gold) or [""]), default=0.0)


def f1_of(predicted: list[str], gold: list[str]) -> float:
    """F1 of two bags of tokens."""
    if not predicted or not gold:
        return float(predicted == gold)
    common = sum((Counter(predicted) & Counter(gold)).values())
    return 2 * common / (len(predicted) + len(gold))


def contains_answer(text: str, gold: Iterable[str]) -> bool:
    """Whether a text holds a gold answer, both in SQuAD's form and word by word: "9" is not in "1973"."""
    words = f" {normalised(text)} "
    return any(f" {form} " in words for form in map(normalised, gold) if form)


@dataclass(frozen=True)
class Number:
    """A number as it is written: its value with sign and scale, and the size of one unit of its last digit."""

    value: Decimal
    unit: Decimal
    start: int
    end: int


def numbers_in(text: str) -> list[Number]:
    """The numbers of a text. Parentheses around one and a leading dash are a minus; a scale word multiplies."""
    found = []
    for match in NUMBER.finditer(text):
        digits = Decimal(match["digits"].replace(",", ""))
        before, close = match["before"], match["close"] or ""
        enclosed = "(" in before and bool(close)
        negative = enclosed or bool(re.search(r"[-−–]", before))
        word = "%" if "%" in close else (match["scale"] or "").lower().rstrip("s")
        scale = SCALES.get(word, Decimal(1))
        exponent = digits.as_tuple().exponent
        unit = Decimal(1).scaleb(int(exponent)) * scale
        found.append(Number((-digits if negative else digits) * scale, unit, match.start(), match.end()))
    return found


def pure_number(text: str) -> Number | None:
    """The number a text consists of, if it is nothing else (a currency sign apart)."""
    found = numbers_in(text)
    if len(found) != 1:
        return None
    rest = text[: found[0].start] + text[found[0].end :]
    return None if re.search(r"\w", rest) else found[0]


def numeric_match(predicted: str, gold: Iterable[str]) -> bool:
    """Whether the one number of an answer is a gold number: sign and scale equal, up to rounding at gold's last digit.

    An answer with several numbers matches none. Gold answers that are not plain numbers are passed over.
    """
    numbers = numbers_in(predicted)
    if len(numbers) != 1:
        return False
    targets = [n for n in map(pure_number, gold) if n is not None]
    return any(abs(numbers[0].value - t.value) <= t.unit / 2 for t in targets)


def recall_at(ranks: Sequence[int | None], k: int) -> float:
    """Share of questions whose gold stands among the first `k`; ranks count from 1, `None` is not found."""
    return sum(r is not None and r <= k for r in ranks) / len(ranks) if ranks else 0.0


def reciprocal_rank(rank: int | None) -> float:
    """1 / rank, or 0 when not found; its mean over questions is MRR."""
    return 0.0 if rank is None else 1 / rank


def quantile(values: Sequence[float], q: float) -> float:
    """A quantile by linear interpolation; 0 of nothing."""
    return float(np.quantile(np.asarray(values, dtype=float), q)) if values else 0.0


def interval(values: Sequence[float], seed: int, resamples: int = RESAMPLES) -> dict[str, float | int]:
    """The mean of some per-question scores with its 95% percentile bootstrap interval."""
    if not values:
        return {"value": 0.0, "low": 0.0, "high": 0.0, "n": 0}
    scores = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(scores), size=(resamples, len(scores)))
    means = scores[drawn].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "value": round(float(scores.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "n": len(scores),
    }


def auroc(
    positive: Sequence[float], negative: Sequence[float], seed: int, resamples: int = RESAMPLES
) -> dict[str, float | int] | None:
    """How often a positive case scores above a negative one (a tie counts half): area under the ROC curve.

    With its 95% percentile bootstrap interval, both sides drawn anew; `None` where one side is empty.
    """
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

    if not positive or not negative:
        return None
    scores = np.asarray([*positive, *negative], dtype=float)
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    rng = np.random.default_rng(seed)
    above = rng.integers(0, len(positive), size=(resamples, len(positive)))
    below = rng.integers(len(positive), len(scores), size=(resamples, len(negative)))
    areas = [roc_auc_score(labels, scores[drawn]) for drawn in np.hstack([above, below])]
    low, high = np.quantile(areas, [0.025, 0.975])
    return {
        "value": round(float(roc_auc_score(labels, scores)), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "n": len(scores),
    }
