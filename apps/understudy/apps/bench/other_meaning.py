"""Templates that ask nearly the same, and something else."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from understudy.apps.bench.same_meaning import AUXILIARY, SMALL, Template

__all__ = ["MISSES", "names_in", "other_name"]

OPPOSITES = {
    "assets": "liabilities", "before": "after", "maximum": "minimum", "increase": "decrease", "income": "expense",
    "first": "last", "most": "least", "largest": "smallest", "highest": "lowest", "more": "less",
    "current": "noncurrent", "north": "south", "east": "west", "basic": "diluted", "gross": "net", "profit": "loss",
    "beginning": "end", "early": "late", "old": "new", "higher": "lower", "short": "long", "domestic": "foreign",
    "above": "below", "causes": "symptoms", "treatments": "symptoms", "acute": "chronic", "benefits": "risks",
    "buy": "sell", "payable": "receivable", "opening": "closing", "upper": "lower", "males": "females",
    "inside": "outside",
}  # fmt: skip
NAME = re.compile(r"(?<=[a-z] )[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*(?=[ ?,])")
YEAR = re.compile(r"\b(1[5-9]\d\d|20[0-4]\d)\b")
AMOUNT = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w,.]*\d)")
UNITS = [
    ("million", "thousand"), ("billion", "million"), ("percent", "dollars"), ("percentage", "amount"),
    ("quarter", "month"), ("annual", "monthly"), ("years", "months"), ("miles", "kilometers"), ("hours", "days"),
    ("year", "quarter"), ("per share", "per employee"), ("average", "total"), ("total", "median"),
    ("children", "adults"), ("first quarter", "second quarter"), ("three months", "nine months"), ("feet", "meters"),
    ("week", "month"),
]  # fmt: skip


def negated(question: str, _rng: random.Random) -> str | None:
    """The opposite, by a "not" or without it."""
    if re.search(r" not ", question):
        return question.replace(" not ", " ", 1)
    found = re.search(rf"\b{AUXILIARY}\b", question, re.IGNORECASE)
    return f"{question[: found.end()]} not{question[found.end() :]}" if found else None


def reversed_names(question: str, _rng: random.Random) -> str | None:
    """Two names in each other's place."""
    found = list(NAME.finditer(question.replace("?", " ?")))
    if len(found) < 2 or found[0].group() == found[1].group():
        return None
    a, b = found[0], found[1]
    between = question[a.end() : b.start()]
    if re.fullmatch(r",? (and|or|&) |, ", between):
        return None  # "A and B" is "B and A"
    return question[: a.start()] + b.group() + between + a.group() + question[b.end() :]


def turned(question: str, _rng: random.Random) -> str | None:
    """Who did it, against to whom it was done."""
    if found := re.fullmatch(r"(Who|Which \w+|What \w+) ([a-z]+ed) (.+)\?", question):
        return f"{found[1]} was {found[2]} by {found[3]}?"
    if found := re.fullmatch(r"(Who|What) (was|were) ([a-z]+ed) by (.+)\?", question):
        return f"{found[1]} {found[3]} {found[4]}?"
    if found := re.fullmatch(r"Who (?:was|were) (.+) ([a-z]+ed) by\?", question):
        return f"Who was {found[2]} by {found[1]}?"
    return None


def both_ways(question: str, rng: random.Random) -> str | None:
    """Turn "from A to B" into "from B to A", and the like."""
    found = re.search(r"\b(from|between) ([\w.,’'-]+(?: [A-Z]\w+)*) (to) ([\w’'-]+(?: [A-Z]\w+)*)", question)
    return (
        f"{question[: found.start()]}{found[1]} {found[4]} {found[3]} {found[2]}{question[found.end() :]}"
        if found and found[2] != found[4]
        else None
    )


def other_year(question: str, rng: random.Random) -> str | None:
    """Another year."""
    years = list(YEAR.finditer(question))
    if not years:
        return None
    at = rng.choice(years)
    changed = str(int(at.group()) + rng.choice([-10, -1, 1, 2]))
    return None if changed in question else question[: at.start()] + changed + question[at.end() :]


def other_number(question: str, rng: random.Random) -> str | None:
    """Another number, in digits or in words."""
    found = [m for m in AMOUNT.finditer(question) if not YEAR.fullmatch(m.group())]
    if found:
        at = rng.choice(found)
        return question[: at.start()] + str(int(re.sub(r"\D", "", at.group())[:6]) + 1) + question[at.end() :]
    for word, digit in SMALL.items():
        if re.search(rf"\b{word}\b", question):
            return re.sub(rf"\b{word}\b", "eleven" if digit != 11 else "nine", question, count=1)
    return None


def other_unit(question: str, rng: random.Random) -> str | None:
    """Another unit, period or statistic."""
    found = [(a, b) for a, b in UNITS if re.search(rf"\b{a}\b", question)]
    if not found:
        return None
    a, b = rng.choice(found)
    return re.sub(rf"\b{a}\b", b, question, count=1)


def other_metric(question: str, rng: random.Random) -> str | None:
    """A word replaced by its opposite."""
    both = OPPOSITES | {b: a for a, b in OPPOSITES.items()}
    found = [w for w in both if re.search(rf"\b{w}\b", question)]
    chosen = rng.choice(found) if found else None
    return re.sub(rf"\b{chosen}\b", both[chosen], question, count=1) if chosen else None


def other_kind(question: str, rng: random.Random) -> str | None:
    """Another thing asked of the same."""
    swaps = {"Who": "When", "When": "Where", "Where": "When", "Why": "How", "How many": "Which", "How much": "Why"}
    for start, other in swaps.items():
        if question.startswith(f"{start} "):
            return other + question[len(start) :]
    return None


def other_tense(question: str, _rng: random.Random) -> str | None:
    """What is now, against what was then; with a year it would be the same."""
    if YEAR.search(question):
        return None
    swaps = {"is": "was", "was": "is", "are": "were", "were": "are", "does": "did", "did": "does"}
    found = re.match(r"(Who|What|Where|How|Which \w+) (is|was|are|were|does|did) ", question)
    return question[: found.start(2)] + swaps[found[2]] + question[found.end(2) :] if found else None


def names_in(questions: Sequence[str]) -> list[str]:
    """The names of some questions, each once."""
    return sorted({m.group() for q in questions for m in NAME.finditer(q.replace("?", " ?"))})


def other_name(names: Sequence[str]) -> Template:
    """A template that puts one of these names for one of the question's."""

    def template(question: str, rng: random.Random) -> str | None:
        found = list(NAME.finditer(question.replace("?", " ?")))
        if not found:
            return None
        at, name = rng.choice(found), rng.choice(names)
        return None if name in question or at.group() in name else question[: at.start()] + name + question[at.end() :]

    return template


MISSES: Mapping[str, Sequence[Template]] = {
    "negation": (negated,),
    "reversed names": (reversed_names,),
    "reversed voice": (turned,),
    "both ways": (both_ways,),
    "other year": (other_year,),
    "other number": (other_number,),
    "other unit or period": (other_unit,),
    "other metric": (other_metric,),
    "other kind": (other_kind,),
    "other tense": (other_tense,),
}
