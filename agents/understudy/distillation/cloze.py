"""Cloze readings: a name, number or date of a sentence is asked for, its passage has to give it.

Unsupervised question answering after Lewis, Denoyer and Riedel 2019 (arXiv 1906.04980): the blank becomes a question
word of the kind of thing that is missing, and part of the sentence is moved or left out, so that copying isn't enough.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Reading", "cloze_readings", "sentences"]

SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]?")
MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
NAME = r"[A-Z][\w'’-]+"
BEFORE = "the|an?|by|of|to|as|called|with|from|in"
KINDS: tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...] = (
    ("date", re.compile(rf"{MONTH} \d{{1,2}}, \d{{4}}|\d{{1,2}} {MONTH} \d{{4}}|{MONTH} \d{{4}}"),
     ("when", "on what date", "what date")),
    ("year", re.compile(r"\b(?:1[0-9]|20)\d\d(?:s\b|–\d+)?"), ("when", "what year", "in what year", "which year")),
    ("number", re.compile(r"(?:[$€£] ?)?\b\d[\d,.]*\d?(?: ?%| (?:percent|million|billion|years|days|months|people))?"),
     ("how many", "how much", "what number of", "what percentage")),
    ("name", re.compile(rf"\b{NAME}(?:(?: (?:of|de|the|and) | ){NAME})+"),
     ("who", "what", "which", "what is the name of the one that", "where", "whose")),
    ("word", re.compile(rf"(?<=[a-z,] )\b{NAME}"), ("who", "what", "which", "where")),
    ("phrase", re.compile(rf"\b(?:{BEFORE}) (?P<blank>[a-z][a-z-]{{3,}}(?: [a-z-]{{4,}}){{0,3}})"),
     ("what", "what kind of", "which", "what type of", "how", "why")),
)  # fmt: skip
"""What can be asked for, and by which question words."""
PLACED = re.compile(r"\b(?:in|at|near|from)\s*$", re.IGNORECASE)
DONE_BY = re.compile(r"\b(?:by|with)\s*$", re.IGNORECASE)
LITTLE = re.compile(r"an?|the|of|to|in|on|at|by|for|and|or|as|is|was|are|were|be|been|ha[sd]|have|that|this|its", re.I)


@dataclass(frozen=True)
class Reading:
    """A question on a passage. `start` and `end` are code points of the passage, `None` where it doesn't answer."""

    question: str
    title: str
    passage: str
    start: int | None
    end: int | None
    group: str
    """What must stay on one side of a split: the article or document."""


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences of a text."""
    found = []
    for match in SENTENCE.finditer(text):
        lead = len(match.group()) - len(match.group().lstrip())
        if len(match.group().strip()) > 1:
            found.append((match.start() + lead, match.end()))
    return found


def cloze_readings(
    passages: Iterable[tuple[str, str, str]], rng: random.Random, *, each: int, missing: float
) -> Iterator[Reading]:
    """At most `each` clozes of every passage.

    Args:
        passages: group, title and text of each.
        rng: decides everything.
        each: clozes a passage.
        missing: the share of them asked of the passage without the sentence, so that there is no answer.
    """
    for group, title, text in passages:
        spans = [(a, b) for a, b in sentences(text) if 40 <= b - a <= 320]
        for a, b in rng.sample(spans, min(each, len(spans))):
            blank = choose_blank(text[a:b], rng)
            if blank is None:
                continue
            start, end, words = blank
            question = ask_for(text[a:b], start, end, words, rng)
            answer = text[a + start : a + end]
            without = f"{text[:a].rstrip()} {text[b:].lstrip()}".strip()
            if rng.random() < missing and len(without) > 80 and answer not in without:
                yield Reading(question, title, without, None, None, group)
            else:
                yield Reading(question, title, text, a + start, a + end, group)


def choose_blank(sentence: str, rng: random.Random) -> tuple[int, int, tuple[str, ...]] | None:
    """What to ask for in a sentence: its place, and the question words that fit."""
    kinds = list(KINDS)
    rng.shuffle(kinds)
    for kind, pattern, words in kinds:
        found = [m for m in pattern.finditer(sentence) if m.start() > 0 or kind == "name"]
        if not found:
            continue
        match = rng.choice(found)
        before = sentence[: match.start()]
        if kind in ("name", "word") and PLACED.search(before):
            words = ("where", "in which place", "what")
        elif kind in ("name", "word") and DONE_BY.search(before):
            words = ("who", "by whom", "what")
        start, end = match.span("blank" if kind == "phrase" else 0)
        return start, end, words
    return None


def ask_for(sentence: str, start: int, end: int, words: tuple[str, ...], rng: random.Random) -> str:
    """The sentence as a question about its blank: in place, turned round, or only what stands near it."""
    before, after = sentence[:start].split(), sentence[end:].rstrip(" .!?").split()
    if rng.random() < 0.6:
        before, after = before[-rng.randint(3, 10) :], after[: rng.randint(3, 10)]
    before, after = thinned(before, rng), thinned(after, rng)
    asked = rng.choice(words)
    form = rng.random()
    if form < 0.3:
        parts = [*before, asked, *after]
    elif form < 0.65:
        parts = [asked, *after, *before]
    else:
        parts = [asked, *before, *after]
    return " ".join(parts).strip(" ,;:") + "?"


def thinned(words: list[str], rng: random.Random) -> list[str]:
    """Some words left out, little ones more often."""
    return [w for w in words if rng.random() > (0.35 if LITTLE.fullmatch(w) else 0.12)]
