"""The stores as one question sees them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from understudy.agents.access.views import PermittedCache
from understudy.core.access import Access, Ground, Permit, Principal
from understudy.core.errors import WorkspaceError
from understudy.core.fakes import FakeCache
from understudy.core.protocols import Basis, Cached, CacheKey, Near
from understudy.core.settings import Settings
from understudy.core.types import Answer, Scope

ANSWER = Answer(question="Q?", text="22:40", route="expert", reason="", confidence=1.0, thread="t")
THEN, NOW = Ground(collection="a", label="then"), Ground(collection="a", label="a")


def principal(*labels: str) -> Principal:
    return Access.of(Settings.parse({"principals": {"ann": {"labels": list(labels)}}})).principal("ann")


def cached(*rests_on: str, grounds: tuple[Ground, ...] = (THEN,)) -> Cached:
    return Cached(ANSWER, Basis({}, "v", tuple(Scope(collection=c, document="d") for c in rests_on)), grounds)


KEY = CacheKey("Q?", Scope(collection="a"), "ann")


def test_the_thread_rests_on_a_remembered_answer_before_it_is_given() -> None:
    kept: list[tuple[Ground, ...]] = []
    permit = Permit(principal("a", "then", "b"), (NOW,), kept.append)
    assert PermittedCache(FakeCache({KEY: cached("a", "b")}), permit).recall(KEY) is not None
    assert kept == [permit.grounds] == [(NOW, THEN, Ground(collection="b", label="b"))]


def test_what_can_not_be_kept_is_not_given() -> None:
    def full(grounds: tuple[Ground, ...]) -> None:
        raise WorkspaceError("the disk is full")

    view = PermittedCache(FakeCache({KEY: cached("a")}), Permit(principal("a", "then"), (NOW,), full))
    with pytest.raises(WorkspaceError):
        view.recall(KEY)


@pytest.mark.parametrize("labels", [("a",), ("a", "then")])
def test_what_its_trace_leads_to_must_be_readable_too(labels: tuple[str, ...]) -> None:
    permit = Permit(principal(*labels), (NOW,))
    assert PermittedCache(FakeCache({KEY: cached("a", "b")}), permit).recall(KEY) is None
    assert permit.grounds == (NOW,), "what is not given was not read"


def test_of_near_answers_those_count_that_may_be_given() -> None:
    near = Near(cached("a"), 0.9, hit=True)
    for found, grounds in (((replace(near, hit=False),), (NOW,)), ((near,), (NOW, THEN))):
        permit = Permit(principal("a", "then"), (NOW,))
        assert len(PermittedCache(FakeCache(alike=list(found)), permit).near(KEY)) == 1
        assert permit.grounds == grounds


def test_an_answer_of_nobody_knows_what_leaves_a_thread_like_it() -> None:
    owner = Access.of(Settings.parse({"principals": {}})).principal("owner")
    permit, key = Permit(owner, (NOW,)), replace(KEY, principal="owner")
    assert PermittedCache(FakeCache({key: cached("a", grounds=())}), permit).recall(key) is not None
    assert permit.grounds == ()
