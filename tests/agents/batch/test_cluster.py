"""A job on a real Ray cluster of this machine gives what one process gives, and keeps to itself."""

from __future__ import annotations

import multiprocessing
import os
import random
import tempfile
import threading
import time
from pathlib import Path

import pytest
from cluster_parts import (
    KEY,
    add_towns,
    below,
    listening,
    nothing_left,
    queries_of,
    results_of,
    settings_of,
    twice,
    workers_below,
)
from fake_openai import serving
from stores_parts import served_stores

from understudy.agents import Agent
from understudy.agents.batch.cluster import connection
from understudy.agents.batch.cluster.connection import own_environment, reach
from understudy.agents.batch.cluster.crowd import grouped
from understudy.agents.batch.cluster.part import Asked, Drafted, raised
from understudy.agents.batch.cluster.worker import NotHere
from understudy.agents.batch.pipeline import WAITING
from understudy.core.cluster_settings import StoresSettings
from understudy.core.errors import InternalError, MissingExtraError, ModelFileError, QuestionError, Stopped, UserError
from understudy.core.jobs import Result
from understudy.core.settings import Settings

CITIES = 6


@pytest.mark.slow
def test_a_killed_worker_changes_nothing_and_asks_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    queries, seen = queries_of(CITIES), dict[str, object]()

    once = threading.Lock()

    def look(_row: Result) -> None:
        workers = workers_below(os.getpid())
        if len(workers) < 2 or not once.acquire(blocking=False):  # rows are done in several threads
            return
        seen["environments"] = [" ".join(process.environ().values()) for process in workers]
        seen["addresses"] = listening(os.getpid())
        seen["files"] = [p.name for f in Path(tempfile.gettempdir()).glob("understudy-ray-*") for p in f.rglob("*")]
        seen["killed"] = workers[0].pid
        workers[0].kill()

    with serving("ok") as server, nothing_left():
        with Agent.open(tmp_path / "w", settings=settings_of(None)) as agent:
            add_towns(agent, tmp_path, CITIES)
        found = []
        for workspace, engine in zip(twice(tmp_path), ("local", "ray"), strict=True):
            with Agent.open(workspace, settings=settings_of(server.url)) as agent:
                agent.begin_job("j", queries)
                job = agent.run_job("j", engine=engine, workers=2, on_row=look)  # type: ignore[arg-type]
                assert (job.status, job.done, job.failed) == ("done", len(queries), 1)
                found.append(results_of(agent))
        assert len(server.requests) == 2 * (len(queries) - 1), "each question was asked once in each run"
    assert capfd.readouterr().out == "", "standard output is the command's own"
    assert "killed" in seen, "no worker was there to be killed"
    assert found[0] == found[1]
    assert not [values for values in seen["environments"] if KEY in values]  # type: ignore[attr-defined]
    assert seen["addresses"] <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}  # type: ignore[operator]
    assert not [name for name in seen["files"] if "usage" in name]  # type: ignore[attr-defined]
    assert not list(Path(tempfile.gettempdir()).glob("understudy-ray-*"))


def test_what_workers_inherit_holds_no_key_and_turns_telemetry_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("DOCUMENTS", "postgresql://x")
    inherited = own_environment(["DOCUMENTS"])
    assert KEY not in inherited.values()
    assert inherited["DOCUMENTS"] == "postgresql://x"
    assert inherited["RAY_USAGE_STATS_ENABLED"] == "0"
    assert "include_dashboard=False" in Path(connection.__file__).with_name("head.py").read_text()


def test_ray_itself_says_that_telemetry_is_off() -> None:
    pytest.importorskip("ray")
    connection.library()
    from ray._common.usage import usage_lib

    assert not usage_lib.usage_stats_enabled()


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with Agent.open(tmp_path / "w", settings=settings_of(None)) as agent:
        add_towns(agent, tmp_path, 1)
        agent.begin_job("j", queries_of(1))
        with pytest.raises(MissingExtraError, match=r"understudy\[ray\]"):
            agent.run_job("j", engine="ray", workers=1)
        assert agent.job("j").status == "interrupted"
        assert agent.job("j").failed == 1, "a question that can't be asked takes no worker"
        assert agent.run_job("j").status == "done"


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match=r"the Ray cluster at 127.0.0.1:1 can't be reached \(.*\); see \[cluster\]"):
        reach("127.0.0.1:1")


def test_tools_that_are_brought_along_stay_here(tmp_path: Path) -> None:
    from langchain_core.tools import tool

    @tool
    def clock() -> str:
        """The time."""
        return "noon"

    with Agent.open(tmp_path / "w", settings=Settings(), tools=[clock]) as agent:
        add_towns(agent, tmp_path, 1)
        agent.begin_job("j", queries_of(1))
        with pytest.raises(UserError, match=r"tools that are brought along \(clock\); use --engine local"):
            agent.run_job("j", engine="ray")


def test_questions_of_a_document_go_together() -> None:
    asked = [Asked(number=n, thread="t", question="q", document=d) for n, d in enumerate(["a"] * 10 + ["b", None])]
    assert [[one.number for one in group] for group in grouped(asked)] == [list(range(8)), [8, 9], [10], [11]]
    assert [len(group) for group in grouped(asked, None)] == [10, 1, 1], "where they share what is read"
    known = [one.model_copy(update={"wanted": one.number > 8}) for one in asked]
    assert [[one.number for one in group] for group in grouped(known)] == [[8, 9], [10], [11]]


def test_an_error_comes_back_as_it_was() -> None:
    error = raised(Drafted(number=0, kind="QuestionError", message="too long"))
    assert (type(error), str(error)) == (QuestionError, "too long")
    with pytest.raises(InternalError, match="stays where the job is run"):
        _ = NotHere().recall


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # of Ray's threads, which are cut off
def test_a_worker_that_cannot_work_ends_the_job_in_one_line(tmp_path: Path) -> None:
    with nothing_left(), Agent.open(tmp_path / "w", settings=settings_of(None)) as agent:
        add_towns(agent, tmp_path, 1)
        agent.begin_job("j", queries_of(1))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(type(agent.cast.model), "name", "another@0123456789ab")
            with pytest.raises(UserError, match=r"a worker on .* can't work: .* and not another@0123456789ab"):
                agent.run_job("j", engine="ray", workers=1)
        assert agent.job("j").status == "interrupted"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_stopped_job_stops_its_workers_and_goes_on(tmp_path: Path) -> None:
    queries, done = queries_of(CITIES), threading.Event()
    with nothing_left(), Agent.open(tmp_path / "w", settings=settings_of(None)) as agent:
        add_towns(agent, tmp_path, CITIES)
        agent.begin_job("j", queries)
        with pytest.raises(Stopped, match="what is answered is kept"):
            agent.run_job(
                "j", engine="ray", workers=1, on_row=lambda row: row.answer and done.set(), cancel=done.is_set
            )
        assert 1 < agent.job("j").done < len(queries)
        assert not [process for process in below(os.getpid()) if "ray" in process.name()]
        assert agent.run_job("j").status == "done"


def test_a_missing_model_is_said_by_the_worker(tmp_path: Path) -> None:
    from understudy.agents.batch.cluster.worker import Worker, release

    with Agent.open(tmp_path / "w", settings=settings_of(None)) as agent:
        add_towns(agent, tmp_path, 1)
        agent.begin_job("j", queries_of(1))
        with agent._run_of("j", "default", agent.principal, agent._terms(), 1, lambda: False) as run:
            part = agent._workers(run, 1).part.model_copy(update={"index": tmp_path / "w" / "index"})
    asked = Asked(number=3, thread="t", question="When?", document="town0.md")
    batch = {"asked": [f"[{asked.model_dump_json()}]"]}
    wrong = {
        "model": tmp_path / "no.gguf", "release": "0.0.0", "index": tmp_path / "no", "workspace": tmp_path / "no",
        "name": "another@0",
    }  # fmt: skip
    for field, value in wrong.items():
        (said,) = Worker(part.model_copy(update={field: value}).model_dump_json())(batch)
        drafted = Drafted.model_validate_json(said["drafted"][0])
        assert (drafted.number, drafted.fit, drafted.state) == (3, False, None)
        assert "can't work" in drafted.message
        assert str(value) in drafted.message or field == "release"
    assert isinstance(raised(drafted), ModelFileError)
    assert release() == part.release
    (said,) = Worker(part.model_dump_json())(batch)
    state = Drafted.model_validate_json(said["drafted"][0]).state
    assert state is not None, said
    assert state["draft"] is not None


@pytest.mark.slow
def test_workers_read_documents_from_servers(tmp_path: Path) -> None:
    """As on another machine: what the workspace's folder holds of documents is not there."""
    queries, found = queries_of(CITIES), []
    with nothing_left(), serving("ok") as server, served_stores(tmp_path / "chroma") as stores:
        for number, (engine, chosen) in enumerate((("local", StoresSettings()), ("ray", stores))):
            with Agent.open(tmp_path / f"w{number}", settings=settings_of(server.url, stores=chosen)) as agent:
                add_towns(agent, tmp_path, CITIES)
                assert agent.workspace.documents.exists() == (engine == "local")
                agent.begin_job("j", queries)
                assert agent.run_job("j", engine=engine, workers=2).status == "done"  # type: ignore[arg-type]
                found.append(results_of(agent))
                if engine == "ray":
                    agent.erase("town1.md")
                    assert [d["id"] for d in agent.documents()] == [f"town{n}.md" for n in (0, *range(2, CITIES))]
        assert len(server.requests) == 2 * (len(queries) - 1)
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_driver_goes_on_by_the_same_command(tmp_path: Path, seed: int) -> None:
    queries, chance = queries_of(CITIES), random.Random(seed)
    with nothing_left(), serving("ok") as server:
        settings = settings_of(server.url)
        with Agent.open(tmp_path / "w", settings=settings) as agent:
            add_towns(agent, tmp_path, CITIES)
            for number in range(2):
                agent.begin_job(f"j{number}", queries)
        whole, broken = twice(tmp_path)
        with Agent.open(whole, settings=settings) as agent:
            agent.run_job("j0")
            expected = results_of(agent, "j0")
        calls = len(server.requests)
        process = multiprocessing.get_context("spawn").Process(target=run_away, args=(broken, settings, "j0"))
        process.start()
        wanted = calls + chance.randint(2, len(queries) - 4)
        while len(server.requests) < wanted and process.is_alive():
            time.sleep(0.01)
        process.kill()
        process.join()
        time.sleep(3)
        assert not list(Path(tempfile.gettempdir()).glob("understudy-ray-*")), "its cluster ended with it"
        lost = len(server.requests)
        with Agent.open(broken, settings=settings) as agent:
            assert agent.job("j0").status == "interrupted"
            assert agent.run_job("j0", engine="ray", workers=2).status == "done"
            assert results_of(agent, "j0") == expected
        again = len(server.requests) - calls - (len(queries) - 1)
        assert 0 <= again <= lost - calls, "at the most what was on its way when it was killed"
        assert again <= WAITING


def run_away(workspace: Path, settings: Settings, job: str) -> None:
    """Run a job, and be killed."""
    with Agent.open(workspace, settings=settings) as agent:
        agent.run_job(job, engine="ray", workers=2)
