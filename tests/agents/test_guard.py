"""The gate fails closed."""

from __future__ import annotations

import pytest

from understudy.agents.briefing import build_payload
from understudy.agents.guard import EgressGuard
from understudy.core.errors import EgressRefused
from understudy.core.protocols import Payload
from understudy.core.settings import CollectionSettings, ExpertSettings, Settings
from understudy.core.types import Scope

EXPERTS = (
    ExpertSettings(name="gpt", model="openai:x"),
    ExpertSettings(name="house", model="openai:x", reach="private"),
    ExpertSettings(name="replay", model="recorded:a.jsonl"),
)


def payload(collection: str = "default") -> Payload:
    return build_payload("What?", Scope(collection=collection), [], None, [])


def guard(policy: CollectionSettings | None, stored: str | None) -> EgressGuard:
    collections = {} if policy is None else {"default": policy}
    return EgressGuard(Settings(experts=EXPERTS, collections=collections), lambda _: stored)


@pytest.mark.parametrize(
    "policy", [None, CollectionSettings(), CollectionSettings(egress="allow"), CollectionSettings(sensitivity="local")]
)
@pytest.mark.parametrize("expert", ["gpt", "replay", "a name that nobody configured"])
def test_a_local_collection_stays_whatever_else_its_table_says(policy: CollectionSettings | None, expert: str) -> None:
    with pytest.raises(EgressRefused, match="local"):
        guard(policy, "local").check(payload(), expert)
    assert guard(policy, "local").check(payload(), "house") == payload()


def test_a_sensitivity_that_the_settings_name_goes_before_the_stored_one() -> None:
    assert guard(CollectionSettings(sensitivity="open"), "local").check(payload(), "gpt") == payload()


@pytest.mark.parametrize("egress", ["never", "ask"])
@pytest.mark.parametrize("expert", [e.name for e in EXPERTS])
def test_recorded_and_private_experts_pass_the_same_gate(egress: str, expert: str) -> None:
    with pytest.raises(EgressRefused, match=egress):
        guard(CollectionSettings.model_validate({"egress": egress}), None).check(payload(), expert)


def test_one_collections_policy_is_not_anothers() -> None:
    closed = guard(CollectionSettings(egress="never"), None)
    assert closed.check(payload("other"), "gpt") == payload("other")
