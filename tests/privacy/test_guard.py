"""The gate fails closed."""

from __future__ import annotations

import pytest

from understudy.agents.briefing import bare, build_payload, rewritten
from understudy.core.egress import Payload
from understudy.core.errors import EgressRefused
from understudy.core.settings import CollectionSettings, ExpertSettings, Settings
from understudy.core.types import Scope
from understudy.privacy.guard import EgressGuard, Forms
from understudy.privacy.policy import Policy

EXPERTS = (
    ExpertSettings(name="gpt", model="openai:x"),
    ExpertSettings(name="house", model="openai:x", reach="private"),
    ExpertSettings(name="replay", model="recorded:a.jsonl"),
)


def payload(collection: str = "default") -> Payload:
    return build_payload("What?", Scope(collection=collection), [], None, [])


def guard(policy: CollectionSettings | None, stored: str | None) -> EgressGuard:
    collections = {} if policy is None else {"default": policy}
    rules = Policy(Settings(experts=EXPERTS, collections=collections), lambda _: stored)
    return EgressGuard(rules, Forms(rewritten, bare), lambda _: None, lambda *_: None, lambda _: True)


@pytest.mark.parametrize(
    "policy", [None, CollectionSettings(), CollectionSettings(egress="allow"), CollectionSettings(sensitivity="local")]
)
@pytest.mark.parametrize("expert", ["gpt", "replay", "house", "a name that nobody configured"])
def test_a_local_collection_stays_whatever_else_its_table_says(policy: CollectionSettings | None, expert: str) -> None:
    with pytest.raises(EgressRefused, match="local"):
        guard(policy, "local").check(payload(), expert, "ann/t")


def test_a_sensitivity_that_the_settings_name_goes_before_the_stored_one() -> None:
    sent = guard(CollectionSettings(sensitivity="open"), "local").check(payload(), "gpt", "ann/t")
    assert sent.payload == payload()


@pytest.mark.parametrize("expert", [e.name for e in EXPERTS])
def test_recorded_and_private_experts_pass_the_same_gate(expert: str) -> None:
    with pytest.raises(EgressRefused, match="never"):
        guard(CollectionSettings(egress="never"), "open").check(payload(), expert, "ann/t")
    assert guard(CollectionSettings(egress="ask"), "open").check(payload(), expert, "ann/t").asks


def test_one_collections_policy_is_not_anothers() -> None:
    closed = guard(CollectionSettings(egress="never"), "open")
    assert closed.check(payload("other"), "gpt", "ann/t").payload == payload("other")


@pytest.mark.parametrize("sensitivity", ["redacted", "local"])
def test_where_nothing_can_be_redacted_nothing_leaves(sensitivity: str) -> None:
    with pytest.raises(EgressRefused, match="identifiers can't be replaced here"):
        guard(None, sensitivity).check(payload(), "gpt", "ann/t")
