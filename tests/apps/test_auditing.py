"""`understudy audit` as a script sees it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from audit_parts import files_in, tampering, written
from typer.testing import CliRunner, Result

from understudy.apps.cli import app
from understudy.core.errors import AccessError, UserError, WorkspaceError
from understudy.core.workspace import Workspace


@pytest.fixture
def room(tmp_path: Path) -> Path:
    Workspace.open(tmp_path / "w")
    written(tmp_path / "w")
    return tmp_path


def audit(room: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--workspace", str(room / "w"), "audit", *arguments], env={"COLUMNS": "250"})


def test_list(room: Path) -> None:
    done = audit(room, "list")
    assert done.exit_code == 0
    assert "1234 bytes to api.example:443, redacted policy, 2 PERSON replaced" in done.stdout
    assert "of 1: answered, $0.01000" in done.stdout
    assert "of 6: failed ExpertReplyError in 3 attempts, cost unknown" in done.stdout
    assert "12 passages, 1 examples" in done.stdout
    narrowed = json.loads(audit(room, "list", "--thread", "t3", "--kind", "egress", "--json").stdout)
    assert [r["number"] for r in narrowed["records"]] == [6]
    assert narrowed["verified"]
    assert json.loads(audit(room, "list", "--until", "2020-01-01", "--json").stdout)["records"] == []
    by_document = ("--collection", "contracts", "--document", "Miller v. Jones.pdf", "--json")
    assert [r["number"] for r in json.loads(audit(room, "list", *by_document).stdout)["records"]] == [1, 5, 6]


def test_verify_says_what_is_wrong_and_exits_with_1(room: Path) -> None:
    fine = audit(room, "verify", "--json")
    assert (fine.exit_code, json.loads(fine.stdout)["ok"]) == (0, True)
    head = json.loads(fine.stdout)["head"]
    assert audit(room, "verify", "--anchor", head).exit_code == 0
    with tampering(files_in(room / "w")) as db:
        db.execute("DELETE FROM records WHERE number = 7")
    broken = audit(room, "verify")
    assert broken.exit_code == 1
    assert "cut off: record 7 is cut off" in broken.stdout
    assert "audit verify" in audit(room, "list").stderr


def test_an_export_is_verified_elsewhere(room: Path) -> None:
    out = room / "e.jsonl"
    assert audit(room, "export", "--out", str(out)).exit_code == 0
    assert audit(room, "export").stdout == out.read_text()
    shutil.copy(room / "w" / "audit.key", room / "key")
    shutil.rmtree(room / "w")
    done = audit(room, "verify", "--file", str(out), "--key", str(room / "key"))
    assert (done.exit_code, "7 records are genuine" in done.stdout) == (0, True)
    assert not (room / "w").exists()
    out.write_text("".join(out.read_text().splitlines(keepends=True)[1:]))
    assert audit(room, "verify", "--file", str(out), "--key", str(room / "key")).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--since", "yesterday"], "no day or time"),
        (["list", "--kind", "leak"], "none of egress"),
        (["list", "--document", "x"], "--collection"),
        (["verify", "--anchor", "7"], "NUMBER:CODE"),
        (["verify", "--key", "k"], "--file"),
    ],
)
def test_wrong_input(room: Path, arguments: list[str], words: str) -> None:
    done = audit(room, *arguments)
    assert isinstance(done.exception, UserError)
    assert words in str(done.exception)


@pytest.mark.parametrize("command", ["list", "verify", "export"])
def test_it_takes_one_who_may_read_everything(room: Path, command: str) -> None:
    (room / "w" / "understudy.toml").write_text('[principals.bob]\nlabels = ["public"]\n')
    by = ["--workspace", str(room / "w"), "--principal", "bob", "audit", command]
    done = CliRunner().invoke(app, by)
    assert isinstance(done.exception, AccessError)
    assert done.stdout == ""
    assert audit(room, command).exit_code == 0


@pytest.mark.parametrize("command", ["list", "verify", "export"])
def test_a_mistyped_workspace_is_no_empty_one(tmp_path: Path, command: str) -> None:
    done = audit(tmp_path, command)
    assert isinstance(done.exception, WorkspaceError)
    assert "is no workspace; name the folder of one" in str(done.exception)
    assert not (tmp_path / "w").exists()


def test_a_fresh_workspace(tmp_path: Path) -> None:
    Workspace.open(tmp_path / "w")
    assert "nothing has been recorded" in audit(tmp_path, "list").stdout
    assert audit(tmp_path, "verify").exit_code == 0
