"""The command line as a script sees it: exit codes, one line of error, one JSON document."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from understudy.agents import Agent
from understudy.apps import cli
from understudy.core.settings import DeferralSettings, ExpertSettings, Settings

SAMPLES = Path(__file__).parents[2] / "apps" / "understudy" / "apps" / "samples" / "documents"


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def understudy(*arguments: str, cwd: Path) -> Done:
    """Run a command in this process, which has loaded everything already."""
    with (
        pytest.MonkeyPatch.context() as patched,
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
    ):
        patched.chdir(cwd)
        patched.setenv("COLUMNS", "200")
        code = cli.run(list(arguments))
    return Done(code, out.getvalue(), err.getvalue())


def as_process(*arguments: str, cwd: Path) -> Done:
    """Run a command as a shell does."""
    command = [sys.executable, "-m", "understudy.apps.cli", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    done = understudy("ingest", str(SAMPLES), "--json", cwd=folder)
    assert json.loads(done.stdout)["added"] == 4
    return folder


def test_ask_prints_one_json_document(ready: Path) -> None:
    done = as_process("ask", "What are the visiting hours?", "--json", cwd=ready)
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    fields = (
        "version question text status route reason confidence citations expert cost_usd latency_s thread tokens steps "
        "approval"
    )
    assert list(answer) == fields.split()
    assert "search" in done.stderr
    assert (ready / ".understudy").stat().st_mode & 0o777 == 0o700


def test_ask_for_people(ready: Path) -> None:
    done = understudy("ask", "What are the visiting hours?", cwd=ready)
    assert "confidence" in done.stdout
    assert "--thread" in done.stdout


def test_examples_are_exported_as_training_rows(ready: Path, tmp_path: Path) -> None:
    question, quote = "Who wrote the charter?", "Quiet hours"
    recorded = {"question": question, "text": "Nobody knows.", "citations": [{"document": "x", "quote": quote}]}
    (tmp_path / "answers.jsonl").write_text(json.dumps(recorded), encoding="utf-8")
    workspace = tmp_path / ".understudy"
    shutil.copytree(ready / ".understudy", workspace)
    expert = f'[[experts]]\nname = "replay"\nmodel = "recorded:{tmp_path / "answers.jsonl"}"\nmay_train = false\n'
    (workspace / "understudy.toml").write_text(expert, encoding="utf-8")
    assert json.loads(understudy("ask", question, "--json", cwd=tmp_path).stdout)["route"] == "expert"
    done = understudy("examples", "export", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "0 of 1 examples written" in done.stderr
    assert "1 can't be trained on: the terms of expert 'replay (recorded)'" in done.stderr
    understudy("examples", "export", "--all", "--out", "rows.jsonl", cwd=tmp_path)
    (row,) = map(json.loads, (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines())
    assert (row["question"], row["may_train"], row["completion"]) == (question, False, [])
    wrong = understudy("examples", "export", "--out", str(tmp_path / "no" / "rows.jsonl"), cwd=tmp_path)
    assert wrong.returncode == 2
    assert "rows.jsonl can't be written" in wrong.stderr


def test_without_all_only_what_may_be_trained_on_is_exported(tmp_path: Path) -> None:
    (tmp_path / "trains.md").write_text("# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n")
    asked = [f"When does the night train to Oslo leave on day {n}?" for n in range(8)]
    cited = [{"document": "trains.md", "quote": "leaves at 22:40"}]
    lines = [json.dumps({"question": q, "text": "22:40", "citations": cited}) for q in asked]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines))
    replay = ExpertSettings(name="replay", model=f"recorded:{tmp_path / 'answers.jsonl'}")
    settings = Settings(deferral=DeferralSettings(min_confidence=1.0), experts=(replay,))
    with Agent.open(tmp_path / ".understudy", settings=settings) as agent:
        agent.ingest([tmp_path / "trains.md"])
        assert {agent.ask(question).route for question in asked} == {"expert"}
    kept, everything = (
        [json.loads(line) for line in understudy("examples", "export", *more, cwd=tmp_path).stdout.splitlines()]
        for more in ((), ("--all",))
    )
    assert len(everything) == len(asked)
    assert kept == [row for row in everything if row["completion"] and row["role"] == "train"]
    assert 0 < len(kept) < len(everything)
    assert '"quote":"leaves at 22:40"' in kept[0]["completion"][0]["content"]


def test_status(ready: Path) -> None:
    found = json.loads(understudy("status", "--json", cwd=ready).stdout)
    assert found["collections"]["default"]["documents"] == 4
    shown = understudy("status", cwd=ready).stdout
    assert "starter@" in shown
    assert "nothing is promised: no expert is configured" in shown


def test_calibrate_says_how_many_labels_are_missing(ready: Path) -> None:
    found = json.loads(understudy("calibrate", "--json", cwd=ready).stdout)
    assert (found["derivation"]["threshold"], found["derivation"]["missing"]) == (None, 114)
    assert "114 more labels" in understudy("calibrate", cwd=ready).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ingest", "nowhere"], "no such file or folder"),
        (["ingest", ".", "--sensitivity", "secret"], "none of open, redacted, local"),
        (["ask", "Why?", "--collection", "empty"], "holds no documents yet"),
        (["ask", " "], "question is empty"),
        (["ask", "Why?", "--document", "x"], "no document 'x'"),
        (["bench", "nonsense"], "no suite 'nonsense'"),
        (["bench", "retrieval", "--data", "nowhere"], "no such file; give the folder of the data sets"),
        (["starter", "train", "nonsense"], "no model 'nonsense'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(ready: Path, arguments: list[str], words: str) -> None:
    done = understudy(*arguments, cwd=ready)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_errors_are_one_line_of_a_process_too(tmp_path: Path) -> None:
    done = as_process("ingest", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[small_modl]\n", "did you mean 'small_model'?"),
        ("[small_model]\npth = 1\n", "did you mean 'path'?"),
        ('[[experts]]\nname = "x"\nmodel = "y"\nprice = 1\n', "unknown key 'experts.0.price'"),
        ("[small_model]\ncontext = 'x'\n", "small_model.context"),
        ("[small_model", "not valid TOML"),
        ("[small_model]\npath = 'missing.gguf'\n", "no such model file"),
    ],
)
def test_bad_settings_are_one_line(tmp_path: Path, toml: str, words: str) -> None:
    (tmp_path / ".understudy").mkdir(mode=0o700)
    (tmp_path / ".understudy" / "understudy.toml").write_text(toml)
    done = understudy("status", cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_is_one_line_and_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from understudy.apps import cli, demo

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_demo", interrupted)
    monkeypatch.setattr(sys, "argv", ["understudy", "demo"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "understudy: stopped; what was finished is kept\n"


def test_the_demo_spares_a_workspace_with_settings(tmp_path: Path) -> None:
    settings = tmp_path / "understudy.toml"
    settings.write_text("[small_model]\ncontext = 2048\n")
    done = understudy("demo", "--keep", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert "settings of its own" in done.stderr
    assert "2048" in settings.read_text()
