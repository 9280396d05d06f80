"""Other words for the same question, through the whole agent: Chroma, SQLite, the recorded expert."""

from __future__ import annotations

import json
from pathlib import Path

from understudy.agents import Agent
from understudy.core.settings import CacheSettings, DeferralSettings, ExpertSettings, Settings

ASKED = "When does the night train to Oslo leave?"
OTHER_WORDS = "Could you tell me when the night train to Oslo leaves?"
AGAIN = "Please tell me: when does the night train to Oslo leave?"


def settings(tmp_path: Path, **cache: object) -> Settings:
    said = [
        {"question": q, "text": "22:40", "citations": [{"document": "trains.md", "quote": "leaves at 22:40"}]}
        for q in (ASKED, "When does the night train to Bergen leave?", "When does the night train to Oslo not leave?")
    ]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, said)))
    replay = ExpertSettings(name="replay", model=f"recorded:{tmp_path / 'answers.jsonl'}")
    deferral = DeferralSettings(min_confidence=1.0, audit_rate=0.0)
    return Settings(deferral=deferral, experts=(replay,), cache=CacheSettings.model_validate(cache))


def ingest(agent: Agent, folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "trains.md").write_text(f"# Trains\n\nThe night train to Oslo leaves at 22:40{text}.\n")
    agent.ingest([folder])


def test_other_words_are_answered_from_the_cache_until_the_document_changes(tmp_path: Path) -> None:
    with Agent.open(tmp_path / "w", settings=settings(tmp_path)) as agent:
        ingest(agent, tmp_path / "files", "")
        assert agent.ask(ASKED).route == "expert"
        found = agent.ask(AGAIN)
        assert (found.route, found.text, found.question, found.cost_usd) == ("cache", "22:40", AGAIN, 0)
        assert [s.kind for s in found.steps] == ["recall"]
        assert ASKED in found.reason
        assert agent.ask("When does the night train to Bergen leave?").route == "expert"
        assert agent.ask("When does the night train to Oslo not leave?").route == "expert"
        assert agent.ask(AGAIN, document="trains.md").route != "cache"
        assert agent.status()["cache"]["source"] == "prior"
        ingest(agent, tmp_path / "files", " and arrives at 7")
        assert agent.ask(AGAIN).route != "cache"
    with Agent.open(tmp_path / "w", settings=settings(tmp_path), principal="bob") as agent:
        assert agent.ask(AGAIN).route != "cache"


def test_switched_off_or_without_a_promise_only_the_same_words_hit(tmp_path: Path) -> None:
    for number, cache in enumerate(({"semantic": False}, {"max_error": 0.0})):
        with Agent.open(tmp_path / str(number), settings=settings(tmp_path, **cache)) as agent:
            ingest(agent, tmp_path / "files", "")
            assert agent.ask(ASKED).route == "expert"
            assert agent.ask(ASKED).route == "cache"
            assert agent.ask(AGAIN).route != "cache"
