"""What can be told of a draft without asking anyone: a row of numbers, each at hand when the draft is."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from understudy.agents.deferral.outcomes import Peers
from understudy.core.access import Ground, Principal
from understudy.core.matching import normalised
from understudy.core.types import Draft, Evidence, Finding, Scope

__all__ = ["DISTANCE", "Nearest", "signals_of", "track_record"]

KEPT = 256
"""Latest examples that a question is compared with."""
DISTANCE = "example_distance"
PRIOR = 2.0
"""Comparisons that a prior is worth."""
DIGIT = re.compile(r"\d")


def signals_of(question: str, draft: Draft, evidence: Evidence, taken: Mapping[str, float]) -> dict[str, float]:
    """The signals of a draft.

    Args:
        question: as it was asked.
        draft: with its log-probabilities and citations.
        evidence: that it was drawn from.
        taken: those of the steps: `choice_entropy` (nats), `quote_mean_logprob` and `quote_min_logprob` (of models that
            write quotes), `steps`, `tool_errors` (counts).
    """
    found = {
        **taken,
        "mean_logprob": draft.mean_logprob,
        "min_logprob": draft.min_logprob,
        "removed_mass": draft.removed_mass,
        "support": logit(draft.support),
        "question_words": math.log1p(len(question.split())),
        "answer_words": math.log1p(len(draft.text.split())),
        "answer_has_digits": float(bool(DIGIT.search(draft.text))),
        "quotes": float(sum(c.kind == "quote" for c in draft.citations)),
        **ranking(draft, evidence),
        **reading(draft, evidence),
    }
    return {name: value for name, value in found.items() if math.isfinite(value)}


def ranking(draft: Draft, evidence: Evidence) -> dict[str, float]:
    """How well the evidence was found: scores, margin, and whether dense and lexical ranks agree on what is cited."""
    scores = sorted((p.score for p in evidence.passages), reverse=True)
    if not scores:
        return {}
    found = {"evidence_score": scores[0], "evidence_margin": scores[0] - scores[1] if len(scores) > 1 else scores[0]}
    cited = {(c.document, c.start) for c in draft.citations}
    used = [p for p in evidence.passages if any(p.document == d and p.start <= at < p.end for d, at in cited)]
    if used:
        best = max(used, key=lambda p: p.score)
        found["cited_score"] = best.score
        found["rank_agreement"] = math.sqrt(reciprocal(best.dense_rank) * reciprocal(best.lexical_rank))
        found["from_table"] = float(best.table)
    return found


def reading(draft: Draft, evidence: Evidence) -> dict[str, float]:
    """What the reader says: the best span, its lead over the next other one, and whether the draft is that span."""
    judged = {"answerable": evidence.answerable, "expected": evidence.expected}
    found = {name: logit(p) for name, p in judged.items() if p is not None}
    spans = sorted((f for f in evidence.findings if f.origin == "reader"), key=lambda f: -f.score)
    said = normalised(draft.text)
    if spans:
        others = [f.score for f in spans if normalised(f.text) != normalised(spans[0].text)]
        found["reader_best"] = logit(spans[0].score)
        found["reader_margin"] = spans[0].score - max(others, default=0.0)
        found["reader_agrees"] = float(said == normalised(spans[0].text))
    results = [f for f in evidence.findings if f.origin in ("calculator", "table") and normalised(f.text) == said]
    if results:
        found["calculated"] = float(any(f.origin == "calculator" for f in results))
        found["looked_up"] = min(input_scores(results[0], evidence), default=results[0].score)
    return found


def track_record(peers: Peers) -> dict[str, float]:
    """How far drafts were right on the same question of other documents, and those that said the same.

    Only what was asked before counts (ordered target statistics, Prokhorenkova et al. 2018, arXiv 1706.09516), so the
    signal is worth as much on new questions as on those it is learned from. Shares are drawn towards one half, and
    those of the same answer towards those of the question.
    """
    question = (peers.right + PRIOR / 2) / (peers.compared + PRIOR)
    same = (peers.same_right + PRIOR * question) / (peers.same_compared + PRIOR)
    return {
        "peers": math.log1p(peers.compared),
        "peers_right": logit(question),
        "peers_saying_it": math.log1p(peers.same_compared),
        "peers_right_saying_it": logit(same),
    }


def input_scores(finding: Finding, evidence: Evidence) -> Sequence[float]:
    """The scores of the cells that a result was worked out from."""
    return [evidence.findings[at].score for at in finding.inputs]


def reciprocal(rank: int | None) -> float:
    """1 / rank, ranks from 0; a passage that one ranking doesn't have counts as its hundredth."""
    return 1 / (1 + (99 if rank is None else rank))


def logit(probability: float) -> float:
    """Log odds, kept finite: scores differ most near 0 and 1."""
    p = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(p / (1 - p))


Asked = tuple[str, tuple[Ground, ...]]
"""A question that an expert has answered, and what it rests on."""


class Nearest:
    """How far a question is from those that an expert has answered in its collection.

    Args:
        embed: unit vectors of some texts.
        known: the latest answered questions of a collection, read when the collection is first asked.
    """

    def __init__(
        self, embed: Callable[[list[str]], Sequence[Sequence[float]]], known: Callable[[str], Sequence[Asked]]
    ) -> None:
        self._embed = embed
        self._known = known
        self._held: dict[str, tuple[NDArray[np.float32], tuple[tuple[Ground, ...], ...]]] = {}
        self._by: Principal | None = None

    def seen_by(self, principal: Principal) -> Nearest:
        """The same, of the questions alone that rest on what somebody may read."""
        other = copy.copy(self)
        other._by = principal
        return other

    def distance(self, question: str, scope: Scope) -> float | None:
        """1 - cosine to the nearest; `None` where there is none."""
        if scope.collection not in self._held:
            latest = list(self._known(scope.collection))[-KEPT:]
            self._held[scope.collection] = self._embedded([q for q, _ in latest]), tuple(g for _, g in latest)
        vectors, grounds = self._held[scope.collection]
        open_ones = [n for n, held in enumerate(grounds) if self._by is None or self._by.may_use(held)]
        if not open_ones:
            return None
        return float(1 - (vectors[open_ones] @ self._embedded([question])[0]).max())

    def add(self, question: str, scope: Scope, grounds: tuple[Ground, ...] = ()) -> None:
        """One more was answered."""
        if scope.collection in self._held:
            vectors, before = self._held[scope.collection]
            rows = self._embedded([question])
            rows = np.concatenate([vectors, rows])[-KEPT:] if len(vectors) else rows
            self._held[scope.collection] = rows, (*before, grounds)[-KEPT:]

    def forget(self) -> None:
        """Read what is known anew when it is next needed: some of it is gone."""
        self._held.clear()

    def _embedded(self, texts: list[str]) -> NDArray[np.float32]:
        return np.array(self._embed(texts), dtype=np.float32) if texts else np.zeros((0, 0), dtype=np.float32)
