"""Recorded experts: matching, citations, prices, and files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from understudy.agents.briefing import build_payload
from understudy.agents.experts import build_experts
from understudy.agents.recorded import RecordedExpert
from understudy.core.errors import ExpertUnavailableError, SettingsError
from understudy.core.protocols import Payload
from understudy.core.settings import ExpertSettings, Settings
from understudy.core.types import Passage, Scope

TEXT = "Rent is due\non the 3rd. Late rent costs 5%."
PASSAGE = Passage(document="lease", title="Lease", version="v", location="p", start=40, end=40 + len(TEXT), text=TEXT)


def expert(folder: Path, *lines: object) -> RecordedExpert:
    path = folder / "a.jsonl"
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")
    settings = ExpertSettings(name="replay", model="recorded:a.jsonl", input_usd_per_mtok=4, output_usd_per_mtok=8)
    return RecordedExpert(settings, path)


def payload(question: str = "When is rent due?", document: str | None = None) -> Payload:
    return build_payload(question, Scope(document=document), [PASSAGE], None, [])


async def test_quotes_are_found_or_dropped(tmp_path: Path) -> None:
    quotes = [("lease", "due on the 3rd"), ("lease", "on the 4th"), ("other", "Late rent"), ("lease", " ")]
    line = {
        "question": "When is rent due?",
        "text": "3rd",
        "citations": [{"document": d, "quote": q} for d, q in quotes],
    }
    answer = await expert(tmp_path, line).ask(payload())
    (citation,) = answer.citations
    assert citation.quote == "due\non the 3rd" == TEXT[citation.start - 40 : citation.end - 40]


async def test_it_costs_what_a_live_one_would(tmp_path: Path) -> None:
    answer = await expert(tmp_path, {"question": "When is rent due?", "text": "3rd"}).ask(payload())
    sent = len((payload().system + payload().user).encode())
    assert answer.tokens.input == sent // 4
    assert answer.cost_usd == pytest.approx((answer.tokens.input * 4 + answer.tokens.output * 8) / 1e6)
    assert answer.latency_s == 0


async def test_one_for_the_document_goes_before_one_for_any(tmp_path: Path) -> None:
    replay = expert(
        tmp_path,
        {"question": "When is rent due?", "text": "any"},
        {"question": "WHEN is  rent due?", "document": "lease", "text": "lease"},
    )
    assert (await replay.ask(payload())).text == "any"
    assert (await replay.ask(payload(document="lease"))).text == "lease"
    assert (await replay.ask(payload(document="other"))).text == "any"


async def test_one_for_another_document_is_none(tmp_path: Path) -> None:
    replay = expert(tmp_path, {"question": "When is rent due?", "document": "lease", "text": "lease"})
    for asked in (payload(), payload(document="other"), payload("Why?", "lease")):
        with pytest.raises(ExpertUnavailableError, match="'replay' is recorded and has no recording"):
            await replay.ask(asked)


async def test_line_separators_inside_a_text(tmp_path: Path) -> None:
    answer = await expert(tmp_path, {"question": "When is rent due?", "text": "a\u2028b\x85c"}).ask(payload())
    assert answer.text == "a\u2028b\x85c"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 3: not JSON"),
        ("[]", "line 3: the line: "),
        ('{"question": "Q"}', "line 3: text: Field required"),
        ('{"question": "Q", "text": "A", "txt": 1}', "line 3: txt: "),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"question": "Q", "text": "A"}}\n\n{line}\n')
    settings = Settings(experts=(ExpertSettings(name="replay", model="recorded:a.jsonl"),))
    with pytest.raises(SettingsError, match=words) as caught:
        build_experts(settings, tmp_path)
    assert "\n" not in str(caught.value)


def test_two_experts_of_one_name(tmp_path: Path) -> None:
    settings = Settings(
        experts=(ExpertSettings(name="gpt", model="openai:a"), ExpertSettings(name="gpt", model="openai:b"))
    )
    with pytest.raises(SettingsError, match="2 experts named 'gpt'"):
        build_experts(settings, tmp_path)
