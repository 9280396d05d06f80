"""Examples as training rows: JSONL in the conversational prompt-completion form that TRL and `datasets` read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from understudy.core.steps import LONGEST_ANSWER, MOST_QUOTES, AnswerStep, Decline, Quote
from understudy.core.types import Example, Message, Passage
from understudy.distillation.curate import Curated

__all__ = ["rows", "taught_step", "to_jsonl"]


def rows(curated: Iterable[Curated], roles: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One row an example, with its role and the reason where it was left out.

    `prompt` is the transcript up to its last decision, `completion` the step that the expert's answer teaches (none
    where nothing can be learned): TRL takes the loss on the completion alone.
    """
    for item, role in zip(curated, roles, strict=True):
        example, step = item.example, None if item.reason else taught_step(item.example)
        yield {
            "prompt": [m.model_dump() for m in before_last_step(example)],
            "completion": [] if step is None else [{"role": "assistant", "content": step.model_dump_json()}],
            "question": example.question,
            "collection": example.scope.collection,
            "document": example.scope.document,
            "label": example.label,
            "role": role,
            "rejected": item.reason,
            "route": "expert",
            "answer": example.expert.text,
            "citations": [c.model_dump() for c in example.expert.citations],
            "draft": None if example.draft is None else example.draft.text,
            "signals": example.signals,
            "versions": versions_of(example.evidence.passages),
            "expert": example.expert.expert,
            "may_train": example.expert.may_train,
            "cost_usd": example.expert.cost_usd,
            "small_model": example.small_model,
            "principal": example.principal,
        }


def versions_of(passages: Sequence[Passage]) -> list[dict[str, str]]:
    """Which documents were read, in which version."""
    return [{"document": d, "version": v} for d, v in {p.document: p.version for p in passages}.items()]


def before_last_step(example: Example) -> Sequence[Message]:
    """The transcript without the decision that the expert was asked about."""
    messages = example.transcript
    return messages[:-1] if messages and messages[-1].role == "assistant" else messages


def taught_step(example: Example) -> AnswerStep | Decline | None:
    """What the small model should have done: answer with these quotes, or decline; `None` where it can't be said."""
    expert = example.expert
    if sum(m.role == "user" for m in example.transcript) < 2:
        return None  # the model consulted before it had searched: its transcript shows none of the passages
    if expert.not_in_documents:
        return Decline(reason="not_in_documents")
    quotes = [
        Quote(passage=number, quote=c.quote)
        for c in expert.citations
        if (number := number_of(c.document, c.start, example.evidence.passages)) is not None
    ]
    if not quotes or not 0 < len(expert.text) <= LONGEST_ANSWER:
        return None
    return AnswerStep(quotes=quotes[:MOST_QUOTES], text=expert.text)


def number_of(document: str, start: int, passages: Sequence[Passage]) -> int | None:
    """The number (from 1) of the passage that holds a place of a document."""
    return next((n for n, p in enumerate(passages, 1) if p.document == document and p.start <= start < p.end), None)


def to_jsonl(found: Iterable[dict[str, Any]]) -> str:
    """One row a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
