"""Round trip, stability, unlinkability, restart: on any text."""

from __future__ import annotations

import stat
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from understudy.core.errors import EgressRefused, SettingsError
from understudy.core.settings import PatternSettings, Settings
from understudy.privacy.redaction import Redactor, Vault, Vaults

KEY = b"k" * 32
MESSAGE = "Ask jo@acme.example or +44 20 7946 0958; card 4111 1111 1111 1111, SSN 536-22-8145."


class Value(NamedTuple):
    text: str
    type: str


DICTIONARY = [Value("Anna Karlsson", "PERSON"), Value("Anna", "PERSON"), Value("§§", "OTHER"), Value("0815", "ACCOUNT")]
PIECES = st.sampled_from(
    [
        *(
            "Anna Karlsson",
            "ANNA",
            "anna's",
            "jo@acme.example",
            "536-22-8145",
            "0815",
            "§§",
            "⟦PERSON_1⟧",
            "⟦PERSON_2⟧",
        ),
        *("PERSON_1", "person 1", "[PERSON_1]", "⟦", "⟧", "[", "]", "_", "PERSON", "1", "2", " ", "\n", "&lobrk;"),
        *("ACCOUNT_1", "account 1", "text 1", "⟦TEXT_1⟧", "\\", "'s", "s", "{", "}", "organization 1", "national-id 1"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join), st.lists(PIECES, max_size=12).map(" ".join))
ANY_TIMES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)


@pytest.fixture
def vaults(tmp_path: Path) -> Vaults:
    return Vaults(tmp_path / "privacy.sqlite", KEY)


@pytest.fixture
def vault(vaults: Vaults) -> Vault:
    return vaults.of("acme", "t1")


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor(DICTIONARY, [PatternSettings(type="CASE", regex=r"AZ-\d{3}")])


@ANY_TIMES
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_what_was_redacted_comes_back_as_it_was(texts: list[str], redactor: Redactor, tmp_path: Path) -> None:
    vault = Vaults(tmp_path / "privacy.sqlite", KEY).of("acme", repr(texts))
    gone = [redactor.redact(t, vault) for t in texts]
    assert [redactor.restore(g.text, vault) for g in gone] == texts
    assert [redactor.redact(t, vault).text for t in texts[-1:]] == [redactor.redact(t, vault).text for t in texts[-1:]]


def test_no_value_is_left(redactor: Redactor, vault: Vault) -> None:
    gone = redactor.redact(MESSAGE, vault)
    assert gone.text == "Ask ⟦EMAIL_1⟧ or ⟦PHONE_1⟧; card ⟦CARD_1⟧, SSN ⟦NATIONAL_ID_1⟧."
    assert gone.spans == {"EMAIL": 1, "PHONE": 1, "CARD": 1, "NATIONAL_ID": 1}


def test_a_value_keeps_its_placeholder_in_a_thread(redactor: Redactor, vault: Vault) -> None:
    first = redactor.redact("Anna wrote to jo@acme.example.", vault)
    later = redactor.redact("jo@acme.example answered; b@acme.example did not.", vault)
    assert first.text == "⟦PERSON_1⟧ wrote to ⟦EMAIL_1⟧."
    assert later.text == "⟦EMAIL_1⟧ answered; ⟦EMAIL_2⟧ did not."


def test_a_restart_keeps_placeholders(redactor: Redactor, tmp_path: Path) -> None:
    before = Vaults(tmp_path / "v.sqlite", KEY)
    gone = redactor.redact(MESSAGE, before.of("acme", "t"))
    before.close()
    after = Vaults(tmp_path / "v.sqlite", KEY).of("acme", "t")
    assert redactor.restore(gone.text, after) == MESSAGE
    assert redactor.redact(MESSAGE, after).text == gone.text


def test_the_file_is_its_owners_alone(vaults: Vaults, redactor: Redactor, tmp_path: Path) -> None:
    redactor.redact(MESSAGE, vaults.of("acme", "t"))
    modes = {stat.S_IMODE(f.stat().st_mode) for f in tmp_path.glob("privacy.sqlite*")}
    assert modes == {0o600}


def test_tenants_can_not_be_linked(vaults: Vaults, redactor: Redactor, tmp_path: Path) -> None:
    for tenant, thread in [("acme", "t"), ("beta", "t"), ("acme", "u")]:
        redactor.redact("jo@acme.example", vaults.of(tenant, thread))
    other = vaults.of("beta", "t")
    assert redactor.restore("⟦EMAIL_1⟧", vaults.of("gamma", "t")) == "⟦EMAIL_1⟧"
    import sqlite3

    rows = sqlite3.connect(tmp_path / "privacy.sqlite").execute("SELECT thread, digest FROM placeholders").fetchall()
    assert len(rows) == len({t for t, _ in rows}) == len({d for _, d in rows}) == 3
    assert not any("acme" in str(r) or "beta" in str(r) for r in rows)
    assert redactor.restore("⟦EMAIL_1⟧", other) == "jo@acme.example"


def test_what_is_erased_leaves_no_trace(vaults: Vaults, redactor: Redactor, tmp_path: Path) -> None:
    vault = vaults.of("acme", "t")
    redactor.redact(MESSAGE, vault)
    assert "jo@acme.example" in vaults.values()
    assert vaults.forget(["jo@acme.example"]) == 1
    assert redactor.restore("⟦EMAIL_1⟧", vault) == "⟦EMAIL_1⟧"
    assert redactor.redact("new@acme.example", vault).text == "⟦EMAIL_2⟧"
    vaults.close()
    assert not [f for f in tmp_path.iterdir() if b"jo@acme" in f.read_bytes()]


def test_a_thread_that_is_erased_takes_its_placeholders_along(redactor: Redactor, tmp_path: Path) -> None:
    vaults = Vaults(tmp_path / "v.sqlite", KEY)
    for tenant, thread in (("acme", "gone"), ("acme", "tools"), ("acme", "stays"), ("other", "gone")):
        redactor.redact(f"{thread}@{tenant}.example", vaults.of(tenant, thread))
    tools = vaults.of("acme", "tools")
    vaults.drop("acme", "gone")
    vaults.empty("acme", "tools")
    assert vaults.values() == {"stays@acme.example", "gone@other.example"}
    assert redactor.restore("⟦EMAIL_1⟧", tools) == "⟦EMAIL_1⟧"
    assert redactor.redact("new@acme.example", vaults.of("acme", "tools")).text == "⟦EMAIL_2⟧"
    assert redactor.redact("new@acme.example", vaults.of("acme", "gone")).text == "⟦EMAIL_1⟧"
    vaults.close()
    assert not [f for f in tmp_path.iterdir() if b"gone@acme" in f.read_bytes() or b"tools@acme" in f.read_bytes()]


def test_two_processes_agree(redactor: Redactor, tmp_path: Path) -> None:
    one, two = (Vaults(tmp_path / "v.sqlite", KEY).of("acme", "t") for _ in range(2))
    assert redactor.redact("a@acme.example", one).text == "⟦EMAIL_1⟧"
    assert redactor.redact("b@acme.example", two).text == "⟦EMAIL_2⟧"
    assert redactor.redact("b@acme.example", one).text == "⟦EMAIL_2⟧"


@pytest.mark.parametrize(
    "reply",
    [
        *(
            "⟦PERSON_1⟧",
            "[PERSON_1]",
            "PERSON_1",
            "〚PERSON_1〛",
            "person 1",
            "Person 1",
            "⟦person_1⟧",
            "⟦ PERSON_1 ⟧",
            "PERSON-1",
        ),
        *(
            r"PERSON\_1",
            r"\[PERSON\_1\]",
            "&#10214;PERSON_1&#10215;",
            "&lobrk;PERSON_1&robrk;",
            r"\u27e6PERSON_1\u27e7",
        ),
        *(
            "%E2%9F%A6PERSON_1%E2%9F%A7",
            "⟦PERSON 1⟧",
            "⟦PERSON_\n1⟧",
            "{PERSON_1}",
            "{{PERSON_1}}",
            "<PERSON_1>",
            "&lt;PERSON_1&gt;",
        ),
        *("【PERSON_1】", "[[PERSON_1]]", "PERSON1", "PERSON #1", "⟦PERSON_1", "PERSON_1⟧"),
    ],
)
def test_what_experts_make_of_a_placeholder_is_restored(reply: str, redactor: Redactor, vault: Vault) -> None:
    redactor.redact("Anna", vault)
    assert redactor.restore(f"So {reply}, then.", vault) == "So Anna, then."


@pytest.mark.parametrize(
    ("reply", "restored"),
    [
        ("⟦PERSON_1⟧'s", "Anna's"), ("⟦PERSON_1's⟧", "Anna's"), ("PERSON_1s", "Annas"), ("(PERSON_1)", "(Anna)"),
        ('"⟦PERSON_1⟧"', '"Anna"'), ("**⟦PERSON_1⟧**", "**Anna**"), ("- ⟦EMAIL_1⟧\n- ⟦PERSON_1⟧", "- a@b.example\n- Anna"),
        ("⟦PERSON_1, EMAIL_1⟧", "Anna, a@b.example"), ("[PERSON_1, EMAIL_1]", "[Anna, a@b.example]"), ("PERSON_12", "PERSON_12"),
        ("⟦PERSON_9⟧", "⟦PERSON_9⟧"), ("⟦PERSON_1⟧⟦PERSON_1⟧", "AnnaAnna"), ("superperson 1", "superperson 1"),
    ],
)  # fmt: skip
def test_endings_quotes_and_lists(reply: str, restored: str, redactor: Redactor, vault: Vault) -> None:
    redactor.redact("Anna a@b.example", vault)
    assert redactor.restore(reply, vault) == restored


def test_a_look_alike_in_a_document_is_not_ours(redactor: Redactor, vault: Vault) -> None:
    first = redactor.redact("The template says PERSON_1. Anna signs.", vault)
    assert first.text == "The template says PERSON_1. ⟦PERSON_2⟧ signs."
    later = redactor.redact("And person 2 waits.", vault)
    assert "person 2" not in later.text
    assert redactor.restore(later.text, vault) == "And person 2 waits."


def test_owner_patterns(redactor: Redactor, vault: Vault) -> None:
    assert redactor.redact("File AZ-123 and AZ-124.", vault).text == "File ⟦CASE_1⟧ and ⟦CASE_2⟧."


def test_a_pattern_that_runs_away_lets_nothing_out(vault: Vault) -> None:
    runaway = Redactor(patterns=[PatternSettings(type="CASE", regex=r"(a|aa)+$")])
    with pytest.raises(EgressRefused, match=r"CASE .* takes over") as caught:
        runaway.redact("a" * 5000 + "b", vault)
    assert caught.value.rule == "pattern"


@pytest.mark.parametrize("pattern", ["(", "a*", "[[:nope:]"])
def test_a_bad_pattern_is_one_clear_error(pattern: str) -> None:
    with pytest.raises(SettingsError, match=r"privacy\.patterns\.0\.regex") as error:
        Settings.parse({"privacy": {"patterns": [{"type": "CASE", "regex": pattern}]}})
    assert "\n" not in str(error.value)


def test_a_bad_type_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"privacy\.patterns\.0\.type"):
        Settings.parse({"privacy": {"patterns": [{"type": "case 1", "regex": "x"}]}})


@ANY_TIMES
@given(text=st.lists(st.sampled_from(NATURAL := [
    *("Ask", "Maria", "Lopez", "the", "company", "Acme", "Inc", "in", "Nairobi", "tom", "brandt", "12", "Main", "Street", "90210", "$4.5", "2019"),
    *("I", "wasn't", "O'Brien's", "von", "ΛΕΜΕΣΟΣ", "ẞ", "ǆ", "\n", ".", ",", "call", "555-123-4567", "a@b.example", "www.x.org/y", "::1"),
]), max_size=25).map(" ".join))  # fmt: skip
def test_names_and_addresses_come_back_too(text: str, redactor: Redactor, tmp_path: Path) -> None:
    vault = Vaults(tmp_path / "privacy.sqlite", KEY).of("acme", text)
    found = redactor.find(text)
    assert all(f.text == text[f.start : f.end] for f in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert redactor.restore(redactor.redact(text, vault).text, vault) == text


@pytest.mark.parametrize("words", ["at age 1", "Account 1 was closed", "AGE 1", "account-1", "accounts [and account 1"])
def test_everyday_words_are_no_placeholders(words: str, redactor: Redactor, vault: Vault) -> None:
    assert redactor.redact("0815", vault).text == "⟦ACCOUNT_1⟧"
    assert vault.assign([("AGE", "97")]) == ["⟦AGE_1⟧"]
    assert redactor.restore(words, vault) == words


@pytest.mark.parametrize(
    ("reply", "back"),
    [("In Place 1.", "In Oslo."), ("PLACE-1", "Oslo"), ("take place 1", "take place 1"), ("in place-1", "in place-1")],
)
def test_names_of_things_are_with_a_capital(reply: str, back: str, vault: Vault, redactor: Redactor) -> None:
    assert vault.assign([("PLACE", "Oslo")]) == ["⟦PLACE_1⟧"]
    assert redactor.restore(reply, vault) == back


@pytest.mark.parametrize("reply", ["ACCOUNT_1", "[account 1]", "⟦ACCOUNT 1", r"ACCOUNT\_1", "account%5F1"])
def test_they_are_with_brackets_or_an_underscore(reply: str, redactor: Redactor, vault: Vault) -> None:
    redactor.redact("0815", vault)
    assert redactor.restore(f"So {reply}, then.", vault) == "So 0815, then."
