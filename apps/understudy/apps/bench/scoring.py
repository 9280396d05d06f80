"""What one answer of the agent is worth, and what many of them amount to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from understudy.apps.bench.data import Question
from understudy.apps.metrics import auroc, interval, quantile
from understudy.core.matching import contains_answer, exact_match, numeric_match, pure_number, token_f1
from understudy.core.types import Answer, StepRecord
from understudy.core.usage import SmallTokens

__all__ = [
    "Scored",
    "arguments",
    "cites",
    "cites_evidence",
    "grounds",
    "quality",
    "repeats",
    "score_answer",
    "summary",
]

NO_EXPERT = "no expert is configured"
"""In the reason of an answer that the judge would have deferred."""
PLAIN_STEPS = frozenset({"answer", "consult", "decline"})
OUTCOMES = frozenset({"seconds", "passages", "result"})
"""Fields of a step's record that say what came of it."""


@dataclass(frozen=True)
class Scored:
    """A question with what the agent made of it; `answer` is `None` where it failed."""

    question: Question
    answer: Answer | None
    exact: float
    f1: float
    seconds: float

    @property
    def route(self) -> str:
        """Local answers that the judge accepted are `local`; those it would have deferred are `local_deferred`."""
        if self.answer is None:
            return "failed"
        deferred = self.answer.route == "local" and NO_EXPERT in self.answer.reason
        return "local_deferred" if deferred else self.answer.route

    @property
    def confidence(self) -> float:
        """The answer's own, on every route; a question that failed has none."""
        return self.answer.confidence if self.answer else 0.0

    @property
    def llama_seconds(self) -> float:
        """Wall time inside llama.cpp."""
        steps = self.answer.steps if self.answer else ()
        return sum(float((s.model_extra or {}).get("seconds", 0.0)) for s in steps)


def score_answer(question: Question, answer: Answer | None, seconds: float) -> Scored:
    """Score an answer: declining is the empty answer, which is right where the question can't be answered.

    Where gold is a plain number only the number counts, sign and scale included, and F1 equals exact match for
    questions of arithmetic and counting.
    """
    if answer is None:
        return Scored(question, None, 0.0, 0.0, seconds)
    text = "" if answer.route == "declined" else answer.text
    numeric = bool(question.kind) and any(pure_number(g) for g in question.answers)
    exact = float(numeric_match(text, question.answers)) if numeric else exact_match(text, question.answers)
    derived = question.kind in ("arithmetic", "count")
    f1 = exact if derived else max(exact, token_f1(text, question.answers))
    return Scored(question, answer, exact, f1, seconds)


def cites(answer: Answer | None, document: str) -> bool:
    """Whether an answer quotes a document."""
    return answer is not None and any(c.kind == "quote" and c.document == document for c in answer.citations)


def cites_evidence(question: Question, answer: Answer | None) -> bool:
    """Whether an answer quotes words of the gold document that hold a gold answer."""
    quotes = (
        [c.quote for c in answer.citations if c.kind == "quote" and c.document == question.document] if answer else []
    )
    return any(contains_answer(quote, question.answers) for quote in quotes)


def arguments(step: StepRecord) -> dict[str, Any]:
    """What a step asked for, without what came of it."""
    return {k: v for k, v in (step.model_extra or {}).items() if k not in OUTCOMES}


def distinct(steps: Sequence[StepRecord]) -> list[StepRecord]:
    """The steps that don't repeat an earlier one."""
    kept: list[StepRecord] = []
    for step in steps:
        if all((step.kind, arguments(step)) != (k.kind, arguments(k)) for k in kept):
            kept.append(step)
    return kept


def repeats(steps: Sequence[StepRecord]) -> int:
    """Steps that repeat an earlier one; the agent says so instead of taking them again."""
    return len(steps) - len(distinct(steps))


def valid_steps(steps: Sequence[StepRecord], tools: frozenset[str]) -> int:
    """Steps of a known kind that don't repeat an earlier one."""
    return sum(step.kind in tools | PLAIN_STEPS for step in distinct(steps))


def quality(scored: Sequence[Scored], seed: int) -> dict[str, Any]:
    """Exact match and F1 with their intervals."""
    return {"exact_match": interval([s.exact for s in scored], seed), "f1": interval([s.f1 for s in scored], seed)}


def summary(scored: Sequence[Scored], tools: frozenset[str], seed: int) -> dict[str, Any]:
    """All figures of a set of questions."""
    parts = {"all": list(scored)}
    for name in sorted({group_of(s.question) for s in scored}):
        parts[name] = [s for s in scored if group_of(s.question) == name]
    return {
        "questions": len(scored),
        "routes": dict(sorted(Counter(s.route for s in scored).items())),
        "quality": {name: quality(part, seed) for name, part in parts.items()},
        "accepted_local": quality([s for s in scored if s.route == "local"], seed),
        "deferred_local": quality([s for s in scored if s.route == "local_deferred"], seed),
        **grounds(scored, seed),
        "cost": cost(scored),
        "steps": step_figures(scored, tools),
    }


def grounds(scored: Sequence[Scored], seed: int) -> dict[str, Any]:
    """Whether answers that are spans of their document (those of `squad`) are cited, and whether the confidence tells.

    `evidence_cited` is the share of answerable questions with the right words quoted; `confidence_auroc` is that of
    the answer's confidence for answerable against unanswerable ones. Empty for sets of other questions.
    """
    plain = [s for s in scored if not s.question.kind]
    answerable = [s for s in plain if s.question.answerable]
    unanswerable = [s for s in plain if not s.question.answerable]
    if not plain:
        return {}
    return {
        "evidence_cited": interval([float(cites_evidence(s.question, s.answer)) for s in answerable], seed),
        "confidence_auroc": auroc([s.confidence for s in answerable], [s.confidence for s in unanswerable], seed),
    }


def group_of(question: Question) -> str:
    """The answer type of `tatqa`, else whether there is an answer."""
    return question.kind or ("answerable" if question.answerable else "unanswerable")


def cost(scored: Sequence[Scored]) -> dict[str, Any]:
    """Seconds a question, the share of them outside llama.cpp, and tokens."""
    answered = [s for s in scored if s.answer is not None]
    latency = sum(s.seconds for s in answered)
    inside = sum(s.llama_seconds for s in answered)
    tokens = sum((s.answer.tokens.small for s in answered if s.answer), SmallTokens())
    prompt = tokens.evaluated + tokens.reused
    written = tokens.forced + tokens.generated
    return {
        "seconds_p50": round(quantile([s.seconds for s in answered], 0.5), 3),
        "seconds_p95": round(quantile([s.seconds for s in answered], 0.95), 3),
        "outside_llama_share": round(1 - inside / latency, 4) if latency else 0.0,
        "outside_llama_seconds_p50": round(quantile([s.seconds - s.llama_seconds for s in answered], 0.5), 3),
        "tokens": tokens.model_dump(),
        "prompt_reused_share": round(tokens.reused / prompt, 4) if prompt else 0.0,
        "written_forced_share": round(tokens.forced / written, 4) if written else 0.0,
        "share_of_all_tokens": {k: round(v / max(1, prompt + written), 4) for k, v in tokens.model_dump().items()},
    }


def step_figures(scored: Sequence[Scored], tools: frozenset[str]) -> dict[str, Any]:
    """Steps a question, which, and the share that is of a known kind and no repetition."""
    taken = [s.answer.steps for s in scored if s.answer is not None]
    total = sum(map(len, taken))
    valid = sum(valid_steps(steps, tools) for steps in taken)
    return {
        "total": total,
        "valid_share": round(valid / total, 4) if total else 0.0,
        "a_question": round(total / len(taken), 3) if taken else 0.0,
        "kinds": dict(sorted(Counter(step.kind for steps in taken for step in steps).items())),
    }
