"""Who may read what: settings, the rule for grounds, and what a change of labels does."""

from __future__ import annotations

import pytest

from understudy.core.access import Access, Ground, Principal
from understudy.core.errors import AccessError, SettingsError
from understudy.core.settings import Settings


def access(labels: dict[str, str] | None = None, **principals: list[str]) -> Access:
    """Two collections, `books` and `pay`, and some principals."""
    tables = {
        "collections": {name: {"label": label} for name, label in (labels or {}).items()},
        "principals": {name: {"labels": held} for name, held in principals.items()},
    }
    return Access.of(Settings.parse(tables))


def test_without_principals_everybody_may_read_everything() -> None:
    anyone = Access.of(Settings()).principal("whoever")
    assert not anyone.restricted
    assert anyone.may_read("pay")
    assert anyone.may_use(())


def test_an_empty_table_of_principals_leaves_the_owner_alone() -> None:
    held = Access.of(Settings.parse({"principals": {}}))
    assert held.principal("owner").may_read("pay")
    with pytest.raises(AccessError, match=r"no principal 'ann'.*\[principals\.ann\]"):
        held.principal("ann")


def test_a_name_with_a_dot_is_quoted() -> None:
    with pytest.raises(AccessError, match=r'\[principals\."a\.b"\]'):
        access().principal("a.b")


def test_labels_open_collections_and_nothing_else() -> None:
    held = access({"books": "everyone"}, ann=["everyone"], bob=["pay"], eve=[])
    readable = {
        name: [c for c in ("books", "pay", "nowhere") if held.principal(name).may_read(c)]
        for name in ("ann", "bob", "eve", "owner")
    }
    assert readable == {"ann": ["books"], "bob": ["pay"], "eve": [], "owner": ["books", "pay", "nowhere"]}


def test_what_was_kept_under_an_old_label_takes_both() -> None:
    kept = (Ground(collection="pay", label="staff"),)

    def may_use(now: str, *labels: str) -> bool:
        return access({"pay": now}, ann=list(labels)).principal("ann").may_use(kept)

    assert may_use("staff", "staff")
    assert not may_use("board", "staff"), "what was opened once is closed"
    assert not may_use("board", "board"), "a new label opens nothing that is old"
    assert may_use("board", "board", "staff")


def test_of_what_rests_on_nothing_known_only_the_owner_may_be_given() -> None:
    held = access({}, ann=["books"])
    assert not held.principal("ann").may_use(())
    assert held.principal("owner").may_use(())


def test_an_adapter_is_worn_only_where_all_it_rests_on_has_its_label() -> None:
    held = access({"books": "staff", "pay": "staff", "board": "board"}, ann=["staff"])
    books, pay = (Ground(collection=c, label="staff") for c in ("books", "pay"))
    assert held.undivided("staff", (books, pay))
    assert not held.undivided("staff", (books, Ground(collection="board", label="board")))
    assert not held.undivided("staff", (books, Ground(collection="pay", label="board"))), "labelled otherwise then"
    assert not held.undivided("staff", (books, Ground(collection="board", label="staff"))), "labelled otherwise now"
    assert not held.undivided("staff", ())
    assert Access.of(Settings()).undivided("staff", ())


def test_what_concerns_all_takes_the_owner() -> None:
    held = access({}, ann=["books"])
    held.principal("owner").administers("refine")
    with pytest.raises(AccessError, match="'ann' may not refine"):
        held.principal("ann").administers("refine")


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"principals": {"ann": {"lables": ["x"]}}}, "unknown key 'principals.ann.lables'; did you mean 'labels'"),
        ({"principls": {}}, "did you mean 'principals'"),
        ({"principals": {"ann": {"labels": [""]}}}, r"principals\.ann\.labels\.0"),
        ({"principals": {"ann": {"labels": "x"}}}, r"principals\.ann\.labels"),
        ({"principals": {"owner": {"labels": ["x"]}}}, "'owner' may read everything"),
    ],
)
def test_wrong_principals_are_one_line(tables: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        Settings.parse(tables)
    assert "\n" not in str(caught.value)


def test_a_principal_is_bound_to_the_labels_of_now() -> None:
    held = access({"books": "everyone"}, ann=["everyone"])
    assert held.principal("ann") == Principal("ann", frozenset({"everyone"}), held)
    assert held.ground("books") == Ground(collection="books", label="everyone")
    assert held.ground("pay") == Ground(collection="pay", label="pay")
