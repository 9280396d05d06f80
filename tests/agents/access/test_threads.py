"""Threads and their owners."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from understudy.agents.access.threads import Threads
from understudy.core.access import Access, Ground
from understudy.core.errors import InternalError, ScopeError
from understudy.core.settings import Settings


def access(labels: dict[str, str], **principals: list[str]) -> Access:
    tables: dict[str, Any] = {
        "collections": {name: {"label": label} for name, label in labels.items()},
        "principals": {name: {"labels": held} for name, held in principals.items()},
    }
    return Access.of(Settings.parse(tables))


@pytest.fixture
def threads(tmp_path: Path) -> Iterator[Threads]:
    opened = Threads(tmp_path / "threads.sqlite", InMemorySaver())
    yield opened
    opened.close()


def test_a_thread_rests_on_all_that_was_asked_in_it(threads: Threads) -> None:
    ann = access({}, ann=["a", "b"]).principal("ann")
    name, permit = threads.begin(ann, "a")
    assert permit.grounds == (Ground(collection="a", label="a"),)
    both = threads.enter(ann, name, "b")
    assert {g.collection for g in both.grounds} == {"a", "b"}
    assert threads.enter(ann, name, "a") == both
    narrowed = access({}, ann=["a"]).principal("ann")
    with pytest.raises(ScopeError):
        threads.enter(narrowed, name, "a")
    assert threads.listing(narrowed) == []
    assert threads.listing(ann) == [f"ann/{name}"]


def test_a_thread_rests_on_what_was_given_in_it(threads: Threads) -> None:
    ann = access({}, ann=["a", "b", "then"]).principal("ann")
    name, permit = threads.begin(ann, "a")
    other = threads.enter(ann, name, "a")
    permit.join([Ground(collection="a", label="then")])
    other.join([Ground(collection="b", label="b")])
    assert permit.covers([Ground(collection="a", label="then")])
    assert not permit.covers([Ground(collection="b", label="b")])
    kept = threads.enter(ann, name, "a").grounds
    assert {(g.collection, g.label) for g in kept} == {("a", "a"), ("a", "then"), ("b", "b")}
    assert not threads.open_to(access({}, ann=["a", "b"]).principal("ann"), f"ann/{name}")


def test_where_nobody_knows_what_was_given_nobody_knows_of_the_thread(threads: Threads) -> None:
    owner = access({}, ann=["a"]).principal("owner")
    name, permit = threads.begin(owner, "a")
    assert not permit.covers([])
    permit.join([])
    assert permit.grounds == threads.enter(owner, name, "a").grounds == ()
    assert permit.covers([]), "nothing makes less known of it"


def test_a_name_of_anothers_thread_opens_nothing(threads: Threads) -> None:
    held = access({}, ann=["a"], **{"ann/x": ["a"]})
    ann, other = held.principal("ann"), held.principal("ann/x")
    name, _ = threads.begin(ann, "a")
    for who in (other, held.principal("owner")):
        with pytest.raises(ScopeError, match="no thread"):
            threads.enter(who, name, "a")
    with pytest.raises(ScopeError, match="no thread"):
        threads.enter(ann, "nowhere", "a")


async def test_a_savers_view_opens_one_thread(threads: Threads) -> None:
    held = access({}, ann=["a"], bob=["a"])
    (mine, _), (others, _) = (threads.begin(held.principal(who), "a") for who in ("ann", "bob"))
    saver = threads.saver(held.principal("ann"), mine)
    assert await saver.aget_tuple({"configurable": {"thread_id": f"ann/{mine}", "checkpoint_ns": ""}}) is None
    for key in (f"bob/{others}", f"ann/{others}", None):
        with pytest.raises(InternalError, match="reached for"):
            await saver.aget_tuple({"configurable": {"thread_id": key, "checkpoint_ns": ""}})
        with pytest.raises(InternalError, match="reached for"):
            _ = [found async for found in saver.alist({"configurable": {"thread_id": key}})]
        with pytest.raises(InternalError, match="reached for"):
            await saver.aput_writes({"configurable": {"thread_id": key}}, [], "task")
    with pytest.raises(InternalError, match="reached for"):
        _ = [found async for found in saver.alist(None)]


def test_threads_of_before_they_had_owners_stay_their_principals(tmp_path: Path) -> None:
    path = tmp_path / "threads.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE checkpoints (thread_id TEXT, checkpoint_id TEXT)")
        rows = [("ann%2Fx/t", "1"), ("ann%2Fx/t", "2"), ("bob/t", "1")]
        db.executemany("INSERT INTO checkpoints VALUES (?, ?)", rows)
        db.commit()
    threads = Threads(path, InMemorySaver())
    anyone = Access.of(Settings())
    assert threads.listing(anyone.principal("ann/x")) == ["ann%2Fx/t"]
    assert threads.enter(anyone.principal("bob"), "t", "a").grounds == (), "nor ever will"
    restricted = access({}, **{"ann/x": ["a"]})
    with pytest.raises(ScopeError):
        threads.enter(restricted.principal("ann/x"), "t", "a")
    threads.close()
