"""Where protected values come from, and how they follow the documents."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.core.errors import EgressRefused, SettingsError
from understudy.core.settings import CollectionSettings, PatternSettings, Settings
from understudy.core.types import Document, Passage, Scope
from understudy.core.workspace import Workspace
from understudy.privacy.protected import Dictionaries, Value, dictionary_of
from understudy.privacy.protected.fields import kind_of
from understudy.retrieval.store import DocumentStore

VISIT = """# Visit Report

Patient: Marguerite Vandersteen, DOB: 1961-03-04
**Account No:** 4471902-77; seen on Monday

| Patient | Account-no | Amount |
| --- | --- | --- |
| Ben Okoye | 99-120-44 | 100 |
| Brown | n/a | 20 |

{"patient": "Zed Zebrowski", "amount": 12}

| account no | 55512345 |
"""


def document(text: str, name: str = "a", version: str = "1") -> Document:
    return Document(id=name, title=name, text=text, version=version)


def values(text: str, *protect: str, **more: object) -> Mapping[str, Value]:
    given = CollectionSettings(protect=protect, **more)  # type: ignore[arg-type]
    return {v.text: v for v in dictionary_of([document(text)], given)}


def test_columns_and_labels_that_the_owner_marks() -> None:
    found = values(VISIT, "patient", "account_no", "dob", protect_names=False)
    whole = {text for text, value in found.items() if not value.origin.startswith("part")}
    people = {"Marguerite Vandersteen", "Ben Okoye", "Brown", "Zed Zebrowski"}
    assert whole == people | {"1961-03-04", "4471902-77", "99-120-44", "55512345"}
    assert {found[text].type for text in people} == {"PERSON"}
    assert found["99-120-44"].type == "ACCOUNT"
    assert found["1961-03-04"].type == "BIRTH_DATE"
    assert found["Okoye"].origin == "part of a field patient"
    assert not values(VISIT, protect_names=False)


@settings(deadline=None, max_examples=30)
@given(
    st.text(st.characters(categories=["L", "N"]), min_size=2, max_size=20).filter(
        lambda t: t.casefold() not in ("no", "na", "yes", "nil", "tbd", "null", "none", "true", "false", "unknown")
    )
)
def test_a_marked_cell_is_found_whatever_it_holds(cell: str) -> None:
    assert cell in values(f"| Code | x |\n|---|---|\n| {cell} | 1 |", "code")


def test_a_surname_that_is_a_word_here_never_blocks() -> None:
    found = values("Patient: Brown\nPatient: May Green\n\nThe brown cow on the green.", "patient")
    assert not found["Brown"].blocks
    assert found["May Green"].blocks
    assert "Green" not in found


@pytest.mark.parametrize("field", ["patient name", "E-Mail", "account_no", "MRN", "Ort"])
def test_types_of_fields(field: str) -> None:
    expected = {"patient name": "PERSON", "E-Mail": "EMAIL", "account_no": "ACCOUNT", "MRN": "RECORD_NUMBER"}
    assert kind_of(field) == expected.get(field, "OTHER")


NAMES = """# Annual Report Overview

Ngozi van Okafor signed. The report says that Ngozi van Okafor left; Dr. Ngozi van Okafor came back.
Annual Report of the board. The Annual Report is an annual thing. Only Once Named was there.
In January Ngozi left. Tellmark Ltd paid; Tellmark Ltd billed. On Monday Tellmark Ltd closed.
"""


def test_names_that_the_collection_repeats() -> None:
    found = values(NAMES)
    assert set(found) == {"Ngozi van Okafor", "Tellmark Ltd"}
    assert found["Tellmark Ltd"].type == "ORGANISATION"
    assert not values(NAMES, protect_names=False)


def test_the_owners_patterns_run_over_the_documents() -> None:
    found = dictionary_of(
        [document("see AZ-1234")], CollectionSettings(), [PatternSettings(type="CASE", regex=r"AZ-\d+")]
    )
    assert found == (Value("AZ-1234", "CASE", "pattern"),)


def test_a_pattern_without_end_lets_nothing_out() -> None:
    slow = PatternSettings(type="SLOW", regex=r"(a|aa)+$")
    with pytest.raises(EgressRefused, match="SLOW"):
        dictionary_of([document("a" * 60 + "!")], CollectionSettings(), [slow])


def test_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match="did you mean 'protect'"):
        Settings.parse({"collections": {"x": {"protects": ["patient"]}}})
    with pytest.raises(SettingsError, match="protect"):
        Settings.parse({"collections": {"x": {"protect": [" "]}}})


def test_it_follows_the_documents(tmp_path: object) -> None:
    store = DocumentStore.of(Workspace.open(tmp_path))  # type: ignore[arg-type]
    read: list[str] = []

    class Watched:
        revision, entries = store.revision, store.entries

        def document(self, collection: str, name: str) -> Document | None:
            read.append(name)
            return store.document(collection, name)

    def put(name: str, patient: str, version: str) -> None:
        made = document(f"Patient: {patient}", name, version)
        piece = Passage(document=name, title="", version=version, location="", start=0, end=1, text="P")
        store.put("x", made, name, [piece], np.ones((1, 384), dtype=np.float32))

    dictionaries = Dictionaries(Watched(), Settings(collections={"x": CollectionSettings(protect=("patient",))}))
    assert dictionaries.values("x") == ()
    store.ensure("x", None)
    put("a", "Marguerite Vandersteen", "1")
    put("b", "Ngozi Okafor", "1")
    assert dictionaries.of(["x"]).find("ngozi okafor")
    assert dictionaries.of(["x"]) is dictionaries.of(["x"])
    assert sorted(read) == ["a", "b"]
    put("b", "Zed Zebrowski", "2")
    assert dictionaries.of(["x"]).find("ngozi okafor"), "threads still speak of what was replaced"
    assert dictionaries.of(["x", "y"]).find("ZEBROWSKI")
    store.remove("x", "a")
    assert dictionaries.of(["x"]).find("marguerite vandersteen")
    dictionaries.forget(Scope(collection="x", document="a"))
    assert not dictionaries.of(["x"]).find("marguerite vandersteen")
    assert dictionaries.of(["x"]).find("ngozi okafor")
    dictionaries.forget(Scope(collection="x", document="b"))
    store.remove("x", "b")
    assert dictionaries.values("x") == ()
    assert (store.sensitivity("x"), store.sensitivity("nowhere")) == ("redacted", None)
    assert sorted(read)[:3] == ["a", "b", "b"]
    store.close()
