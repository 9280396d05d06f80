"""Suite `cache`: which wordings the answer cache knows, which near misses it takes for the same, and how fast."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from understudy.agents.cache.semantic import SemanticCache
from understudy.agents.cache.threshold import Threshold, prior_threshold
from understudy.agents.records import Records
from understudy.apps.bench.cache_prior import cosines, same_facts
from understudy.apps.bench.data import (
    Question,
    medquad_questions,
    other_questions,
    sample,
    squad_questions,
    tatqa_questions,
)
from understudy.apps.bench.pairs import Pair, near_misses, paraphrases
from understudy.apps.metrics import interval, quantile
from understudy.core.matching import token_f1
from understudy.core.protocols import Basis, Cached, CacheKey
from understudy.core.settings import Settings
from understudy.core.types import Answer, Scope
from understudy.retrieval.embed import MiniLM

__all__ = ["hits", "measure_cache", "people_pairs"]

PER_KIND = 100
ENTRIES = 10_000
ASKED = 200


def measure_cache(data: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Pairs by templates over measured questions; pairs by people; latency. The threshold is the one that ships."""
    settings, encoder = Settings(), MiniLM()
    shipped = prior_threshold(settings.cache.max_error, settings.deferral.confidence)
    threshold = Threshold(shipped, 0, 0, "prior")
    measured = [*squad_questions(data), *tatqa_questions(data), *sample(medquad_questions(data), 1000, seed)]
    texts = list(dict.fromkeys(q.text for q in measured))
    most = min(limit or PER_KIND, PER_KIND)
    same, misses = paraphrases(texts, most, seed), near_misses(texts, most, seed)
    people = {"squad": squad_questions(data), "tatqa": tatqa_questions(data)}
    people |= {
        "policyqa": other_questions(data, "policyqa", "test"),
        "covidqa": other_questions(data, "covidqa", "all"),
    }
    return {
        "threshold": threshold.cosine,
        "paraphrases_hit": interval([float(h) for h in hits(same, threshold, encoder)], seed),
        "near_misses_hit": interval([float(h) for h in hits(misses, threshold, encoder)], seed),
        "paraphrases": by_kind(same, threshold, encoder),
        "near misses": by_kind(misses, threshold, encoder),
        "pairs by people": [people_figures(name, found, threshold, encoder) for name, found in people.items()],
        "latency": latency(texts, encoder, min(limit or ASKED, ASKED)),
    }


def hits(pairs: Sequence[Pair], threshold: Threshold, encoder: MiniLM) -> list[bool]:
    """Whether the answer to one question of a pair would be given to the other."""
    return [same_facts(p) and threshold.allows(c) for p, c in zip(pairs, cosines(pairs, encoder), strict=True)]


def by_kind(pairs: Sequence[Pair], threshold: Threshold, encoder: MiniLM) -> list[dict[str, Any]]:
    """Hits of every kind of pair."""
    found: dict[str, list[bool]] = defaultdict(list)
    for pair, hit in zip(pairs, hits(pairs, threshold, encoder), strict=True):
        found[pair.kind].append(hit)
    return [{"kind": k, "pairs": len(h), "hit": sum(h), "share": round(sum(h) / len(h), 3)} for k, h in found.items()]


def people_pairs(questions: Sequence[Question]) -> list[Pair]:
    """All pairs of different questions that people asked of one document; the same where their gold answers agree."""
    by_document: dict[str, dict[str, Question]] = defaultdict(dict)
    for question in questions:
        by_document[question.document].setdefault(question.text.casefold(), question)
    return [
        Pair("people", a.text, b.text, agreeing(a, b))
        for asked in by_document.values()
        for a, b in combinations(asked.values(), 2)
    ]


def agreeing(a: Question, b: Question) -> bool:
    """Whether some gold answers of two questions say the same; two that can't be answered have one answer."""
    if not a.answers or not b.answers:
        return not a.answers and not b.answers
    return any(token_f1(said, b.answers) >= 0.8 for said in a.answers)


def people_figures(name: str, questions: list[Question], threshold: Threshold, encoder: MiniLM) -> dict[str, Any]:
    """Of questions that people asked of the same document: hits, and wrong ones. Most pairs ask different things."""
    pairs = people_pairs(questions)
    alike = [pair for pair in pairs if same_facts(pair)]
    given = [pair for pair, hit in zip(alike, hits(alike, threshold, encoder), strict=True) if hit]
    wrong = [pair for pair in given if not pair.same]
    shown = "; ".join(f"“{p.first}” “{p.second}”" for p in wrong[:3])
    same = sum(p.same for p in pairs)
    return {
        "set": name,
        "pairs": len(pairs),
        "same_answer": same,
        "hit": len(given),
        "wrong": len(wrong),
        "which": shown,
    }


def latency(texts: Sequence[str], encoder: MiniLM, asked: int) -> dict[str, Any]:
    """Seconds of a look-up among 10,000 entries of one principal and scope, with a candidate and without."""
    variants = [f"{text.rstrip('?')} (case {n})?" for n in range(1, ENTRIES) for text in texts][:ENTRIES]
    vectors = dict(zip(variants, encoder.embed_documents(variants), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        records = Records(Path(folder) / "records.sqlite")
        filled = SemanticCache(records, vectors.__getitem__, Settings(), lambda _: False)
        began = time.perf_counter()
        for text in variants:
            answer = Answer(question=text, text="x", route="expert", reason="", confidence=0.9, thread="t")
            filled.remember(CacheKey(text, Scope(), "p"), Cached(answer, Basis({}, "v")))
        stored = time.perf_counter() - began
        cache = SemanticCache(records, encoder.embed_query, Settings(), lambda _: False)
        cache.near(CacheKey(f"Please tell me: {variants[0]}", Scope(), "p"))
        known = [clocked(cache, f"Please tell me: {text}") for text in variants[-asked:]]
        unknown = [clocked(cache, f"{text} Elsewhere") for text in variants[-asked:]]
        records.close()
    return {
        "entries": len(variants),
        "seconds_to_store_one_without_its_vector": round(stored / len(variants), 5),
        "candidates_found": sum(found for found, _ in known),
        "median_s_with_a_candidate": round(quantile([s for _, s in known], 0.5), 5),
        "p95_s_with_a_candidate": round(quantile([s for _, s in known], 0.95), 5),
        "median_s_without": round(quantile([s for _, s in unknown], 0.5), 5),
        "p95_s_without": round(quantile([s for _, s in unknown], 0.95), 5),
    }


def clocked(cache: SemanticCache, question: str) -> tuple[int, float]:
    """Candidates of a look-up, and its seconds."""
    began = time.perf_counter()
    found = cache.near(CacheKey(question, Scope(), "p"))
    return len(found), time.perf_counter() - began
