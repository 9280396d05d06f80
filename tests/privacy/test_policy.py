"""The table, and what may change it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.core.errors import SettingsError
from understudy.core.settings import CollectionSettings, ExpertSettings, Settings
from understudy.privacy.policy import LEAST_TO_MOST, TABLE, Policy, rank

EXPERTS = (
    ExpertSettings(name="gpt", model="openai:x"),
    ExpertSettings(name="house", model="openai:x", reach="private"),
)
ALLOWANCES = st.sampled_from([None, *LEAST_TO_MOST])
SENSITIVITIES = st.sampled_from([None, "open", "redacted", "local"])


def policy(stored: str | None = None, **given: object) -> Policy:
    collections = {"notes": CollectionSettings.model_validate(given)} if given else {}
    return Policy(Settings(experts=EXPERTS, collections=collections), {"notes": stored}.get)


@pytest.mark.parametrize(("sensitivity", "cloud", "private"), [
    ("open", "all", "all"),
    ("redacted", "redacted", "all"),
    ("local", "question", "question"),
])  # fmt: skip
def test_the_table(sensitivity: str, cloud: str, private: str) -> None:
    for rules in (policy(sensitivity), policy("open", sensitivity=sensitivity)):
        assert [rules.rule("notes", e).allows for e in ("gpt", "house")] == [cloud, private]


def test_a_collection_that_nobody_named_is_redacted_and_an_expert_that_nobody_named_is_outside() -> None:
    assert policy().rule("what", "who").allows == "redacted"
    assert policy().rule("", "house").allows == "question"
    assert policy("secret").rule("notes", "house").sensitivity == "local"


def test_a_table_that_names_no_sensitivity_keeps_the_stored_one() -> None:
    assert policy("local", egress="ask").rule("notes", "gpt").allows == "question"


@given(stored=SENSITIVITIES, cloud=ALLOWANCES)
def test_an_override_never_gives_the_cloud_more(stored: str | None, cloud: str | None) -> None:
    usual = policy(stored).rule("notes", "gpt")
    changed = policy(stored, cloud=cloud).rule("notes", "gpt")
    assert rank(changed.allows) <= rank(usual.allows)
    assert cloud is None or rank(changed.allows) <= rank(changed.allows if cloud is None else cloud)  # type: ignore[arg-type]
    assert policy(stored, cloud=cloud, egress="never").rule("notes", "gpt").allows == "nothing"


def test_the_owner_may_give_an_expert_of_the_house_more() -> None:
    assert policy("local", private="all").rule("notes", "house").allows == "all"
    assert policy("local", private="all").rule("notes", "gpt").allows == "question"
    assert policy("open", private="nothing").rule("notes", "house").refusal == (
        "collection 'notes' gives a private expert nothing (private = 'nothing')"
    )


def test_a_table_that_contradicts_itself_is_an_error_and_so_is_an_unknown_word(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"collections\.notes\.cloud = 'all' gives away more than .*'redacted'"):
        policy(sensitivity="redacted", cloud="all")
    with pytest.raises(SettingsError, match=r"collections\.x\.cloud"):
        Settings.parse(tomllib.loads('[collections.x]\ncloud = "everything"'))


@given(first=SENSITIVITIES, second=SENSITIVITIES, ask=st.booleans())
def test_what_draws_on_two_collections_gets_the_least_of_both(first: str | None, second: str | None, ask: bool) -> None:
    named = {"b": CollectionSettings(egress="ask")} if ask else {}
    rules = Policy(Settings(experts=EXPERTS, collections=named), {"a": first, "b": second}.get)
    for expert in ("gpt", "house"):
        least = min((rules.rule(c, expert).allows for c in "ab"), key=rank)
        assert rules.strictest("ab", expert).allows == least
        assert rules.asks("ab", expert) is ask


def test_drafts_are_compared_only_where_an_expert_sees_the_evidence_and_nobody_has_to_be_asked() -> None:
    assert policy("redacted").compares("notes")
    assert not policy("local").compares("notes")
    assert policy("local", private="all").compares("notes")
    assert not policy("open", egress="ask").compares("notes")
    assert not Policy(Settings(), lambda _: "open").compares("notes")


def test_status_shows_every_collection_with_every_expert() -> None:
    listed = policy("local", egress="ask").listing(["other"])
    assert [(r["collection"], r["expert"], r["allows"], r["asks"]) for r in listed] == [
        ("notes", "gpt", "question", True),
        ("notes", "house", "question", True),
        ("other", "gpt", "redacted", False),
        ("other", "house", "all", False),
    ]
    assert set(TABLE.values()) <= set(LEAST_TO_MOST)
