"""The whole agent with real parts: GGUF, Chroma on disk, SQLite threads, the recorded expert, an expert over HTTP."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_openai import serving
from langchain_core.runnables import RunnableConfig

from understudy.agents import Agent, Answer
from understudy.core.errors import (
    NoDocumentsError,
    QuestionError,
    ScopeError,
    Stopped,
    WorkspaceBusyError,
    WorkspaceError,
)
from understudy.core.settings import BudgetSettings, CollectionSettings, DeferralSettings, ExpertSettings, Settings
from understudy.core.workspace import Workspace

SAMPLES = Path(__file__).parents[2] / "apps" / "understudy" / "apps" / "samples" / "documents"
ALWAYS_DEFER = DeferralSettings(min_confidence=1.0)
NEVER_DEFER = DeferralSettings(min_confidence=0.0, audit_rate=0.0)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the sample documents."""
    folder = tmp_path_factory.mktemp("ready")
    with Agent.open(folder) as agent:
        report = agent.ingest([SAMPLES])
        assert report.added == 4
        assert agent.ingest([SAMPLES]).unchanged == 4
    return folder


@pytest.fixture
def agent(ready: Path) -> Iterator[Agent]:
    with Agent.open(ready, settings=Settings(deferral=NEVER_DEFER)) as opened:
        yield opened


def check_citations(agent: Agent, answer: Answer) -> None:
    """Every quote stands in the stored text of its document."""
    for citation in answer.citations:
        document = agent.store.document("default", citation.document)
        assert document is not None
        assert document.text[citation.start : citation.end] == citation.quote


def test_an_answer_has_steps_citations_and_counts(agent: Agent) -> None:
    answer = agent.ask("When was Halden Instruments founded?")
    assert answer.route in ("local", "declined")
    assert answer.steps
    check_citations(agent, answer)
    assert answer.tokens.small.evaluated > 0
    assert answer.tokens.small.forced > 0
    assert answer.cost_usd == 0


def test_the_same_question_gets_the_same_answer(agent: Agent) -> None:
    first, second = (agent.ask("What are the visiting hours?") for _ in range(2))
    assert (first.text, first.citations) == (second.text, second.citations)


def test_scoped_to_one_document(agent: Agent) -> None:
    answer = agent.ask("What was Revenue in 2023?", document="annual-report-2024.pdf")
    assert {c.document for c in answer.citations} <= {"annual-report-2024.pdf"}
    with pytest.raises(ScopeError, match=r"nearest is 'annual-report-2024\.pdf'"):
        agent.ask("What?", document="annual-report-2042.pdf")


def test_a_thread_survives_a_restart(ready: Path) -> None:
    with Agent.open(ready) as agent:
        thread = agent.ask("What was Operating profit in 2023?").thread
    where: RunnableConfig = {"configurable": {"thread_id": f"owner/{thread}"}}
    with Agent.open(ready) as agent:
        held = agent._loop.run(agent._graph.aget_state(where))
        assert [t["question"] for t in held.values["turns"]] == ["What was Operating profit in 2023?"]
        agent.ask("And in 2022?", thread=thread)
        transcript = agent._loop.run(agent._graph.aget_state(where)).values["transcript"]
        assert "Earlier: What was Operating profit in 2023?" in transcript[0]["content"]


def test_an_expert_is_asked_cached_and_kept_as_an_example(ready: Path) -> None:
    with serving("ok") as server:
        gpt = ExpertSettings(name="gpt", model="openai:fake", base_url=server.url, output_usd_per_mtok=10)
        with Agent.open(ready, settings=Settings(deferral=ALWAYS_DEFER, experts=(gpt,)), principal="ann") as agent:
            before = agent.example_store.count()
            first = agent.ask("How much revenue did the company make?")
            again = agent.ask("how much  REVENUE did the company make?")
            other = agent.ask("How much revenue did the company make?", document="annual-report-2024.pdf")
            assert agent.example_store.count() == before + 2
    assert (first.route, again.route, other.route) == ("expert", "cache", "expert")
    assert first.text == again.text == "EUR 412.6 million"
    assert first.cost_usd > 0
    assert again.cost_usd == 0
    assert len(server.requests) == 2


def test_a_change_of_a_document_forgets_what_cited_it_and_nothing_else(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "trains.md").write_text("# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n")
    (files / "cats.md").write_text("# Cats\n\nCats purr when they are content.\n")
    asked, quote = "When does the night train leave?", "leaves at 22:40"
    said = {"question": asked, "text": "22:40", "citations": [{"document": "trains.md", "quote": quote}]}
    (tmp_path / "answers.jsonl").write_text(json.dumps(said))
    replay = ExpertSettings(name="replay", model=f"recorded:{tmp_path / 'answers.jsonl'}")
    with Agent.open(tmp_path / "w", settings=Settings(deferral=ALWAYS_DEFER, experts=(replay,))) as agent:
        agent.ingest([files])
        routes = [agent.ask(asked).route]
        (files / "cats.md").write_text("# Cats\n\nCats purr, and hunt at night.\n")
        agent.ingest([files])
        routes.append(agent.ask(asked).route)
        (files / "trains.md").write_text("# Trains\n\nThe night train to Oslo leaves at 22:40, as it ever did.\n")
        agent.ingest([files])
        routes.append(agent.ask(asked).route)
        taught = agent.examples()
    assert routes == ["expert", "cache", "expert"]
    assert [(row["answer"], row["rejected"]) for row in taught] == [("22:40", ""), ("22:40", "")]
    assert taught[0]["versions"] != taught[1]["versions"]


def test_the_cache_knows_who_asks(ready: Path) -> None:
    with serving("ok") as server:
        gpt = ExpertSettings(name="gpt", model="openai:fake", base_url=server.url)
        for principal in ("eve", "bob"):
            with Agent.open(
                ready, settings=Settings(deferral=ALWAYS_DEFER, experts=(gpt,)), principal=principal
            ) as agent:
                assert agent.ask("Who is the chief executive?").route == "expert"


@pytest.mark.parametrize("behaviour", ["401", "429", "500", "slow", "not json", "prose"])
def test_an_expert_that_fails_leaves_the_local_answer(ready: Path, behaviour: str) -> None:
    with serving(behaviour) as server:
        gpt = ExpertSettings(name="gpt", model="openai:fake", base_url=server.url, timeout_s=1, retries=0)
        with Agent.open(ready, settings=Settings(deferral=ALWAYS_DEFER, experts=(gpt,))) as agent:
            answer = agent.ask(f"What about {behaviour}?")
    assert answer.route in ("local", "declined")
    assert "'gpt'" in answer.reason


def test_policy_keeps_a_collection_in_the_house(ready: Path) -> None:
    with serving("ok") as server:
        settings = Settings(
            deferral=ALWAYS_DEFER,
            experts=(ExpertSettings(name="gpt", model="openai:fake", base_url=server.url),),
            collections={"default": CollectionSettings(egress="never")},
        )
        with Agent.open(ready, settings=settings) as agent:
            answer = agent.ask("Is there a pension plan?")
    assert "never goes to an expert" in answer.reason
    assert server.requests == []


async def test_streaming_from_another_loop(ready: Path) -> None:
    with Agent.open(ready) as agent:
        events = [event async for event in agent.astream("How long are X-ray images kept?")]
        assert (await agent.aask("How long are X-ray images kept?")).text == events[-1].answer.text
    assert [e.kind for e in events].count("answer") == 1
    assert any(e.kind == "step" for e in events)
    assert "".join(e.text for e in events if e.kind == "text").startswith('{"kind":"')


def test_bad_questions(agent: Agent) -> None:
    for question, words in (("  ", "empty"), ("why\0", "null"), ("why " * 5000, "context")):
        with pytest.raises(QuestionError, match=words):
            agent.ask(question)
    with pytest.raises(NoDocumentsError, match="understudy ingest"):
        agent.ask("Why?", collection="nothing")
    with pytest.raises(Stopped):
        agent.ask("Why?", cancel=lambda: True)
    assert agent.ask("What are the visiting hours?").status == "done"


def test_tracing_by_environment_sends_nothing(ready: Path) -> None:
    code = f"from understudy.agents import Agent\nwith Agent.open({str(ready)!r}) as a: a.ask('What are the visiting hours?')"
    with serving("ok") as server:
        switched_on = {
            "LANGSMITH_TRACING": "true",
            "LANGCHAIN_TRACING_V2": "true",
            "LANGSMITH_API_KEY": "key",
            "LANGSMITH_ENDPOINT": server.url,
        }
        subprocess.run([sys.executable, "-c", code], env=os.environ | switched_on, check=True, timeout=120)
        assert server.keys == []  # counts every request, whatever its body


def hold(folder: str, ready: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event) -> None:
    with Workspace.open(folder).owned():
        ready.set()
        done.wait(30)


def test_a_second_process_is_told_who_holds_the_workspace(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    held, done = spawn.Event(), spawn.Event()
    Workspace.open(tmp_path)
    other = spawn.Process(target=hold, args=(str(tmp_path), held, done))
    other.start()
    held.wait(20)
    with pytest.raises(WorkspaceBusyError, match=f"process {other.pid}"):
        Agent.open(tmp_path, wait_s=0.2)
    done.set()
    other.join()


def test_corrupt_workspaces(tmp_path: Path) -> None:
    Workspace.open(tmp_path)
    (tmp_path / "documents.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(WorkspaceError, match="corrupt"):
        Agent.open(tmp_path)
    (tmp_path / "workspace.json").write_text("{")
    with pytest.raises(WorkspaceError, match="corrupt"):
        Agent.open(tmp_path)
    (tmp_path / "workspace.json").write_text('{"version": 99}')
    with pytest.raises(WorkspaceError, match="version 99"):
        Agent.open(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceError, match="is a file"):
        Agent.open(tmp_path / "file")


def test_nothing_is_compared_without_an_expert_or_a_budget(ready: Path) -> None:
    gpt = ExpertSettings(name="gpt", model="openai:fake", input_usd_per_mtok=1.0)
    for experts, budget, compared in [
        ((gpt,), BudgetSettings(), True),
        ((gpt,), BudgetSettings(per_month_usd=0.0), False),
        ((), BudgetSettings(), False),
    ]:
        with Agent.open(ready, settings=Settings(experts=experts, budget=budget)) as agent:
            assert agent.labelled("default") is compared
