"""More readings out of those there are: other passages, changed questions, parts of passages."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from understudy.distillation.cloze import Reading, sentences

__all__ = ["changed_questions", "cropped", "near_misses", "noisy"]

NAMED = re.compile(r"(?<=\w )[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*|\b\d[\d,.]*\b")
OPPOSITES = dict(
    pair
    for a, b in (
        ("first", "last"), ("most", "least"), ("largest", "smallest"), ("before", "after"), ("highest", "lowest"),
        ("more", "less"), ("increase", "decrease"), ("early", "late"), ("north", "south"), ("east", "west"),
        ("best", "worst"), ("win", "lose"), ("won", "lost"), ("begin", "end"), ("began", "ended"), ("major", "minor"),
        ("above", "below"), ("rise", "fall"), ("old", "new"), ("always", "never"), ("male", "female"),
    )
    for pair in ((a, b), (b, a))
)  # fmt: skip
DENIED = 0.1
"""Share of the changed questions that are negated: more, and a "not" alone would tell them."""
AUXILIARY = re.compile(r"\b(did|does|do|was|were|is|are|has|have|had|can|could|would|will|should)\b", re.IGNORECASE)


def without_answer(reading: Reading, *, question: str | None = None, passage: str | None = None) -> Reading:
    """The reading with another question or passage, to which there is no answer."""
    return Reading(question or reading.question, reading.title, passage or reading.passage, None, None, reading.group)


def near_misses(readings: Sequence[Reading], share: float, rng: random.Random) -> Iterator[Reading]:
    """Questions on another passage of their own article that doesn't hold the answer."""
    by_group: dict[str, dict[str, None]] = defaultdict(dict)
    for reading in readings:
        by_group[reading.group][reading.passage] = None
    for reading in readings:
        if reading.start is None or rng.random() >= share:
            continue
        answer = reading.passage[reading.start : reading.end]
        others = [p for p in by_group[reading.group] if p != reading.passage and answer not in p]
        if others:
            yield without_answer(reading, passage=rng.choice(others))


def changed_questions(readings: Sequence[Reading], share: float, rng: random.Random) -> Iterator[Reading]:
    """Questions that their passage no longer answers: another name or number, an opposite, or a negation.

    These are the ways in which people made questions unanswerable for SQuAD 2.0 (Rajpurkar, Jia and Liang 2018).
    """
    names: dict[str, list[str]] = defaultdict(list)
    for reading in readings:
        names[reading.group] += NAMED.findall(reading.question)
    for reading in readings:
        if reading.start is None or rng.random() >= share:
            continue
        change = swapped(reading, names[reading.group], rng) or opposed(reading.question)
        if rng.random() < DENIED:
            change = negated(reading.question) or change
        if change is not None:
            yield without_answer(reading, question=change)


def swapped(reading: Reading, names: Sequence[str], rng: random.Random) -> str | None:
    """A name or number of the question replaced by another one of the same kind."""
    found = [m for m in NAMED.finditer(reading.question)]
    if not found:
        return None
    match = rng.choice(found)
    number = match.group()[0].isdigit()
    answer = reading.passage[reading.start : reading.end]
    near = [m.group() for m in NAMED.finditer(reading.passage)]
    others = [
        n
        for n in (near if rng.random() < 0.5 and near else names)
        if n[0].isdigit() == number and n not in reading.question and n not in answer and match.group() not in n
    ]
    if not others:
        return None
    return reading.question[: match.start()] + rng.choice(others) + reading.question[match.end() :]


def opposed(question: str) -> str | None:
    """A word replaced by its opposite."""
    words = question.split(" ")
    for at, word in enumerate(words):
        if word.lower().strip("?,") in OPPOSITES:
            words[at] = OPPOSITES[word.lower().strip("?,")] + ("?" if word.endswith("?") else "")
            return " ".join(words)
    return None


def negated(question: str) -> str | None:
    """The question with its first verb denied."""
    match = AUXILIARY.search(question)
    return f"{question[: match.end()]} not{question[match.end() :]}" if match else None


def cropped(reading: Reading, rng: random.Random) -> Reading:
    """The reading on a run of the passage's sentences, those of the answer among them. Tables stay whole."""
    spans = sentences(reading.passage)
    if len(spans) < 3 or "\n|" in reading.passage:
        return reading
    if reading.start is None or reading.end is None:
        first = last = rng.randrange(len(spans))
    else:
        start, end = reading.start, reading.end
        held = [i for i, (a, b) in enumerate(spans) if a < end and b > start]
        first, last = held[0], held[-1]
    first, last = max(0, first - rng.randint(0, 3)), min(len(spans) - 1, last + rng.randint(0, 3))
    a, b = spans[first][0], spans[last][1]
    start_in = None if reading.start is None else reading.start - a
    end_in = None if reading.end is None else reading.end - a
    return Reading(reading.question, reading.title, reading.passage[a:b], start_in, end_in, reading.group)


def noisy(question: str, rng: random.Random) -> str:
    """A question as people type it: without its mark, a word left out, two letters exchanged."""
    words = question.rstrip("? ").split(" ")
    if len(words) > 5 and rng.random() < 0.5:
        del words[rng.randrange(1, len(words))]
    if rng.random() < 0.3:
        at = rng.randrange(len(words))
        word = words[at]
        if len(word) > 4:
            i = rng.randrange(1, len(word) - 2)
            words[at] = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    return " ".join(words) + ("?" if rng.random() < 0.5 else "")
