"""The answer cache that knows a question in other words: equal facts, and a similarity above what was learned."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, Engine, Float, LargeBinary, MetaData, String, Table, Text, delete, insert, select, text

from understudy.agents.cache.facts import VERSION, facts_of
from understudy.agents.cache.threshold import Threshold, learned, prior_threshold
from understudy.agents.deferral.agreement import NAME
from understudy.agents.deferral.promise import Label
from understudy.agents.records import Records, digest
from understudy.core.matching import same_answer
from understudy.core.protocols import Cached, CacheKey, Near, folded
from understudy.core.provenance import fingerprints
from understudy.core.settings import Settings
from understudy.core.sqlite import add_columns, leads_to, now, workspace_errors
from understudy.core.types import Answer, Scope

__all__ = ["SemanticCache"]

MEASURE = f"{VERSION} {NAME}"
Embed = Callable[[str], Sequence[float]]

metadata = MetaData()
meanings = Table(
    "meanings",
    metadata,
    Column("key", String, primary_key=True),
    Column("place", String, index=True),
    Column("vector", LargeBinary),
)
comparisons = Table(
    "cache_comparisons",
    metadata,
    Column("pair", String, primary_key=True),
    Column("family", String),
    Column("cosine", Float),
    Column("wrong", Float),
    Column("probability", Float),
    Column("in_force", Float),
    Column("measure", String),
    Column("created", String),
    Column("rests_on", Text),
)
GO_TOGETHER = text(
    "CREATE TRIGGER IF NOT EXISTS meaning_goes_with_answer AFTER DELETE ON answers "
    "BEGIN DELETE FROM meanings WHERE key = OLD.key; END"
)
"""Whoever deletes or replaces an answer, what its question meant goes in the same transaction."""


class SemanticCache:
    """An `AnswerCache` over `Records`, which keeps the answers. Errors of the database become `WorkspaceError`.

    A question's vector is computed once, when its answer is remembered, and another time only where it is compared with
    earlier ones of the same facts; these are found by an index.

    Args:
        records: keeps answers, and in the same file vectors and comparisons.
        embed: a unit vector of a text.
        settings: whether it is on, its bound, and how many hits are compared.
        permitted: whether a collection's questions may go to an expert now.
        draw: a uniform number between 0 and 1.
    """

    kind = "outcomes"
    """What erasure counts its comparisons among."""

    def __init__(
        self,
        records: Records,
        embed: Embed,
        settings: Settings,
        permitted: Callable[[str], bool],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._records = records
        self._engine: Engine = records.engine
        self._embed = embed
        self._settings = settings
        self._permitted = permitted
        self._draw = draw
        self._lock = threading.Lock()
        self._threshold: Threshold | None = None
        with workspace_errors(records.path):
            metadata.create_all(self._engine)
            with self._engine.begin() as db:
                db.execute(GO_TOGETHER)
                add_columns(db, comparisons)

    def recall(self, key: CacheKey) -> Cached | None:
        """What is stored under exactly this key (questions compared up to case and white space), stale or not."""
        return self._records.recall(key)

    def remember(self, key: CacheKey, cached: Cached) -> None:
        """Store or replace."""
        self._records.remember(key, cached)
        place = place_of(key) if self._settings.cache.semantic else None
        if place is None:
            return
        values = {"key": digest(key), "place": place, "vector": vector_of(self._embed(key.question)).tobytes()}
        with workspace_errors(self._records.path), self._engine.begin() as db:
            db.execute(delete(meanings).where(meanings.c.key == values["key"]))
            db.execute(insert(meanings).values(values))

    def near(self, key: CacheKey) -> Sequence[Near]:
        """Answers under the same scope, principal and history to questions with equal facts, nearest first."""
        place = place_of(key) if self._settings.cache.semantic else None
        if place is None:
            return ()
        with workspace_errors(self._records.path), self._engine.connect() as db:
            rows = db.execute(select(meanings.c.key, meanings.c.vector).where(meanings.c.place == place)).all()
        held = [(self._records.held(k), v) for k, v in rows if k != digest(key)]
        facts = facts_of(key.question)
        alike = [(c, v) for c, v in held if c and facts and (f := facts_of(c.answer.question)) and facts.same(f)]
        if not alike:
            return ()
        asked = vector_of(self._embed(key.question)).astype(np.float32)
        cosines = [float(asked @ np.frombuffer(v, dtype=np.float16).astype(np.float32)) for _, v in alike]
        rate = self._settings.deferral.audit_rate if self._permitted(key.scope.collection) else 0.0
        found = [self._judged(cached, cosine, rate) for (cached, _), cosine in zip(alike, cosines, strict=True)]
        return sorted(found, key=lambda n: -n.similarity)

    def _judged(self, cached: Cached, cosine: float, rate: float) -> Near:
        """Whether a question is alike enough, and whether it is drawn."""
        hit = self.threshold.allows(cosine)
        return Near(cached, cosine, hit, audit=hit and self._draw() < rate, probability=rate if hit else 1.0)

    def note(self, key: CacheKey, near: Near, answer: Answer | None) -> None:
        """Keep whether the two answers agree; where there is but one, that it was given."""
        earlier = near.cached.answer
        pair = json.dumps([place_of(key), *sorted((folded(key.question), folded(earlier.question)))])
        values = {
            "pair": hashlib.sha256(pair.encode()).hexdigest(),
            "family": place_of(key),
            "cosine": near.similarity,
            "wrong": None if answer is None else float(not agree(earlier, answer)),
            "probability": near.probability,
            "in_force": self._settings.deferral.audit_rate if self.threshold.cosine is not None else 1.0,
            "measure": MEASURE,
            "created": now(),
            "rests_on": fingerprints(near.cached.basis.rests_on),
        }
        if values["probability"] == 0:  # nothing could be drawn, so nothing is told of errors
            return
        with workspace_errors(self._records.path), self._engine.begin() as db:
            db.execute(delete(comparisons).where(comparisons.c.pair == values["pair"], comparisons.c.wrong.is_(None)))
            if db.execute(select(comparisons.c.pair).where(comparisons.c.pair == values["pair"])).first() is None:
                db.execute(insert(comparisons).values(values))
        if answer is not None:
            with self._lock:
                self._threshold = None

    def found(self, document: Scope) -> list[str]:
        """The comparisons that rest on a document; those of before that was noted may rest on any."""
        rests_on = comparisons.c.rests_on
        query = select(comparisons.c.pair).where(rests_on.is_(None) | leads_to(rests_on, document))
        with workspace_errors(self._records.path), self._engine.connect() as db:
            return list(db.scalars(query))

    def forget(self, document: Scope) -> None:
        """Take them out, and learn the threshold anew."""
        pairs = self.found(document)
        with workspace_errors(self._records.path), self._engine.begin() as db:
            for pair in pairs:
                db.execute(delete(comparisons).where(comparisons.c.pair == pair))
        with self._lock:
            self._threshold = None

    @property
    def threshold(self) -> Threshold:
        """The one in force, derived anew after every comparison."""
        with self._lock:
            if self._threshold is None:
                bound, confidence = self._settings.cache.max_error, self._settings.deferral.confidence
                known = prior_threshold(bound, confidence)
                self._threshold = learned(self._labels(), known, max_error=bound, confidence=confidence)
            return self._threshold

    def _labels(self) -> list[Label]:
        """The workspace's own comparisons under the present rules, those without an answer to compare with too."""
        c = comparisons.c
        query = select(c.cosine, c.wrong, c.probability, c.in_force, c.family).where(c.measure == MEASURE)
        with workspace_errors(self._records.path), self._engine.connect() as db:
            return [
                Label(r.cosine, r.wrong, r.probability, r.in_force or r.probability, r.family)
                for r in db.execute(query)
            ]


def place_of(key: CacheKey) -> str | None:
    """The hash of all that must be equal but for the wording; none where there is nothing to compare."""
    facts = facts_of(key.question)
    if facts is None:
        return None
    parts = [facts.digest, key.scope.model_dump_json(), key.principal, *map(folded, key.history), *key.asked_of]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def vector_of(values: Sequence[float]) -> NDArray[np.float16]:
    """A vector as it is kept: half precision is off by 1e-3 in the cosine at most."""
    return np.asarray(values, dtype=np.float16)


def agree(a: Answer, b: Answer) -> bool:
    """Whether two answers of experts say the same; that something is not there is one answer."""
    absent = [any(c.kind == "absence" for c in answer.citations) for answer in (a, b)]
    return absent[0] == absent[1] and (absent[0] or same_answer(a.text, b.text))
