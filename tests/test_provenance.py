"""Traces: what is derived rests on all that its parts rest on."""

from __future__ import annotations

from example_parts import example
from hypothesis import given
from hypothesis import strategies as st

from understudy.core.provenance import UNKNOWN, behind, dumped, fingerprint, fingerprints, loaded, together, touched
from understudy.core.types import Scope

names = st.text(max_size=4)
documents = st.builds(Scope, collection=names, document=names)
scopes = st.builds(Scope, collection=names, document=st.none() | names)
traces = st.lists(scopes, max_size=5)


@given(st.lists(traces, max_size=4), documents)
def test_a_document_is_behind_the_whole_where_it_is_behind_a_part(parts: list[list[Scope]], document: Scope) -> None:
    assert touched(together(*parts), document) == any(touched(part, document) for part in parts)


@given(traces)
def test_a_trace_comes_back_from_a_column_and_has_one_order(trace: list[Scope]) -> None:
    whole = together(trace)
    assert set(whole) == set(trace)
    assert loaded(dumped(whole)) == whole == together(reversed(trace), trace)


@given(traces, documents)
def test_fingerprints_lead_where_the_trace_leads(trace: list[Scope], document: Scope) -> None:
    held = fingerprints(trace)
    led = any(fingerprint(s) in held for s in (document, Scope(collection=document.collection)))
    assert led == touched(trace, document)


def test_an_example_of_before_rests_on_its_evidence_and_in_a_thread_on_anything() -> None:
    old = example("12", "12", "It was 12.")
    report = Scope(collection="default", document="report.md")
    assert behind(old) == (report,)
    assert behind(old.model_copy(update={"history": ("Before?",)})) == (
        Scope(collection=UNKNOWN),
        Scope(collection="default"),
        report,
    )
    assert behind(old.model_copy(update={"rests_on": ()})) == ()
