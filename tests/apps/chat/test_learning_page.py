"""What the learning page says and draws; the page itself is tried in a browser, under `e2e`."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from audit_parts import every_kind, files_in
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.deferral.reliability import Bin
from understudy.apps.chat import happened, plots, studies
from understudy.apps.chat.learning import selection
from understudy.core.errors import UserError
from understudy.core.history import Period
from understudy.core.usage import Spend
from understudy.privacy.audit.log import SqliteAuditLog
from understudy.privacy.audit.verify import Finding, Verification

EVIL = "<script>alert(1)</script>"
DAYS = [
    Period(
        begun=f"2026-11-{day:02}",
        routes={"local": day, "expert": 12 - day, "cache": 1, "declined": 1},
        spend=Spend(usd=0.01 * (12 - day), calls=12 - day),
        compared=6,
        quality=day / 12,
        good=2,
        bad=1,
    )
    for day in range(1, 11)
]
PROMISE: dict[str, Any] = {
    "threshold": None, "max_quality_loss": 0.02, "confidence": 0.9, "missing": 78, "tested": 36, "consults": 1.0,
}  # fmt: skip


def adapter(**changes: Any) -> dict[str, Any]:
    gate = {"questions": 50, "missing": 0, "live": 0.5, "candidate": 0.7, "promoted": True, "reason": "it is better"}
    row = {"domain": "finance", "label": "finance", "version": "v1", "live": False, "withdrawn": None, "gate": gate}
    return {**row, **changes}


def drawn(svg: str) -> ET.Element:
    """A plot as a browser reads it: one piece, named, in the page's own colours."""
    root = ET.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"]
    assert "width" not in root.attrib
    assert not re.search(r"#01010\d", svg)
    assert "var(--plot-" in svg
    assert "<style" not in svg
    assert "http" not in svg.replace("http://www.w3.org/", "")
    return root


def texts(root: ET.Element) -> list[str]:
    return ["".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("rows", [DAYS, DAYS[:1], [Period(begun="2026-11-28T14", routes={"local": 1})]])
def test_history_is_drawn_from_one_period_on(rows: list[Period]) -> None:
    shown = texts(drawn(plots.draw_routes(rows)))
    assert "small model" in shown
    drawn(plots.draw_cost(rows))
    if rows[0].compared:
        drawn(plots.draw_quality(rows))
    drawn(plots.draw_reliability([Bin(confidence=0.2, right=0.1, n=3), Bin(confidence=0.9, right=1.0, n=1)]))


def test_experts_without_a_price_are_counted_in_calls() -> None:
    free = [Period(begun="2026-11-01", routes={"expert": 3, "local": 1}, spend=Spend(calls=3))]
    assert "calls" in texts(drawn(plots.draw_cost(free)))
    assert "3 calls to experts without a price, of 4 questions" in studies.cost(free)


def test_names_of_adapters_are_no_formulas_and_no_markup() -> None:
    rows = [adapter(domain=f"$x^2$ {EVIL}"), adapter(version="v2")]
    svg = plots.draw_gates(rows)
    assert "$x^2$" in "".join(texts(drawn(svg)))
    assert "<script" not in svg
    assert "<script" not in studies.adapters_panel(rows)


def test_captions_say_in_words_what_is_drawn() -> None:
    shown = studies.history_panels(DAYS, everybody=True)
    assert shown.count("<figcaption>") == 3
    assert "All principals&#x27; questions: 140, of which 46% went to an expert; 14% in the latest day" in shown
    assert "46% of 60 compared drafts" in shown
    assert "20 of 30 answers found right by people" in shown
    assert "$0.6500 for 65 calls; asking for each of 140 questions would have taken about $1.4000" in shown
    assert "Your questions: 140" in studies.history_panels(DAYS, everybody=False)


def test_before_there_is_anything_the_page_says_what_will_be_there() -> None:
    shown = studies.history_panels([], everybody=True) + studies.calibration_panel([]) + studies.adapters_panel([])
    assert shown.count("u-empty") == 5
    assert "<svg" not in shown
    few = adapter(gate={**adapter()["gate"], "missing": 28, "reason": "28 more gate examples are needed"})
    assert "<svg" not in studies.adapters_panel([few])
    assert "28 more gate examples are needed" in studies.adapter_label(few)


def test_the_promise_says_what_is_missing() -> None:
    missing = studies.promise_panel(PROMISE)
    assert "lose no more than 2.0% of quality" in missing
    assert "<b>78 comparisons</b>" in missing
    assert '<progress max="114" value="36"' in missing
    kept = studies.promise_panel({**PROMISE, "threshold": 0.83, "missing": 0, "consults": 0.25})
    assert "confidence of <b>83%</b>" in kept
    assert "About 25% of questions go to an expert" in kept
    assert "<progress" not in kept
    assert "no threshold keeps it yet" in studies.promise_panel({**PROMISE, "missing": 0})
    fixed = {"threshold": 0.5, "promise": None, "why": EVIL}
    assert "Nothing is promised" in studies.promise_panel(fixed)
    assert "<script" not in studies.promise_panel(fixed)
    assert "Nothing is promised" in studies.promise_panel({**fixed, "threshold": None})


def test_adapters_say_what_became_of_them() -> None:
    assert studies.adapter_label(adapter()).startswith("finance v1 · passed the gate\n50% before, 70% with it")
    assert "in force" in studies.adapter_label(adapter(live=True))
    assert studies.adapter_label(adapter(withdrawn="a document was erased")).endswith(
        "withdrawn\na document was erased"
    )
    assert [at for _, at in studies.adapter_choices([adapter(), adapter(version="v2")])] == [1, 0]


def test_few_days_are_drawn_by_the_hour() -> None:
    assert studies.step_for([]) == "day"
    assert studies.step_for(DAYS[:3]) == "hour"
    assert studies.step_for(DAYS) == "day"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1))
def test_a_running_mean_stays_within_what_it_is_of(sums: list[tuple[int, int]]) -> None:
    pairs = [(float(min(good, count)), count) for good, count in sums]
    means = plots.running(pairs)
    assert len(means) == len(pairs)
    assert all(0 <= mean <= 1 for mean in means)
    if sum(count for _, count in pairs) <= plots.LATEST:
        assert means[-1] == pytest.approx(sum(g for g, _ in pairs) / sum(c for _, c in pairs))


@given(st.floats(0, 1), st.integers(1, 500))
def test_chance_leads_no_further_than_none_and_all(right: float, n: int) -> None:
    below, above = plots.chance(Bin(confidence=0.5, right=right, n=n))
    assert below >= 0
    assert above >= 0
    assert right - below >= -1e-9
    assert right + above <= 1 + 1e-9


def test_every_kind_of_record_is_a_sentence(tmp_path: Path) -> None:
    log = SqliteAuditLog(files_in(tmp_path))
    for record in every_kind():
        log.append(record)
    records = log.records()
    said = [happened.in_words(record) for record in records]
    assert said[0] == (
        "1,234 bytes went to gpt (api.example:443), on ann's question about contracts under the policy “redacted”; "
        "2 values replaced (2 PERSON); it may cost $0.02000 at most."
    )
    assert said[1] == "gpt answered record 1; it cost $0.01000."
    assert said[2].endswith("were held back, on bob's question about patients: a protected value was left in it.")
    assert said[3].startswith("ann agreed that gpt gets what was shown, on bob's question about patients")
    assert said[4] == "ann erased a document of contracts: 12 passages, 1 example."
    assert (
        said[6] == "other gave no usable answer to record 6 (ExpertReplyError) after 3 attempts; its cost is unknown."
    )
    assert {r["kind"] for r in records} <= set(happened.KINDS.values())
    assert happened.in_words({"kind": "interruption", "stored": True}).endswith("was stored all the same.")
    panel = happened.log_panel(records[::-1][:2], len(records))
    assert "The latest 2 of 7 records" in panel
    assert panel.count("<li>") == 2
    log.close()


def test_the_log_shows_no_markup_of_names() -> None:
    record = {
        "kind": "erasure", "number": 1, "time": "2026-11-28T10:00:00", "by": EVIL, "collection": EVIL, "gone": {},
    }  # fmt: skip
    assert "<script" not in happened.log_panel([record], 1)
    bad = Verification(records=1, findings=(Finding(kind="changed", record=1, what=EVIL),))
    assert "<script" not in happened.verified(bad)
    assert "1 thing is not as written" in happened.verified(bad)
    assert "3 genuine records" in happened.verified(Verification(records=3, head="3:abc"))
    assert "No records" in happened.log_panel([], 0)


def test_the_filter_is_what_people_type() -> None:
    assert selection("Everything", None, None).everything
    found = selection("What left", " contracts ", "2026-11-28")
    assert (found.kind, found.collection) == ("egress", "contracts")
    assert found.since is not None
    with pytest.raises(UserError, match="no day"):
        selection("Everything", None, "yesterday")
