"""Commands of another process, run by the one that serves the workspace."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from understudy.agents import Agent
from understudy.apps.lending import LENT, SOCKET, lending, run_by_owner
from understudy.core.errors import WorkspaceError
from understudy.core.settings import PrincipalSettings, Settings

QUESTION = "When does the night train to Oslo leave?"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Agent]:
    (tmp_path / "trains.md").write_text("# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n")
    settings = Settings(principals={"ann": PrincipalSettings(labels=())})
    with Agent.open(tmp_path / "w", settings=settings) as agent:
        yield agent


def command(served: Agent, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, in the folder above the workspace."""
    here = served.workspace.root.parent
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-m", "understudy.apps.cli", "--workspace", "w", *words],
        cwd=here, input=stdin, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip


def test_commands_work_while_the_workspace_is_served(served: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    with lending(served):  # in the test itself: pytest puts streams of its own between its phases
        added = command(served, "ingest", "trains.md", "--json")
        assert (added.returncode, json.loads(added.stdout)["added"]) == (0, 1), added.stderr
        asked = command(served, "ask", QUESTION, "--json")
        assert "22:40" in json.loads(asked.stdout)["text"]
        assert [t.title for t in served.threads()] == [QUESTION]
        shown = command(served, "audit", "verify")
        assert shown.returncode == 0, shown.stderr
        exported = command(served, "examples", "export", "--out", "rows.jsonl")
        assert exported.returncode == 0
        assert (served.workspace.root.parent / "rows.jsonl").exists()
        assert capsys.readouterr().out == "", "what others asked for is printed to them alone"


def test_errors_and_exit_codes_come_back(served: Agent) -> None:
    with lending(served):  # in the test itself: pytest puts streams of its own between its phases
        wrong = command(served, "ask", "", "--json")
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr.strip() == "understudy: the question is empty; ask something"
        assert command(served, "ask").returncode == 2
        unknown = command(served, "--principal", "nobody", "documents", "list")
        assert unknown.returncode == 2


def test_the_principal_is_who_the_command_names(served: Agent) -> None:
    with lending(served):  # in the test itself: pytest puts streams of its own between its phases
        command(served, "ingest", "trains.md")
        here = served.workspace.root.parent
        path = os.pathsep.join(filter(None, sys.path))
        line = [sys.executable, "-m", "understudy.apps.cli", "--workspace", "w", "--principal", "ann", "ask", QUESTION]
        asked = subprocess.run(line, cwd=here, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
        assert asked.returncode == 2
        assert "holds no documents" in asked.stderr
        assert served.principal.name == "owner"


def test_several_at_once_get_each_their_own_output(served: Agent) -> None:
    served.ingest([served.workspace.root.parent / "trains.md"])

    def counting(words: list[str]) -> int:
        for _ in range(50):
            sys.stdout.write(words[0])
        return len(words)

    codes: dict[int, int | None] = {}
    with lending(served, counting):
        threads = [
            threading.Thread(target=lambda n=n: codes.update({n: run_by_owner(served.workspace.root, ["x"] * n, str)}))
            for n in range(1, 6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert codes == {n: n for n in range(1, 6)}
    assert LENT.get() is None


def test_nobody_serves_it(tmp_path: Path) -> None:
    assert run_by_owner(tmp_path, [], str) is None
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    (tmp_path / SOCKET).write_text(str(tmp_path / "dead"))
    assert run_by_owner(tmp_path, [], str) is None, "a socket that a killed process left"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_owner_that_dies_is_told_of(served: Agent) -> None:
    def dying(_words: list[str]) -> int:
        raise SystemExit

    with lending(served, dying), pytest.raises(WorkspaceError, match="ended before the command did"):
        run_by_owner(served.workspace.root, [], str)


def test_the_socket_is_the_owners_alone_and_goes_with_the_server(served: Agent) -> None:
    path = served.workspace.root / SOCKET
    with lending(served, len):
        assert path.stat().st_mode & 0o777 == 0o600
        there = Path(path.read_text())
        assert (there.stat().st_mode & 0o777, there.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        shutil.copytree(served.workspace.root, served.workspace.root.parent / "copy")  # a backup while it is served
    assert not path.exists()
    streams = sys.stdout, sys.stderr
    with lending(served, len):
        assert sys.stdout is not streams[0]
    assert (sys.stdout, sys.stderr) == streams
