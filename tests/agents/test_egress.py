"""What reaches an expert's server, byte by byte, and what comes home: the real agent against a real HTTP server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_openai import FakeOpenAI, completion, serving

from understudy.agents import Agent, Answer
from understudy.core.settings import CollectionSettings, DeferralSettings, ExpertSettings, Settings

NOTE = """# Discharge of Maria Kovac

Patient: Maria Kovac
Phone: +44 20 7946 0958

Maria Kovac was admitted on 3 May with pneumonia. She was given amoxicillin, 500 mg three times a day, and went home
after six days. The invoice of EUR 1,250.00 was paid.

| patient | ward | result |
|---|---|---|
| Maria Kovac | 7B | negative |
| Oleg Bratt | 7B | positive |
"""
QUESTION = "Which drug was Maria Kovac given?"


def reply(**said: Any) -> str:
    return json.dumps(completion(json.dumps({"not_in_documents": False, "citations": []} | said, ensure_ascii=False)))


def settings(url: str, experts: Sequence[ExpertSettings] = (), **collection: Any) -> Settings:
    return Settings(
        deferral=DeferralSettings(min_confidence=1.0, audit_rate=0.0),
        experts=tuple(experts) or (ExpertSettings(name="gpt", model="openai:fake", base_url=url, retries=0),),
        collections={"default": CollectionSettings.model_validate({"protect": ["patient"]} | collection)},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "maria-kovac.md").write_text(NOTE)
    with Agent.open(tmp_path / "w") as agent:
        agent.ingest([tmp_path / "maria-kovac.md"])
    return tmp_path / "w"


def sent(server: FakeOpenAI) -> str:
    """All that reached the server."""
    return json.dumps(server.requests, ensure_ascii=False)


def cited(agent: Agent, answer: Answer) -> list[str]:
    """The quotes, which stand in the stored text."""
    for citation in answer.citations:
        document = agent.store.document("default", citation.document)
        assert document is not None
        assert document.text[citation.start : citation.end] == citation.quote
    return [c.quote for c in answer.citations]


def test_identifiers_stay_and_come_back_in_the_answer_and_its_quotes(folder: Path) -> None:
    with serving("ok") as server, Agent.open(folder, settings=settings(server.url)) as agent:
        agent.ask("What was the invoice?")
        body = server.requests[0]["messages"][1]["content"]
        # The very line of the note as it was shown, whatever its placeholder is called.
        line = next(part for part in body.replace("> ", "").split("\n") if "was admitted on 3 May" in part)
        name = line.partition(" was admitted")[0].rpartition("\n")[2]
        assert name.startswith("⟦PERSON_")
        quote = f"{name} was admitted on 3 May with pneumonia"
    said = reply(answer=f"{name}’s drug was amoxicillin", citations=[{"passage": 1, "quote": quote}])
    with serving(said) as server, Agent.open(folder, settings=settings(server.url)) as agent:
        answer = agent.ask(QUESTION)
        quotes = cited(agent, answer)
    for value in ("Maria", "Kovac", "kovac", "Oleg", "Bratt", "7946"):
        assert value not in sent(server), value
    assert "amoxicillin, 500 mg" in sent(server)
    assert "1,250.00" in sent(server)
    assert answer.route == "expert"
    assert answer.text == "Maria Kovac’s drug was amoxicillin"
    assert quotes == ["Maria Kovac was admitted on 3 May with pneumonia"]


def test_a_local_collection_sends_the_question_alone(folder: Path) -> None:
    said = reply(answer="Amoxicillin is an antibiotic.")
    with serving(said) as server, Agent.open(folder, settings=settings(server.url, sensitivity="local")) as agent:
        answer = agent.ask("What kind of drug is the amoxicillin that Maria Kovac took?")
        before = agent.example_store.count()
    (request,) = server.requests
    assert request["messages"][1]["content"].startswith("Question: What kind of drug is the amoxicillin that ⟦")
    for value in ("Maria", "Kovac", "pneumonia", "7B"):
        assert value not in sent(server), value
    assert (answer.route, answer.text, answer.citations) == ("expert", "Amoxicillin is an antibiotic.", ())
    assert "the expert saw the question alone" in answer.reason
    assert before == 0  # nothing was seen, so nothing is taught


def test_an_expert_that_cant_tell_from_the_question_leaves_the_local_answer(folder: Path) -> None:
    said = reply(answer="I can't know.", not_in_documents=True)
    with serving(said) as server, Agent.open(folder, settings=settings(server.url, sensitivity="local")) as agent:
        answer = agent.ask(QUESTION)
    assert answer.route in ("local", "declined")
    assert "was given the question alone, and can't tell from it" in answer.reason


def test_what_the_redactor_leaves_stops_at_the_check(folder: Path) -> None:
    with serving("ok") as server, Agent.open(folder, settings=settings(server.url)) as agent:
        answer = agent.ask("Which drug was M a r i a  K o v a c given?")
        encoded = agent.ask("Who is TWFyaWEgS292YWM=, and which drug?")
    assert server.requests == []
    for stopped in (answer, encoded):
        assert "a protected value (PERSON) is left in it" in stopped.reason
        assert "Kovac" not in stopped.reason


def test_a_follow_up_in_another_collection_gets_the_least_of_both(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "trains.md").write_text("# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n")
    with serving("ok") as server:
        given = settings(server.url, sensitivity="local")
        both = given.model_copy(
            update={"collections": {**given.collections, "open": CollectionSettings(sensitivity="open")}}
        )
        with Agent.open(folder, settings=both) as agent:
            agent.ingest([tmp_path / "trains.md"], collection="open")
            agent.ask("When does the night train to Oslo leave?", collection="open")
            assert "leaves at 22:40" in sent(server)
            first = agent.ask(QUESTION)
            server.requests.clear()
            agent.ask("When does the night train to Oslo leave?", collection="open", thread=first.thread)
    assert "leaves at 22:40" not in sent(server)
    assert "Question: When does the night train to ⟦PLACE_1⟧ leave?" in sent(server)


def test_what_a_mixed_thread_taught_takes_nothing_along(folder: Path, tmp_path: Path) -> None:
    """An answer in an open collection's name may restate a protected one's: no later question shows it in clear."""
    (tmp_path / "trains.md").write_text("# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n")
    quote = "leaves at 22:40 from platform seven"
    said = reply(answer="at 22:40", citations=[{"passage": 1, "quote": quote}])
    with serving(said) as server:
        given = settings(server.url)
        both = given.model_copy(
            update={"collections": {**given.collections, "open": CollectionSettings(sensitivity="open")}}
        )
        with Agent.open(folder, settings=both) as agent:
            agent.ingest([tmp_path / "trains.md"], collection="open")
            first = agent.ask(QUESTION)
            agent.ask("When does Maria Kovac's night train to Oslo leave?", collection="open", thread=first.thread)
            assert agent.example_store.count() == 2
            server.requests.clear()
            agent.ask("From which platform does the night train to Oslo leave?", collection="open")
    assert "leaves at 22:40 from platform seven" in sent(server)
    for value in ("Maria", "Kovac"):
        assert value not in sent(server), value


def test_a_recorded_expert_is_asked_by_the_question_as_it_was(folder: Path) -> None:
    quote = "Maria Kovac was admitted on 3 May"
    said = {"question": QUESTION, "text": "amoxicillin", "citations": [{"document": "maria-kovac.md", "quote": quote}]}
    (folder / "answers.jsonl").write_text(json.dumps(said))
    replay = ExpertSettings(name="replay", model="recorded:answers.jsonl")
    with Agent.open(folder, settings=settings("", [replay])) as agent:
        answer = agent.ask(QUESTION)
        assert cited(agent, answer) == [quote]
        assert agent.ask(QUESTION).route == "cache"
    assert answer.route == "expert"


def test_what_is_approved_is_what_was_redacted(folder: Path) -> None:
    with serving("ok") as server, Agent.open(folder, settings=settings(server.url, egress="ask")) as agent:
        request = agent.ask(QUESTION).approval or ""
        shown = agent.approval(request)["payload"]
        assert "Kovac" not in shown["user"]
        assert shown["replaced"]["PERSON"] >= 1
        again = agent.edit(request, "Question: which drug was Maria Kovac given?")
        assert (again.status, server.requests) == ("waiting", [])
        shown = agent.approval(again.approval or "")["payload"]
        assert shown["user"].startswith("Question: which drug was ⟦PERSON_")
        assert agent.approve(again.approval or "").route == "expert"
    assert "Kovac" not in sent(server)


BLOCKED = """
import json, socket, sys
allowed, seen = int(sys.argv[2]), []
real = socket.socket.connect
def connect(self, address):
    if self.family == socket.AF_UNIX or (address[0] in ("127.0.0.1", "::1") and address[1] == allowed):
        return real(self, address)
    seen.append(str(address))
    raise OSError("closed")
socket.socket.connect = socket.socket.connect_ex = connect
looked_up = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if host not in ("127.0.0.1", "localhost", None):
        seen.append(str(host))
    return looked_up(host, *rest, **more)
socket.getaddrinfo = getaddrinfo
from understudy.agents import Agent
from understudy.core.settings import Settings
with Agent.open(sys.argv[1], settings=Settings.model_validate_json(sys.argv[3])) as agent:
    print(json.dumps([agent.ask(q).route for q in sys.argv[4:]] + seen))
"""


def test_nothing_but_the_guards_calls_reaches_the_network(folder: Path) -> None:
    """Telemetry and tracing of every library switched on, a proxy named: one address is spoken to, the expert's."""
    with serving("ok") as server:
        on = {
            "LANGSMITH_TRACING": "true",
            "LANGCHAIN_TRACING_V2": "true",
            "LANGSMITH_API_KEY": "k",
            "ANONYMIZED_TELEMETRY": "True",
            "HF_HUB_DISABLE_TELEMETRY": "0",
            "GRADIO_ANALYTICS_ENABLED": "True",
            "RAY_USAGE_STATS_ENABLED": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel.example:4318",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        port = server.url.rpartition(":")[2].partition("/")[0]
        given = settings(server.url).model_dump_json()
        done = subprocess.run(
            [sys.executable, "-c", BLOCKED, str(folder), port, given, QUESTION, "What was the invoice?"],
            env=os.environ | on,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == ["expert", "expert"]
        assert len(server.requests) == 2
        assert "Kovac" not in sent(server)
