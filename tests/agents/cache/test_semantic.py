"""The semantic cache: who hits, what is compared, and what a comparison teaches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from understudy.agents.cache.semantic import SemanticCache, meanings
from understudy.agents.records import Records
from understudy.agents.records import cache as answers
from understudy.core.protocols import Basis, Cached, CacheKey
from understudy.core.settings import CacheSettings, DeferralSettings, Settings
from understudy.core.types import Answer, Citation, Scope

KEY = CacheKey("Who founded Acme?", Scope(), "ann", ("What is Acme?",))
OTHER_WORDS = replace(KEY, question="Acme was founded by whom?")


def answer(question: str, text: str = "Ada", **fields: object) -> Answer:
    return Answer.model_validate(
        {"question": question, "text": text, "route": "expert", "reason": "", "confidence": 0.9, "thread": "t"} | fields
    )


CACHED = Cached(answer(KEY.question), Basis({"a.md": "1"}, "all"))


class Vectors:
    """Every text has the same vector but those named; counts what is embedded."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.far: set[str] = set()

    def __call__(self, text: str) -> Sequence[float]:
        self.asked.append(text)
        return [0.0, 1.0] if text in self.far else [1.0, 0.0]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    held = Records(tmp_path / "records.sqlite")
    yield held
    held.close()


def cache_of(
    records: Records, vectors: Vectors, draw: float = 1.0, permitted: bool = True, **cache: object
) -> SemanticCache:
    settings = Settings(cache=CacheSettings.model_validate(cache), deferral=DeferralSettings(audit_rate=0.5))
    return SemanticCache(records, vectors, settings, lambda _: permitted, lambda: draw)


def test_other_words_hit_after_a_restart_and_nothing_is_embedded_twice(records: Records) -> None:
    vectors = Vectors()
    cache_of(records, vectors).remember(KEY, CACHED)
    (near,) = cache_of(records, vectors).near(OTHER_WORDS)
    assert near.hit
    assert not near.audit
    assert (near.cached, near.similarity) == (CACHED, pytest.approx(1.0))
    assert vectors.asked == [KEY.question, OTHER_WORDS.question]


@pytest.mark.parametrize(
    "key",
    [
        replace(OTHER_WORDS, scope=Scope(document="d")),
        replace(OTHER_WORDS, scope=Scope(collection="c")),
        replace(OTHER_WORDS, principal="bob"),
        replace(OTHER_WORDS, history=()),
        replace(OTHER_WORDS, question="Who was founded by Acme?"),
        replace(OTHER_WORDS, question="Who founded Adams?"),
    ],
)
def test_nothing_else_is_near_and_nothing_is_embedded_for_it(records: Records, key: CacheKey) -> None:
    vectors = Vectors()
    cache = cache_of(records, vectors)
    cache.remember(KEY, CACHED)
    assert cache.near(key) == ()
    assert vectors.asked == [KEY.question]


def test_off_means_off(records: Records) -> None:
    vectors = Vectors()
    cache = cache_of(records, vectors, semantic=False)
    cache.remember(KEY, CACHED)
    assert cache.near(OTHER_WORDS) == ()
    assert cache.recall(KEY) == CACHED
    assert vectors.asked == []


def kept(records: Records) -> int:
    with records.engine.connect() as db:
        return len(db.execute(select(meanings)).all())


def test_what_a_question_meant_goes_when_its_answer_is_deleted(records: Records) -> None:
    cache = cache_of(records, Vectors())
    other = replace(KEY, question="What does Acme make?")
    for key in (KEY, other):
        cache.remember(key, replace(CACHED, answer=answer(key.question)))
    with records.engine.begin() as db:
        db.execute(delete(answers).where(answers.c.question == KEY.question))
    assert kept(records) == 1
    assert cache.near(OTHER_WORDS) == ()
    assert cache.near(replace(other, question="Please tell me: what does Acme make?"))


def test_what_a_question_meant_goes_when_its_answer_is_replaced(records: Records) -> None:
    cache = cache_of(records, Vectors())
    later = Cached(answer(KEY.question, "Ben"), CACHED.basis)
    for _ in range(2):
        cache.remember(KEY, CACHED)
    assert kept(records) == 1
    cache_of(records, Vectors(), semantic=False).remember(KEY, later)
    assert kept(records) == 0, "switched off, it keeps nothing of what was before either"
    assert cache.near(OTHER_WORDS) == ()
    cache.remember(KEY, later)
    assert [n.cached for n in cache.near(OTHER_WORDS)] == [later]


def test_too_little_alike_or_no_promise_is_no_hit_but_is_compared(records: Records) -> None:
    vectors = Vectors()
    vectors.far.add(OTHER_WORDS.question)
    cache = cache_of(records, vectors)
    cache.remember(KEY, CACHED)
    (near,) = cache.near(OTHER_WORDS)
    assert not near.hit
    assert near.probability == 1
    (strict,) = cache_of(records, Vectors(), max_error=0.0).near(OTHER_WORDS)
    assert not strict.hit


def test_a_share_of_hits_is_drawn_where_an_expert_may_be_asked(records: Records) -> None:
    cache_of(records, Vectors()).remember(KEY, CACHED)
    assert [n.audit for n in cache_of(records, Vectors(), draw=0.4).near(OTHER_WORDS)] == [True]
    assert [n.audit for n in cache_of(records, Vectors(), draw=0.6).near(OTHER_WORDS)] == [False]
    assert [n.audit for n in cache_of(records, Vectors(), draw=0.0, permitted=False).near(OTHER_WORDS)] == [False]


def test_wrong_hits_stop_it(records: Records) -> None:
    cache = cache_of(records, Vectors(), draw=0.0)
    cache.remember(KEY, CACHED)
    for name in ["Ben", "Cleo", "Dora", "Emil"]:
        key = replace(OTHER_WORDS, principal=name)
        (near,) = cache.near(OTHER_WORDS)
        cache.note(key, near, answer(key.question, name))
    assert (cache.threshold.own, cache.threshold.wrong, cache.threshold.cosine) == (4, 4, None)
    (after,) = cache.near(OTHER_WORDS)
    assert not after.hit


def test_a_pair_is_compared_once(records: Records) -> None:
    cache = cache_of(records, Vectors())
    cache.remember(KEY, CACHED)
    (near,) = cache.near(OTHER_WORDS)
    cache.note(OTHER_WORDS, near, None)
    assert cache.threshold.own == 0
    for text in ("Ada", "Ben"):
        cache.note(OTHER_WORDS, near, answer(OTHER_WORDS.question, text))
    assert (cache.threshold.own, cache.threshold.wrong) == (1, 0)


def test_that_something_is_absent_is_one_answer(records: Records) -> None:
    absent = Citation(kind="absence", document="", title="", location="", start=0, end=0, quote="", score=0.0)
    cache = cache_of(records, Vectors())
    cache.remember(KEY, Cached(answer(KEY.question, "not stated", citations=(absent,)), CACHED.basis))
    (near,) = cache.near(OTHER_WORDS)
    cache.note(OTHER_WORDS, near, answer(OTHER_WORDS.question, "nothing says so", citations=(absent,)))
    assert (cache.threshold.own, cache.threshold.wrong) == (1, 0)
