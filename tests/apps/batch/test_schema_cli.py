"""`understudy batch --schema` as a script sees it."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from understudy.agents import Agent
from understudy.apps.cli import app
from understudy.apps.cli import run as run_command
from understudy.apps.lending import lending
from understudy.core.errors import Stopped, UserError
from understudy.core.jobs import Query

SCHEMA = """from datetime import date
from pydantic import BaseModel, Field

class Clauses(BaseModel):
    dated: date = Field(description="What date is the lease dated?")
    years: int | None = Field(None, description="How long is the term of the lease?")
"""
MORE = """    interest: float | None = Field(None, description="What is the interest rate on late payments?")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with three leases."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "documents").mkdir()
    for day in (11, 12, 13):
        (folder / "documents" / f"lease{day}.md").write_text(
            f"# Agreement\n\nThis lease is dated {day} March 2021. The term of the lease is two (2) years. "
            "The interest rate on late payments is 3.5% per year.\n"
        )
    with Agent.open(folder / "w") as agent:
        agent.ingest([folder / "documents"])
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    Path("contract.py").write_text(SCHEMA)
    return tmp_path / "here"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["--workspace", "w", *arguments], env={"COLUMNS": "200"})


def filled(output: str = "out.jsonl", *more: str) -> Result:
    return run("batch", "--schema", "contract.py:Clauses", "--out", output, *more)


def rows_of(path: str = "out.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_typed_row_a_document(folder: Path) -> None:
    done = filled("out.parquet", "--json")
    assert done.exit_code == 0, done.output
    job = json.loads(done.stdout)
    assert (job["status"], job["total"], job["failed"]) == ("done", 6, 0)
    assert job["extracts"]["name"] == f"{folder / 'contract.py'}:Clauses"
    from pyarrow import parquet

    rows = parquet.read_table("out.parquet").to_pylist()
    assert [(row["document"], row["dated"], row["years"], row["error"]) for row in rows] == [
        (f"lease{day}.md", datetime.date(2021, 3, day), 2, None) for day in (11, 12, 13)
    ]
    assert {c["document"] for c in rows[0]["years_citations"]} == {"lease11.md"}
    report = Path("out.parquet.report.md").read_text()
    assert "| dated | 3 | 0 | 0 | 0 |" in report
    assert "contract.py:Clauses" in run("jobs", "show", job["id"]).stdout


def test_a_changed_schema_asks_what_is_new_in_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert filled().exit_code == 0
    before = rows_of()
    Path("contract.py").write_text(SCHEMA.replace("dated: date", "dated: str") + MORE)
    asked: list[Query] = []
    deps_for = Agent._deps_for

    def noted(self: Agent, row: Any, *more: Any) -> Any:
        asked.append(row.query)
        return deps_for(self, row, *more)

    monkeypatch.setattr(Agent, "_deps_for", noted)
    done = filled("out.jsonl", "--json")
    assert done.exit_code == 0, done.output
    assert [q.id for q in asked] == ["interest"] * 3
    after = rows_of()
    assert [row["dated"] for row in after] == [row["dated_text"] for row in before], "a type is no question"
    assert [row["interest"] for row in after] == [0.035] * 3


def test_a_job_is_resumed_with_the_schema_that_was_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = json.loads(filled("out.jsonl", "--json").stdout)["id"]
    whole = rows_of()
    monkeypatch.chdir(folder.parent)
    Path(folder / "out.jsonl").unlink()
    workspace = str(folder / "w")
    resumed = CliRunner().invoke(app, ["--workspace", workspace, "jobs", "resume", job])
    assert resumed.exit_code == 0, resumed.output
    assert rows_of(str(folder / "out.jsonl")) == whole
    (folder / "contract.py").write_text(SCHEMA + MORE)
    refused = CliRunner().invoke(app, ["--workspace", workspace, "jobs", "resume", job])
    assert isinstance(refused.exception, UserError)
    assert "has changed since the job was begun" in str(refused.exception)


@pytest.mark.parametrize("command", ["resume", "batch"])
def test_what_was_broken_off_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    run_job = Agent.run_job

    def broken_off(self: Agent, job: str, **more: Any) -> Any:
        return run_job(self, job, **more | {"at_once": 1, "cancel": lambda: self.job(job).done >= 2})

    with monkeypatch.context() as patched:
        patched.setattr(Agent, "run_job", broken_off)
        assert isinstance(filled().exception, Stopped)
    assert not Path("out.jsonl").exists()
    (left,) = json.loads(run("jobs", "list", "--json").stdout)["jobs"]
    assert (left["status"], left["done"]) == ("interrupted", 2)
    done = filled() if command == "batch" else run("jobs", "resume", left["id"])
    assert "2 of 6 are known already" in done.output
    assert [(row["dated"], row["years"]) for row in rows_of()] == [(f"2021-03-{day}", 2) for day in (11, 12, 13)]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--out", "o.csv"], "either a file of QUESTIONS or a --schema FILE:CLASS; neither was given"),
        (["q.csv", "--schema", "contract.py:Clauses", "--out", "o.csv"], "both were given"),
        (["--schema", "contract.py:No", "--out", "o.csv"], "holds no class 'No'"),
        (["--schema", "broken.py:No", "--out", "o.csv"], "broken.py: line 1: SyntaxError"),
        (["--schema", "contract.py:Clauses", "--out", "o.csv", "--collection", "no"], "collection 'no'"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    Path("broken.py").write_text("class")
    assert run_command(["--workspace", "w", "batch", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert why in err
    assert err.count("\n") == 1
    assert not Path("o.csv").exists()


def test_a_job_of_questions_in_its_place_is_one_again(folder: Path) -> None:
    assert filled().exit_code == 0
    Path("q.jsonl").write_text('{"question": "What date is the lease dated?", "document": "lease11.md"}\n')
    done = run("batch", "q.jsonl", "--out", "out.jsonl", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["extracts"] is None
    (row,) = rows_of()
    assert row["text"] == "11 March 2021"


def test_the_process_that_owns_the_workspace_runs_the_file_where_it_was_named(folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (folder / "contract.py").rename(elsewhere / "contract.py")
    path = os.pathsep.join(filter(None, sys.path))
    line = [sys.executable, "-m", "understudy.apps.cli", "--workspace", str(folder / "w"), "batch"]
    with Agent.open(folder / "w") as agent, lending(agent):
        done = subprocess.run(
            [*line, "--schema", "contract.py:Clauses", "--out", "out.jsonl"],
            cwd=elsewhere, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [row["years"] for row in rows_of(str(elsewhere / "out.jsonl"))] == [2, 2, 2]


def test_an_erased_document_has_no_row(folder: Path) -> None:
    job = json.loads(filled("out.jsonl", "--json").stdout)["id"]
    assert run("erase", "lease12.md").exit_code == 0
    assert run("jobs", "resume", job).exit_code == 0
    assert [row["document"] for row in rows_of()] == ["lease11.md", "lease13.md"]
