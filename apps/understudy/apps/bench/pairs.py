"""Pairs of questions made from real ones by templates: paraphrases, and near misses that ask something else.

The templates say how people vary a question, not how the cache compares two: they know nothing of its rules.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from understudy.apps.bench.other_meaning import MISSES, names_in, other_name
from understudy.apps.bench.same_meaning import PARAPHRASES, Template

__all__ = ["MISSES", "PARAPHRASES", "Pair", "near_misses", "paraphrases"]

OTHER_NAME = "other name"


@dataclass(frozen=True)
class Pair:
    """Two questions, and whether one's answer answers the other."""

    kind: str
    first: str
    second: str
    same: bool
    source: int = 0
    """Number of the question that it was made from: pairs of one question stand or fall together."""


def paraphrases(questions: Sequence[str], per_kind: int, seed: int) -> list[Pair]:
    """At most `per_kind` pairs of every kind that ask the same."""
    return [
        p
        for kind, templates in PARAPHRASES.items()
        for p in made(kind, templates, questions, per_kind, seed, same=True)
    ]


def near_misses(questions: Sequence[str], per_kind: int, seed: int) -> list[Pair]:
    """At most `per_kind` pairs of every kind that ask something else, half of them in other words besides."""
    kinds = {**MISSES, OTHER_NAME: (other_name(names_in(questions)),)}
    found = [p for kind, t in kinds.items() for p in made(kind, t, questions, per_kind, seed, same=False)]
    rng = random.Random(seed)
    return [reworded(p, rng) if p.kind != "other tense" and rng.random() < 0.5 else p for p in found]  # some lose it


def reworded(pair: Pair, rng: random.Random) -> Pair:
    """The pair with its second question in other words, if any template has some."""
    templates = [t for kind in PARAPHRASES.values() for t in kind]
    rng.shuffle(templates)
    second = next((s for t in templates if (s := t(pair.second, rng)) and s != pair.second), pair.second)
    return Pair(pair.kind, pair.first, second, pair.same, pair.source)


def made(
    kind: str, templates: Sequence[Template], questions: Sequence[str], most: int, seed: int, *, same: bool
) -> list[Pair]:
    """Pairs by the templates of a kind, from questions in a random order."""
    rng = random.Random(f"{seed}{kind}")
    order = rng.sample(range(len(questions)), len(questions))
    found: list[Pair] = []
    for at in order:
        if len(found) >= most:
            break
        question = questions[at].strip()
        changed = next((c for t in templates if (c := t(question, rng))), None)
        if (changed and changed.casefold() != question.casefold()) or (changed and kind == "typed"):
            found.append(Pair(kind, question, changed, same, at))
    return found
