"""The answer cache recalls exactly what it should."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.agents.deferral.outcomes import role_of
from understudy.agents.records import Records
from understudy.core.errors import WorkspaceError
from understudy.core.protocols import Basis, Cached, CacheKey
from understudy.core.types import Answer, Scope

KEY = CacheKey("What was revenue?", Scope(), "owner", ("Who are you?",))
ANSWER = Answer(question=KEY.question, text="412.6", route="expert", reason="asked", confidence=0.5, thread="t")
CACHED = Cached(ANSWER, Basis({"report.md": "v1"}, "all"))


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    held = Records(tmp_path / "records.sqlite")
    yield held
    held.close()


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        replace(KEY, question="  what WAS\n revenue? "),
        replace(KEY, history=("who  are YOU?",)),
    ],
)
def test_recall(records: Records, key: CacheKey) -> None:
    records.remember(KEY, CACHED)
    assert records.recall(key) == CACHED


@pytest.mark.parametrize(
    "key",
    [
        replace(KEY, question="What was revenue"),
        replace(KEY, question="What was not revenue?"),
        replace(KEY, scope=Scope(document="d")),
        replace(KEY, scope=Scope(collection="other")),
        replace(KEY, principal="guest"),
        replace(KEY, history=()),
        replace(KEY, history=("Who are you?", "Who are you?")),
    ],
)
def test_no_recall_when_anything_differs(records: Records, key: CacheKey) -> None:
    records.remember(KEY, CACHED)
    assert records.recall(key) is None


def test_a_newer_answer_replaces_and_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "a %41?b=c.sqlite"  # a path is no URL
    first = Records(path)
    first.remember(KEY, CACHED)
    first.remember(KEY, replace(CACHED, answer=ANSWER.model_copy(update={"text": "newer"})))
    first.close()
    second = Records(path)
    found = second.recall(KEY)
    assert found is not None
    assert found.answer.text == "newer"
    assert second.count() == 1
    second.close()
    assert path.exists()


def test_answers_of_before_they_said_what_they_rest_on_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE cache (key TEXT, answer TEXT)")
    Records(path).close()
    with sqlite3.connect(path) as now:
        assert "cache" not in [name for (name,) in now.execute("SELECT name FROM sqlite_master")]


def test_it_can_be_read_while_it_is_written(records: Records, tmp_path: Path) -> None:
    records.remember(KEY, CACHED)
    with sqlite3.connect(tmp_path / "records.sqlite") as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM answers")
        assert records.recall(KEY) == CACHED
        other.rollback()
    other.close()


def test_roles_are_permanent_and_shared_out_40_15_45() -> None:
    roles = Counter(role_of(f"question {n}", Scope(document="d")) for n in range(4000))
    assert [roles[r] / 4000 for r in ("train", "gate", "calibrate")] == pytest.approx([0.4, 0.15, 0.45], abs=0.02)
    assert role_of("What  IS it?", Scope(document="d")) == role_of("what is it?", Scope(document="d"))
    assert {role_of("Q", Scope(document=f"d{n}")) for n in range(50)} == {"train", "gate", "calibrate"}


def test_a_corrupt_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    path.write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(WorkspaceError, match=r"records\.sqlite is corrupt") as caught:
        Records(path)
    assert "\n" not in str(caught.value)


def test_a_stored_answer_that_cannot_be_read(records: Records, tmp_path: Path) -> None:
    records.remember(KEY, CACHED)
    with sqlite3.connect(tmp_path / "records.sqlite") as other:
        other.execute("UPDATE answers SET answer = '{}'")
    other.close()
    with pytest.raises(WorkspaceError, match="corrupt"):
        records.recall(KEY)
