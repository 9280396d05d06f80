"""What a reader can learn from an expert's answer: on which passages it rests, at which words, and on which not."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from understudy.core.matching import normalised
from understudy.core.types import Citation, Example, ExpertAnswer, Passage
from understudy.distillation.encoded import Encoded
from understudy.retrieval.onnx_models import tokenizer_path
from understudy.retrieval.reader import LONGEST_SPAN, MAX_TOKENS, heading
from understudy.retrieval.verdict import polar, polarity

__all__ = ["Lesson", "encoded", "encoder", "lessons_of", "says", "widened"]

LEAST_OVERLAP = 20
"""Characters of a quote that a passage must hold to count as holding it."""
NEAREST = 2
"""Passages that rank highest and don't answer are always learned from: they are the easiest to be taken in by."""


@dataclass(frozen=True)
class Lesson:
    """A question on a passage. `start` and `end` are code points of its text, `None` where no span is known."""

    question: str
    passage: Passage
    answers: bool
    start: int | None = None
    end: int | None = None


def says(example: Example) -> bool | None:
    """Whether the expert said yes or no, where it was asked for that."""
    return polarity(example.expert.text) if polar(example.question) else None


def widened(example: Example, found: Sequence[Passage]) -> list[Passage]:
    """What a wider search brings now, and of what the expert saw the passages that it quotes."""
    quoted = [p for p in example.evidence.passages if any(overlap(c, p) for c in example.expert.citations)]
    places = {(p.document, p.start, p.end) for p in found}
    return [*found, *(p for p in quoted if (p.document, p.start, p.end) not in places)]


def lessons_of(example: Example, passages: Sequence[Passage], most: int, rng: random.Random) -> Iterator[Lesson]:
    """Every passage that the expert quotes, and `most` others at most.

    A "Yes" rests on its quotes without saying which words; "No" and "not in the documents" make lessons of what was
    searched in vain.
    """
    answering = [(p, quote_in(example.expert, p)) for p in passages]
    if says(example) is not False:
        for passage, quote in answering:
            if quote is not None:
                span = None if says(example) else span_of(example.expert.text, quote, passage)
                yield Lesson(example.question, passage, True, *(span or (None, None)))
    others = [p for p, quote in answering if quote is None]
    rest = others[NEAREST:]
    for passage in others[:NEAREST] + rng.sample(rest, min(max(0, most - NEAREST), len(rest))):
        yield Lesson(example.question, passage, False)


def quote_in(expert: ExpertAnswer, passage: Passage) -> Citation | None:
    """The first quote that a passage holds."""
    return next((c for c in expert.citations if overlap(c, passage)), None)


def overlap(citation: Citation, passage: Passage) -> bool:
    """Whether a passage holds a quote, or enough of it."""
    if citation.kind != "quote" or citation.document != passage.document:
        return False
    shared = min(citation.end, passage.end) - max(citation.start, passage.start)
    return shared >= min(LEAST_OVERLAP, citation.end - citation.start)


def span_of(text: str, quote: Citation, passage: Passage) -> tuple[int, int] | None:
    """Where the answer itself stands in a passage: inside the quote, or the whole quote where that is the answer."""
    start, end = max(quote.start, passage.start) - passage.start, min(quote.end, passage.end) - passage.start
    said, words = text.strip().rstrip("."), passage.text[start:end]
    # Whole words: "2 months" doesn't stand in "12 months".
    found = re.search(rf"(?!\B\w){re.escape(said)}(?<!\w\B)", words, re.IGNORECASE) if said else None
    if found is not None:
        return start + found.start(), start + found.end()
    return (start, end) if normalised(words) == normalised(text) else None


def encoder() -> Tokenizer:
    """The reader's tokenizer, cutting passages as training does: at the end of the first window."""
    tokenizer = Tokenizer.from_file(str(tokenizer_path()))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS, strategy="only_second")
    return tokenizer


def encoded(lesson: Lesson, tokenizer: Tokenizer) -> Encoded:
    """A lesson as the reader will see it."""
    before = heading(lesson.passage)
    read = tokenizer.encode(lesson.question.strip(), before + lesson.passage.text)
    if lesson.start is None or lesson.end is None:
        return Encoded(read.ids, read.type_ids, 0, 0, answers=lesson.answers)
    first, last = lesson.start + len(before), lesson.end + len(before)
    inside = [
        at for at, (a, b) in enumerate(read.offsets) if read.type_ids[at] == 1 and b > a and a < last and b > first
    ]
    whole = inside and len(inside) <= LONGEST_SPAN and read.offsets[inside[-1]][1] >= last
    start, end = (inside[0], inside[-1]) if whole else (0, 0)
    return Encoded(read.ids, read.type_ids, start, end, answers=lesson.answers)
