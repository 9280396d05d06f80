"""`understudy keys` as a script sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from understudy.agents import Agent
from understudy.apps.cli import app
from understudy.core.errors import AccessError, ScopeError, SettingsError, WorkspaceError

runner = CliRunner()


def run(folder: Path, *arguments: str) -> str:
    done = runner.invoke(app, ["--workspace", str(folder), *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0
    return done.stdout


def test_keys_are_made_listed_and_revoked_while_a_server_has_the_workspace(tmp_path: Path) -> None:
    with Agent.open(tmp_path):
        made = json.loads(run(tmp_path, "keys", "create", "--name", "laptop", "--expires", "30", "--json"))
        assert made["principal"] == "owner"
        plain = run(tmp_path, "--principal", "ann", "keys", "create").strip()
        assert plain.startswith("us_")
        listed = run(tmp_path, "keys", "list", "--json")
        assert made["key"] not in listed
        assert [key["principal"] for key in json.loads(listed)["keys"]] == ["owner", "ann"]
        assert made["id"] in run(tmp_path, "keys", "revoke", made["id"])
        assert "revoked" in run(tmp_path, "keys", "list")


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="is no workspace"):
        run(tmp_path / "mistyped", "keys", "list")
    (tmp_path / "understudy.toml").write_text("[principals.ann]\nlabels = []\n")
    with pytest.raises(AccessError, match="no principal 'eve'"):
        run(tmp_path, "keys", "create", "--principal", "eve")
    assert "there are no keys" in run(tmp_path, "keys", "list")
    with pytest.raises(ScopeError, match="no key 'x'"):
        run(tmp_path, "keys", "revoke", "x")


def test_nobody_elsewhere_is_served_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no API key yet"):
        run(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    run(tmp_path, "keys", "create")
    with pytest.raises(SettingsError, match="can't listen at"):
        run(tmp_path, "serve", "--host", "256.0.0.1")
