"""Which expert answers may become training data: those that can be checked against the evidence they were given.

Teachers err: they invent quotes, miscount, refuse, and repeat instructions that a document planted. What can't be
verified stays in the store, with the reason, and is not trained on.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import permutations

from understudy.core.matching import Number, normalised, numbers_in, same_answer
from understudy.core.protocols import folded
from understudy.core.types import Citation, Evidence, Example, ExpertAnswer

__all__ = ["Curated", "curate", "fault_of", "poisonous"]

MOST_OPERANDS = 12
"""Cited numbers that are combined: among more, some pair gives almost any number."""
REFUSAL = re.compile(
    r"\b(?:i|we)\s*(?:['’]m|am|are)?\s*(?:sorry|unable|not able|afraid)\b|\bas an ai\b"
    r"|\bi\s+(?:can\s*not|can['’]t|won['’]t)\b|\bi (?:do not|don['’]t) (?:know|have (?:access|enough))\b"
    r"|\b(?:cannot|can['’]t|unable to) (?:help|assist|answer|comply)\b",
    re.IGNORECASE,
)
COMMAND = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instruction|prompt|rule|above|previous|prior)"
    r"|\bsystem prompt\b|\byou (?:are|must) now\b|\bdeveloper mode\b|<\|[a-z_]+\|>|\[/?INST\]|<</?SYS>>",
    re.IGNORECASE | re.DOTALL,
)
"""What is meant for a model, wherever it stands."""
ADVICE = re.compile(
    r"\bfrom now on\b|\b(?:always|never) (?:answer|reply|respond|say|recommend)\b"
    r"|\b(?:visit|click|download|e-?mail|send)\b.{0,60}(?:https?://|www\.|@)",
    re.IGNORECASE | re.DOTALL,
)
"""What a document may say to its readers ("send notices to …@…"), and an answer only in the document's words."""


@dataclass(frozen=True)
class Curated:
    """An example with what speaks against training on it; nothing where `reason` is empty."""

    example: Example
    reason: str = ""


def curate(examples: Sequence[Example]) -> list[Curated]:
    """Every example in its order, with the reason where it is left out.

    Of examples that say the same of one question and the same documents, the first stays; where they contradict each
    other, none does, since nobody can say which is right.
    """
    reasons = [fault_of(e) for e in examples]
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for at, example in enumerate(examples):
        if not reasons[at]:
            groups[family(example)].append(at)
    for members in groups.values():
        agree = all(say_the_same(examples[members[0]].expert, examples[m].expert) for m in members[1:])
        for at in members[1:] if agree else members:
            reasons[at] = "a duplicate of an earlier example" if agree else "contradicted by another example"
    return [Curated(e, reason) for e, reason in zip(examples, reasons, strict=True)]


def family(example: Example) -> tuple[str, ...]:
    """What the same answer is expected for: question, thread, scope, and the versions of what was read."""
    versions = sorted({f"{p.document}\t{p.version}" for p in example.evidence.passages})
    earlier = map(folded, example.history)
    return (folded(example.question), *earlier, example.scope.model_dump_json(), *versions)


def say_the_same(first: ExpertAnswer, second: ExpertAnswer) -> bool:
    """Whether two experts do: both find nothing, or their texts are the same answer."""
    if first.not_in_documents or second.not_in_documents:
        return first.not_in_documents and second.not_in_documents
    return same_answer(first.text, second.text)


def fault_of(example: Example) -> str:
    """Why one example, seen alone, may not be trained on; "" where it may."""
    expert = example.expert
    if not expert.may_train:
        return f"the terms of expert {expert.expert!r} don't allow training (may_train = false)"
    if carries_instruction(example):
        return "it carries an instruction"
    if REFUSAL.search(expert.text) or not normalised(expert.text):
        return "the expert refused"
    if expert.not_in_documents:
        return "" if example.evidence.passages else "nothing was searched"
    quotes = [c for c in expert.citations if c.kind == "quote"]
    if not quotes:
        return "it cites nothing"
    for quote in quotes:
        if not stands_in(quote, example.evidence):
            return f"the quote {quote.quote[:60]!r} is not in the evidence"
    return unproved(expert.text, [example.question, *(c.quote for c in quotes)])


def carries_instruction(example: Example) -> bool:
    """Whether an answer would teach to obey something that was planted."""
    expert, quotes = example.expert, "\n".join(c.quote for c in example.expert.citations)
    if any(COMMAND.search(said) for said in (example.question, expert.text, quotes)):
        return True
    advice = ADVICE.search(expert.text)
    return advice is not None and folded(advice[0]) not in folded(quotes)


def poisonous(example: Example) -> bool:
    """Whether an answer must never be given: it carries an instruction, or rests on words that are nowhere."""
    quotes = (c for c in example.expert.citations if c.kind == "quote")
    return carries_instruction(example) or not all(stands_in(quote, example.evidence) for quote in quotes)


def stands_in(quote: Citation, evidence: Evidence) -> bool:
    """Whether a quote is, character by character, where it says it is."""
    return any(
        p.document == quote.document
        and p.start <= quote.start < quote.end <= p.end
        and p.text[quote.start - p.start : quote.end - p.start] == quote.quote
        for p in evidence.passages
    )


def unproved(text: str, sources: Sequence[str]) -> str:
    """The first number of an answer that neither stands in the sources nor follows from two of their numbers."""
    known = [n.value for source in sources for n in numbers_in(source)]
    for number in numbers_in(text):
        if not any(close(number, value) for value in derivable(known)):
            return f"the number {text[number.start : number.end].strip()!r} can't be derived from the quotes"
    return ""


def derivable(values: Sequence[Decimal]) -> Iterator[Decimal]:
    """Numbers themselves, their sum and mean, and what two of them give: difference, product, ratio, change.

    Ratios and changes come as fractions too and in percent: `numbers_in` reads "5%" as 0.05.
    """
    yield from values
    distinct = list(dict.fromkeys(values))[:MOST_OPERANDS]
    if len(distinct) > 1:
        yield sum(distinct, Decimal(0))
        yield sum(distinct, Decimal(0)) / len(distinct)
    for a, b in permutations(distinct, 2):
        yield from (a - b, a + b, (a + b) / 2, a * b)
        if b:
            yield from (a / b, (a - b) / b, 100 * a / b, 100 * (a - b) / b)


def close(number: Number, value: Decimal) -> bool:
    """Equal up to rounding at the number's last digit; a sign may be said in words ("fell by 5%")."""
    return abs(abs(number.value) - abs(value)) <= number.unit / 2
