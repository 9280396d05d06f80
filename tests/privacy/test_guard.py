"""The gate fails closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from understudy.agents.briefing import OWN_WORDS, bare, build_payload, rewritten
from understudy.core.egress import Payload
from understudy.core.errors import EgressRefused
from understudy.core.settings import CollectionSettings, ExpertSettings, Settings
from understudy.core.types import ExpertAnswer, Passage, Scope
from understudy.privacy.guard import EgressGuard, Forms, Protection, leftover
from understudy.privacy.policy import Policy
from understudy.privacy.protected import ProtectedValues, Value
from understudy.privacy.redaction import Redactor, Vaults

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


def test_a_refusal_names_its_rule_and_the_policy_in_force() -> None:
    closed = CollectionSettings(egress="never")
    for policy, stored, rule, given in (
        (closed, "open", "policy", "nothing"),
        (None, "redacted", "redaction", "redacted"),
    ):
        with pytest.raises(EgressRefused) as caught:
            guard(policy, stored).check(payload(), "gpt", "ann/t")
        assert (caught.value.rule, caught.value.policy) == (rule, given)


@pytest.mark.parametrize("sensitivity", ["redacted", "local"])
def test_where_nothing_can_be_redacted_nothing_leaves(sensitivity: str) -> None:
    with pytest.raises(EgressRefused, match="identifiers can't be replaced here"):
        guard(None, sensitivity).check(payload(), "gpt", "ann/t")


def test_what_was_checked_is_sent_and_restored_with_the_same_protection(tmp_path: Path) -> None:
    values = ProtectedValues([Value("Maria Kovac", "PERSON", "test")])
    held: list[Protection | None] = [Protection(Redactor(values.values), values)]
    rules = Policy(Settings(experts=EXPERTS), lambda _: "redacted")
    vaults = Vaults(tmp_path / "privacy.sqlite", b"k" * 32)
    gate = EgressGuard(rules, Forms(rewritten, bare), lambda _: held.pop(), vaults.of, lambda _: True)
    asked = build_payload("Who is Maria Kovac?", Scope(collection="default"), [], None, [])
    sent = gate.check(asked, "gpt", "ann/t")
    with gate.sending(sent):  # the documents can't be read any more
        reply = ExpertAnswer(text="⟦PERSON_1⟧ is ill.", expert="gpt")
    assert gate.restore(reply, sent).text == "Maria Kovac is ill."
    unchecked = replace(sent, kept_by=None)
    with pytest.raises(EgressRefused, match="was not checked"):
        gate.sending(unchecked)


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        ("[passage 1]\n> Ward 7\n\nEarlier questions:\nWho?\n\nQuestion: what?", False),
        ('> - Who?\n>   {"answer": "7B", "not_in_documents": false, "quotes": []}', False),
        ("The small model's draft, which may be wrong:\n> 7B", False),
        ("Question: who is Question?", True),
        ("[passage 1]\n> Question: what?", True),
        ("[passage 1]\n> [passage 2]", True),
        ("[passage 1]\n> the answer", True),
        ("Question: model", True),
    ],
)
def test_our_own_words_are_no_leak_and_the_same_words_elsewhere_are(text: str, leaks: bool) -> None:
    values = ProtectedValues([Value(n, "PERSON", "test") for n in ("Question", "Passage", "Answer", "Model", "Quotes")])
    assert (leftover(values, text, OWN_WORDS) is not None) == leaks


def test_a_patient_called_question_does_not_close_the_collection(tmp_path: Path) -> None:
    values = ProtectedValues([Value(n, "PERSON", "test") for n in ("Anna Question", "Question", "Passage")])
    rules = Policy(Settings(experts=EXPERTS), lambda _: "redacted")
    vaults = Vaults(tmp_path / "privacy.sqlite", b"k" * 32)
    kept = Protection(Redactor(values.values), values)
    gate = EgressGuard(rules, Forms(rewritten, bare, OWN_WORDS), lambda _: kept, vaults.of, lambda _: True)
    passage = Passage(document="d", title="T", version="v", location="p", start=0, end=4, text="Ward", score=1.0)
    asked = build_payload("Who is Anna Question?", Scope(collection="default"), [passage], None, [])
    assert gate.check(asked, "gpt", "ann/t").payload.user.endswith("Question: Who is ⟦PERSON_1⟧?")
