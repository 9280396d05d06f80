"""`understudy batch` and `understudy jobs` as a script sees them, broken off at any moment too."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_openai import FakeOpenAI, serving
from typer.testing import CliRunner, Result

from understudy.agents import Agent
from understudy.apps.cli import app
from understudy.core.errors import UserError

CITIES = [f"city{number}" for number in range(12)]
TOML = """
[deferral]
min_confidence = 1.0
audit_rate = 0.0
[[experts]]
name = "gpt"
model = "openai:fake"
base_url = "{url}"
retries = 0
input_usd_per_mtok = 10.0
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a document a city, and a question of each."""
    folder = tmp_path_factory.mktemp("batch")
    (folder / "documents").mkdir()
    for number, city in enumerate(CITIES):
        text = f"# Trains\n\nThe night train to {city} leaves at {number + 6}:40 from platform {number}.\n"
        (folder / "documents" / f"{city}.md").write_text(text)
    with Agent.open(folder / "w") as agent:
        agent.ingest([folder / "documents"])
    rows = [{"question": f"When does the night train to {city} leave?", "document": f"{city}.md"} for city in CITIES]
    (folder / "questions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def expert(folder: Path) -> Iterator[FakeOpenAI]:
    with serving("ok") as server:
        (folder / "w" / "understudy.toml").write_text(TOML.format(url=server.url))
        yield server


def command(folder: Path, *more: str) -> list[str]:
    return ["--workspace", str(folder / "w"), "batch", str(folder / "questions.jsonl"), "--out", *more]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Results without times, and without what happened to be read already when a question came."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["latency_s"] = None
        if row["tokens"] is not None:
            row["tokens"]["small"]["evaluated"] += row["tokens"]["small"].pop("reused")
        for step in row["steps"] or ():
            step.pop("seconds", None)
    return rows


def test_results_in_order_a_report_and_the_job(folder: Path) -> None:
    output = folder / "results.parquet"
    done = run(*command(folder, str(output), "--json"))
    assert done.exit_code == 0, done.output
    job = json.loads(done.stdout)
    assert (job["status"], job["total"], job["done"], job["failed"]) == ("done", 12, 12, 0)
    from pyarrow import parquet

    rows = parquet.read_table(output).to_pylist()
    assert [row["document"] for row in rows] == [f"{city}.md" for city in CITIES]
    assert all(f"{number + 6}:40" in row["text"] for number, row in enumerate(rows))
    report = (folder / "results.parquet.report.md").read_text()
    assert "| questions | 12 |" in report
    assert "Nothing is promised" in report
    assert (folder / "results.parquet.report.png").read_bytes().startswith(b"\x89PNG")
    assert run(*command(folder, str(output))).exit_code == 0
    assert parquet.read_table(output).to_pylist() == rows, "nothing was asked again"
    workspace = ("--workspace", str(folder / "w"))
    (listed,) = json.loads(run(*workspace, "jobs", "list", "--json").stdout)["jobs"]
    assert (listed["id"], listed["routes"]) == (job["id"], {"local": 12})
    assert "12 of 12 done, 0 failed" in run(*workspace, "jobs", "show", job["id"]).stdout
    assert isinstance(run(*workspace, "jobs", "show", "x").exception, UserError)
    assert isinstance(run(*workspace, "jobs", "cancel", job["id"]).exception, UserError)


def test_every_question_of_every_document_and_bad_rows(folder: Path) -> None:
    (folder / "questions.jsonl").write_text('{"question": "When does it leave?"}\n{"question": ""}\n')
    output = folder / "results.jsonl"
    assert run(*command(folder, str(output), "--each-document")).exit_code == 0
    rows = rows_of(output)
    assert [row["document"] for row in rows[::2]] == sorted(f"{city}.md" for city in CITIES)
    assert {row["error"] for row in rows[1::2]} == {"the question is empty; ask something"}
    assert all(row["error"] is None for row in rows[::2])


def test_what_is_promised_of_a_job_is_shown_everywhere(folder: Path, expert: FakeOpenAI) -> None:
    output, workspace = folder / "results.jsonl", ("--workspace", str(folder / "w"))
    done = run(*command(folder, str(output), "--max-quality-loss", "0.5", "--confidence", "0.8", "--json"))
    job = json.loads(done.stdout)
    promised = job["guarantee"]
    assert (promised["given"], promised["max_quality_loss"], promised["confidence"]) == (True, 0.5, 0.8)
    report = (folder / "results.jsonl.report.md").read_text()
    assert "As a whole: 50.0% of quality is lost at most over all its answers" in report
    assert "with 80% confidence" in run(*workspace, "jobs", "show", job["id"]).stdout
    (folder / "w" / "understudy.toml").unlink()
    nobody = run(*command(folder, str(folder / "other.jsonl"), "--max-quality-loss", "0.5"))
    assert "nothing is promised: no expert is configured" in nobody.stderr
    assert "As a whole: nothing is promised: no expert" in (folder / "other.jsonl.report.md").read_text()
    shown = json.loads(run(*workspace, "jobs", "list", "--json").stdout)["jobs"]
    assert [held["guarantee"]["given"] for held in shown] == [False, True]


def test_somebody_elses_file_stays(folder: Path) -> None:
    output = folder / "results.csv"
    output.write_text("mine")
    refused = run(*command(folder, str(output)))
    assert isinstance(refused.exception, UserError)
    assert "isn't what this job wrote" in str(refused.exception)
    assert output.read_text() == "mine"


@pytest.mark.parametrize("budget", ["nan", "inf", "-1"])
def test_a_budget_is_a_number_of_dollars(folder: Path, budget: str) -> None:
    assert run(*command(folder, str(folder / "r.csv"), "--budget", budget)).exit_code != 0
    assert not (folder / "r.csv").exists()


def killed(folder: Path, output: Path, after: float) -> int:
    """Begin a job, and kill it after some seconds; the exit code."""
    process = subprocess.Popen(
        [sys.executable, "-m", "understudy.apps.cli", *command(folder, str(output))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait()


@pytest.mark.timeout(1800)  # fifty starts of a program
@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_any_moment_the_same_command_gives_what_an_unbroken_run_gives(
    folder: Path, expert: FakeOpenAI, kills: int
) -> None:
    whole, broken = folder / "whole.jsonl", folder / "broken.jsonl"
    shutil.copytree(folder / "w", folder / "w2")
    began = time.monotonic()
    assert killed(folder, whole, 300) == 0
    took = time.monotonic() - began
    calls = len(expert.requests)
    assert calls == 12
    shutil.rmtree(folder / "w")
    (folder / "w2").rename(folder / "w")
    chance = random.Random(kills)
    for _ in range(kills):
        killed(folder, broken, chance.uniform(took * 0.4, took))
    assert killed(folder, broken, 300) == 0
    assert rows_of(broken) == rows_of(whole)
    lost = len(expert.requests) - calls - 12
    assert 0 <= lost <= kills * 8, "at the most what was on its way when it was killed"


def test_a_plan_asks_no_expert(folder: Path, expert: FakeOpenAI) -> None:
    asked = ("--workspace", str(folder / "w"), "batch", "plan", str(folder / "questions.jsonl"), "--sample", "5")
    plan = json.loads(run(*asked, "--json").stdout)
    assert (plan["questions"], plan["sampled"], plan["consulted"]["value"]) == (12, 5, 1.0)
    assert 0 < plan["usd"]["value"] < plan["most_usd"]
    said = run(*asked).stdout
    assert "12, by a sample of 5" in said
    assert "100.0% (40.0% to 100.0%) of the questions" in said
    assert expert.requests == []


def test_a_file_without_an_output_is_told_so(folder: Path) -> None:
    wrong = run("--workspace", str(folder / "w"), "batch", str(folder / "questions.jsonl"))
    assert wrong.exit_code == 2
    assert "--out" in wrong.output
