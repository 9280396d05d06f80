"""The audit log of a whole agent, beside a real server: what it knew when the request came, and what it never holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from audit_parts import bodies
from fake_openai import serving
from langchain_core.tools import tool

from understudy.agents import Agent
from understudy.core.egress import Payload
from understudy.core.settings import CollectionSettings, DeferralSettings, ExpertSettings, Settings
from understudy.core.types import Evidence, Scope
from understudy.core.usage import Account

QUESTION = "Which ward treats Wilhelmina Oakenshaw?"
TEXT = "Wilhelmina Oakenshaw, born 4 May 1961, is treated on ward seven of the Larkspur clinic."


def settings(url: str) -> Settings:
    return Settings(
        deferral=DeferralSettings(min_confidence=1.0),
        experts=(ExpertSettings(name="gpt", model="openai:fake", base_url=url, retries=0, input_usd_per_mtok=1.0),),
        collections={"default": CollectionSettings(sensitivity="open")},
    )


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "Oakenshaw.md").write_text(TEXT)
    with Agent.open(tmp_path / "w") as agent:
        agent.ingest([tmp_path / "docs"])
    return tmp_path / "w"


def test_the_log_knows_a_request_before_the_server_does(ready: Path) -> None:
    seen: list[list[dict[str, Any]]] = []
    with serving("ok") as server, Agent.open(ready, settings=settings(server.url)) as agent:
        server.watch = lambda _request: seen.append(bodies(agent.audit.files))
        answer = agent.ask(QUESTION)
        assert answer.route == "expert"
        assert agent.audit.verify().ok
        held = agent.audit.records()
        name = server.url.removeprefix("http://").removesuffix("/v1")
        (request,) = server.requests
    ((egress,),) = seen  # one request, one record, and nothing after it yet
    assert held[0] == egress
    assert (egress["kind"], egress["host"], egress["thread"]) == ("egress", name, answer.thread)
    system, user = (m["content"] for m in request["messages"])
    sent = Payload(system, user, (), "", Scope())
    assert (egress["sha256"], egress["bytes"]) == (sent.sha256, len(sent.content))
    assert (held[1]["kind"], held[1]["of"], held[1]["status"]) == ("result", 1, "answered")
    assert held[1]["tokens"] == {"input": 1000, "output": 100}
    assert held[1]["spent"]["usd"] == pytest.approx(answer.cost_usd)


def test_no_word_of_question_document_or_reply_is_in_any_of_its_files(ready: Path) -> None:
    leaky = json.dumps({"error": {"message": TEXT, "type": "x", "code": "y"}})
    for behaviour in ("ok", "prose", "400", leaky):
        with serving(behaviour) as server, Agent.open(ready, settings=settings(server.url)) as agent:
            agent.ask(f"{QUESTION} {behaviour}")
            assert len(agent.audit.records()) >= 2
    for file in ready.glob("audit*"):
        raw = file.read_bytes().lower()
        for word in (b"oakenshaw", b"wilhelmina", b"1961", b"larkspur", b"412.6", b"four hundred"):
            assert word not in raw, (file, word)


def test_a_log_that_was_tampered_with_stops_what_would_leave_and_nothing_else(ready: Path) -> None:
    with serving("ok") as server, Agent.open(ready, settings=settings(server.url)) as agent:
        assert agent.ask(QUESTION).route == "expert"
        assert agent.status()["audit"] == {"records": 2, "head": str(agent.audit.files.head), "trouble": None}
        agent.audit.files.head.unlink()
        assert "is gone; nothing is sent" in agent.status()["audit"]["trouble"]
        answer = agent.ask("What is the clinic called?")
        assert answer.route != "expert"
        assert "nothing is sent" in answer.reason
        assert len(server.requests) == 1


def test_what_a_cloud_tool_is_told_is_in_the_log_before_it_is_told(ready: Path) -> None:
    seen: list[list[dict[str, Any]]] = []

    @tool
    def ward_of(name: str) -> str:
        """Look a patient up."""
        seen.append(bodies(agent.audit.files))
        return f"{name} is on ward seven"

    given = settings("http://127.0.0.1:9/v1").model_copy(update={"collections": {}})  # redacted, then
    with Agent.open(ready, settings=given, tools=[ward_of]) as agent:
        call = ("ward_of", {"name": "Wilhelmina Oakenshaw"}, QUESTION, Scope(), Evidence())
        found = agent.toolbox.run(*call, Account("q", "t", "owner"), [Scope(document="Oakenshaw.md")])
        egress, result = agent.audit.records()
        assert agent.audit.verify().ok
        agent.audit.files.head.unlink()
        stopped = agent.toolbox.run(*call)
    assert found.text == "Wilhelmina Oakenshaw is on ward seven"
    assert seen == [[egress]]
    assert (egress["receiver"], egress["expert"], egress["replaced"]) == ("tool", "ward_of", {"PERSON": 1})
    assert (egress["collections"], len(egress["documents"]), result["status"]) == (["default"], 1, "answered")
    assert b"Oakenshaw" not in (ready / "audit.sqlite").read_bytes()
    assert stopped.error
    assert "nothing is sent" in stopped.text


def test_an_erasure_leaves_a_record_that_does_not_name_the_document(ready: Path) -> None:
    with serving("ok") as server, Agent.open(ready, settings=settings(server.url)) as agent:
        agent.ask(QUESTION)
        agent.erase("Oakenshaw.md")
        held = agent.audit.records()
        assert agent.audit.verify().ok
    assert held[-1]["kind"] == "erasure"
    assert held[-1]["document"] in held[0]["documents"]
    assert held[-1]["gone"]["passages"] == 1
    assert b"Oakenshaw" not in (ready / "audit.sqlite").read_bytes()
