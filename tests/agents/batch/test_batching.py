"""Many questions at once by the facade, with the small model that ships and an expert on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fake_openai import serving

from understudy.agents import Agent
from understudy.agents.batch.journal import Pending
from understudy.core.errors import QuestionError, ScopeError, Stopped, UnderstudyError, UserError
from understudy.core.jobs import Query, Result
from understudy.core.settings import CollectionSettings, DeferralSettings, ExpertSettings, PrincipalSettings, Settings
from understudy.core.types import Answer, Scope

CITIES = {"oslo": "22:40", "bergen": "06:15", "narvik": "13:05"}
LEAVES = "When does the night train to {} leave?"


def add(agent: Agent, folder: Path, cities: dict[str, str]) -> None:
    for city, hour in cities.items():
        path = folder / "documents" / f"{city}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# Trains\n\nThe night train to {city.title()} leaves at {hour} from platform seven.\n")
    agent.ingest([folder / "documents"])


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    settings = Settings(principals={"ann": PrincipalSettings(labels=("default",))})
    with Agent.open(tmp_path / "w", settings=settings) as opened:
        add(opened, tmp_path, CITIES)
        yield opened


def asked_of(city: str) -> Query:
    return Query(question=LEAVES.format(city.title()), document=f"{city}.md")


def with_expert(url: str, egress: str = "allow") -> Settings:
    expert = ExpertSettings(name="gpt", model="openai:fake", base_url=url, retries=0, input_usd_per_mtok=10.0)
    return Settings(
        experts=(expert,),
        deferral=DeferralSettings(min_confidence=1.0, audit_rate=0.0),
        collections={"default": CollectionSettings(egress=egress)},  # type: ignore[arg-type]
    )


async def test_answers_come_in_order_and_are_those_of_single_questions(agent: Agent) -> None:
    questions = [asked_of(city) for city in (*CITIES, "oslo")]
    found = await agent.abatch(questions, at_once=3)
    assert [hour in a.text for hour, a in zip((*CITIES.values(), "22:40"), found, strict=True)] == [True] * 4
    for query, answer in zip(questions, found, strict=True):
        alone = await agent.aask(query.question, document=query.document)
        same = ("question", "text", "route", "confidence", "citations")
        assert answer.model_dump(include=set(same)) == alone.model_dump(include=set(same))
    assert len(agent.threads()) == len(questions), "a batch leaves no threads"


async def test_the_first_error_is_raised_or_stands_in_its_place(agent: Agent) -> None:
    questions: list[str | Query] = [asked_of("oslo"), " ", Query(question="Why?", document="no.md")]
    with pytest.raises((QuestionError, ScopeError)):
        await agent.abatch(questions)
    good, empty, unknown = await agent.abatch(questions, return_exceptions=True)
    assert isinstance(good, Answer)
    assert isinstance(empty, QuestionError)
    assert isinstance(unknown, ScopeError)


def test_a_job_keeps_what_it_has_and_goes_on(agent: Agent) -> None:
    queries = [*map(asked_of, CITIES), Query(question="", problem="the question is no text"), asked_of("oslo")]
    begun = agent.begin_job("j", queries, output="out.csv")
    assert (begun.status, begun.total, begun.done) == ("interrupted", 5, 0)
    seen: list[Result] = []

    def stop_after_one(result: Result) -> None:
        seen.append(result)

    with pytest.raises(Stopped, match="what is answered is kept"):
        agent.run_job("j", at_once=1, on_row=stop_after_one, cancel=lambda: bool(seen))
    assert agent.job("j").status == "interrupted"
    assert agent.job("j").done == len(seen) == 2, "the first and the last are the same"
    done = agent.run_job("j", on_row=stop_after_one)
    assert (done.status, done.done, done.failed) == ("done", 5, 1)
    assert len(seen) == 5
    rows = list(agent.job_results("j"))
    assert [r.error for r in rows] == [None, None, None, "the question is no text", None]
    assert [CITIES[c] in r.answer.text for c, r in zip(CITIES, rows, strict=False) if r.answer] == [True] * 3
    assert agent.run_job("j", on_row=stop_after_one).status == "done"
    assert len(seen) == 5, "nothing is asked twice"


def test_a_changed_document_is_asked_again_and_no_other(agent: Agent, tmp_path: Path) -> None:
    queries = [asked_of(city) for city in CITIES]
    agent.begin_job("j", queries)
    agent.run_job("j")
    add(agent, tmp_path, {"oslo": "23:55"})
    assert agent.begin_job("j", queries).done == 2
    agent.run_job("j")
    first, *_ = agent.job_results("j")
    assert first.answer is not None
    assert "23:55" in first.answer.text


def test_a_job_is_its_principals(agent: Agent) -> None:
    agent.begin_job("hers", [asked_of("oslo")], principal="ann")
    agent.begin_job("mine", [asked_of("oslo")])
    assert {job.id for job in agent.jobs()} == {"hers", "mine"}
    assert [job.id for job in agent.jobs(principal="ann")] == ["hers"]
    for refused in (agent.job, agent.run_job, agent.cancel_job):
        with pytest.raises(ScopeError, match="no job 'mine'"):
            refused("mine", principal="ann")
    with pytest.raises(ScopeError, match="another principal's"):
        agent.begin_job("mine", [asked_of("oslo")], principal="ann")
    assert agent.cancel_job("hers", principal="ann").status == "cancelled"


def test_a_job_can_be_cancelled_while_it_runs_and_gone_on_with(agent: Agent) -> None:
    agent.begin_job("j", [asked_of(city) for city in CITIES])
    with pytest.raises(Stopped):
        agent.run_job("j", at_once=1, on_row=lambda _row: agent.cancel_job("j") and None)
    assert agent.job("j").status == "cancelled"
    assert 1 <= agent.job("j").done < 3, "what was begun by then is answered, and no more"
    assert agent.run_job("j").status == "done"
    with pytest.raises(UserError, match="is done"):
        agent.cancel_job("j")


def test_an_erased_document_is_in_no_job(agent: Agent) -> None:
    agent.begin_job("j", [asked_of(city) for city in CITIES])
    agent.run_job("j")
    assert agent.erase("oslo.md", dry_run=True).job_answers == 1
    agent.erase("oslo.md")
    assert [r.query.document for r in agent.job_results("j")] == ["bergen.md", "narvik.md"]
    for path in agent.workspace.root.glob("jobs.sqlite*"):
        assert b"oslo.md" not in path.read_bytes()


def test_nothing_of_a_document_is_kept_that_is_erased_meanwhile(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.begin_job("j", [asked_of(city) for city in CITIES])
    keep, begun = agent.journal.keep, threading.Event()

    def slowly(job: str, row: Pending, *more: object) -> int:
        begun.set()
        time.sleep(0.5)
        return keep(job, row, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(agent.journal, "keep", slowly)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(agent.run_job, "j", at_once=1)
        assert begun.wait(60)
        agent.erase("oslo.md")
        assert running.result().status == "done"
    assert agent.journal.found(Scope(document="oslo.md")) == []
    assert [r.query.document for r in agent.job_results("j")] == ["bergen.md", "narvik.md"]


def test_an_error_names_no_other_document(agent: Agent) -> None:
    agent.begin_job("j", [Query(question="Why?", document="osl.md")])
    agent.run_job("j")
    (row,) = agent.job_results("j")
    assert row.error == "there is no document 'osl.md' in collection 'default'"


def test_who_may_read_no_longer_gets_no_results(tmp_path: Path) -> None:
    for label in ("default", "other"):
        with Agent.open(
            tmp_path / "w", settings=Settings(principals={"ann": PrincipalSettings(labels=(label,))})
        ) as agent:
            if label == "default":
                add(agent, tmp_path, CITIES)
                agent.begin_job("j", [asked_of("oslo")], principal="ann")
                agent.run_job("j", principal="ann")
                assert len(list(agent.job_results("j", principal="ann"))) == 1
                continue
            assert agent.jobs(principal="ann") == []
            for refused in (agent.job, agent.job_results, agent.run_job):
                with pytest.raises(ScopeError, match="no job 'j'"):
                    refused("j", principal="ann")


async def test_a_remembered_answer_of_another_batch_is_said_to_be_one(tmp_path: Path) -> None:
    with serving("ok") as server, Agent.open(tmp_path / "w", settings=with_expert(server.url)) as agent:
        add(agent, tmp_path, CITIES)
        for route, cost in (("expert", 0.01), ("cache", 0.0)):
            (answer,) = await agent.abatch([asked_of("oslo")])
            assert (answer.route, answer.cost_usd) == (route, pytest.approx(cost))
        assert len(server.requests) == 1


def test_no_budget_is_exceeded_and_local_answers_stand(tmp_path: Path) -> None:
    with serving("ok") as server, Agent.open(tmp_path / "w", settings=with_expert(server.url)) as agent:
        add(agent, tmp_path, CITIES)
        queries = [asked_of(city) for city in CITIES]
        agent.begin_job("free", queries, budget_usd=0.0)
        free = agent.run_job("free")
        assert (free.cost_usd, len(server.requests)) == (0, 0)
        reasons = [r.answer.reason for r in agent.job_results("free") if r.answer]
        assert all("the budget per job allows no expert" in reason for reason in reasons)
        agent.begin_job("paid", queries, budget_usd=1.0)
        paid = agent.run_job("paid")
        assert paid.routes == {"expert": 3}
        assert 0 < paid.cost_usd <= 1.0
        assert len(server.requests) == 3


def test_a_killed_jobs_expert_is_not_asked_again(tmp_path: Path) -> None:
    """The answer was paid for and remembered, and the process died before the journal had it."""
    with serving("ok") as server, Agent.open(tmp_path / "w", settings=with_expert(server.url)) as agent:
        add(agent, tmp_path, CITIES)
        queries = [asked_of(city) for city in CITIES]
        agent.begin_job("j", queries)

        def died(*_: object) -> int:
            raise UserError("killed")

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(agent.journal, "keep", died)
            with pytest.raises(UnderstudyError):
                agent.run_job("j", at_once=1)
        assert server.requests, "it was asked"
        done = agent.run_job("j", at_once=1)
        assert len(server.requests) == 3
        assert done.routes == {"expert": 3}


def test_a_job_waits_for_nobody(tmp_path: Path) -> None:
    with serving("ok") as server, Agent.open(tmp_path / "w", settings=with_expert(server.url, "ask")) as agent:
        add(agent, tmp_path, CITIES)
        agent.begin_job("j", [asked_of("oslo")])
        assert agent.run_job("j").routes.keys() <= {"local", "declined"}
        (row,) = agent.job_results("j")
        assert row.answer is not None
        assert "a job waits for nobody" in row.answer.reason
        assert server.requests == []


def test_an_erasure_reaches_what_a_running_job_holds(agent: Agent) -> None:
    scope = Scope(collection="default", document="oslo.md")
    with agent._run_of("j", "default", agent.principal, agent._terms(), 2, lambda: False) as run:
        players = run.crew.of(scope)
        assert players.retriever.reading is not None
        agent.erase("oslo.md")
        assert not run.crew._opened
        with pytest.raises(ScopeError):
            run.crew.of(scope)
    assert agent.forgetting == [], "a job that has ended holds nothing"
