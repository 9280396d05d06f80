"""When two answers say the same: SQuAD's form of words, and numbers with sign and scale."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

__all__ = [
    "Number",
    "contains_answer",
    "exact_match",
    "normalised",
    "numbers_in",
    "numeric_match",
    "pure_number",
    "same_answer",
    "token_f1",
]

SAME_WORDS = 0.8
"""Token F1 from which two answers say the same."""
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
SCALES = {
    "%": Decimal("0.01"),
    "percent": Decimal("0.01"),
    "thousand": Decimal(1000),
    "million": Decimal(10**6),
    "billion": Decimal(10**9),
}
DIGITS = re.compile(r"\d[\d,.]*\d|\d")
CURRENCY = re.compile(r"[$€£¥]")
NEGATION = re.compile(r"\b(?:not|no|never|none|nor|neither|without|cannot)\b|n['’]t\b", re.IGNORECASE)
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


def same_answer(said: str, wanted: str) -> bool:
    """Whether two texts say the same.

    Two plain numbers do if they are equal with sign and scale, up to rounding. Other answers do if they share tokens
    (in SQuAD's form) with an F1 of 0.8 or more, and have the same numbers, signs, scales and negations: words alone
    would take "12 million" for "13 million". Two currencies never agree.
    """
    if not normalised(said) or other_currency(said, wanted):
        return False
    if pure_number(said) and pure_number(wanted):
        return numeric_match(said, [wanted])
    same_facts = figures(said) == figures(wanted) and values(said) == values(wanted) and denied(said) == denied(wanted)
    return same_facts and token_f1(said, [wanted]) >= SAME_WORDS


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
