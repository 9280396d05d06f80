"""What goes into a tool that isn't on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.tools import BaseTool, tool

from understudy.core.errors import EgressRefused
from understudy.core.settings import CollectionSettings, Settings
from understudy.privacy.guard import Protection
from understudy.privacy.policy import Policy
from understudy.privacy.protected import ProtectedValues, Value
from understudy.privacy.redaction import Redactor, Vaults
from understudy.privacy.tools import ToolGuard

VALUES = [Value("Maria Kovac", "PERSON", "test")]


@tool
def look_up(name: str, tags: list[str] | None = None) -> str:
    """Look somebody up."""
    return f"{name} is known"


def marked(reach: str | None) -> BaseTool:
    return look_up.model_copy(update={"metadata": None if reach is None else {"reach": reach}})


def guard(folder: Path, sensitivity: str, egress: str = "allow") -> ToolGuard:
    given = CollectionSettings.model_validate({"sensitivity": sensitivity, "egress": egress})
    policy = Policy(Settings(collections={"default": given}), lambda _: None)
    protection = Protection(Redactor(VALUES), ProtectedValues(VALUES))
    return ToolGuard(policy, lambda _: protection, Vaults(folder / "privacy.sqlite", b"k" * 32).of)


@pytest.mark.parametrize("reach", [None, "cloud", "LOCAL", "nonsense"])
def test_an_unmarked_tool_gets_placeholders_and_its_result_comes_back_whole(tmp_path: Path, reach: str | None) -> None:
    gate, used = guard(tmp_path, "redacted"), marked(reach)
    arguments, restored = gate.passed(used, {"name": "Maria Kovac", "tags": ["maria kovac", 3]}, ["default"])
    assert "aria" not in repr(arguments)
    assert restored(used.invoke({"name": arguments["name"]})) == "Maria Kovac is known"


@pytest.mark.parametrize(
    ("reach", "sensitivity"), [("local", "local"), ("local", "redacted"), ("cloud", "open"), ("private", "redacted")]
)
def test_what_stays_or_may_go_is_as_it_was(tmp_path: Path, reach: str, sensitivity: str) -> None:
    arguments, restored = guard(tmp_path, sensitivity).passed(marked(reach), {"name": "Maria Kovac"}, ["default"])
    assert (arguments, restored("⟦PERSON_1⟧")) == ({"name": "Maria Kovac"}, "⟦PERSON_1⟧")


@pytest.mark.parametrize(
    ("sensitivity", "egress", "words"),
    [("local", "allow", "is local"), ("redacted", "ask", "needs approval"), ("open", "never", "never goes")],
)
def test_nothing_goes_where_the_policy_gives_no_evidence(
    tmp_path: Path, sensitivity: str, egress: str, words: str
) -> None:
    with pytest.raises(EgressRefused, match=words):
        guard(tmp_path, sensitivity, egress).passed(marked(None), {"name": "anyone"}, ["default"])


@pytest.mark.parametrize("disguise", ["M a r i a  K o v a c", "TWFyaWEgS292YWM="])
def test_what_the_redactor_leaves_stops_the_tool(tmp_path: Path, disguise: str) -> None:
    with pytest.raises(EgressRefused, match="protected value"):
        guard(tmp_path, "redacted").passed(marked("cloud"), {"name": disguise}, ["default"])


def test_what_the_thread_read_elsewhere_keeps_arguments_back(tmp_path: Path) -> None:
    """Its earlier answers stand in the transcript that the arguments were written from."""
    gate = guard(tmp_path, "open")
    assert gate.passed(marked("cloud"), {"name": "Maria Kovac"}, ["default"])[0] == {"name": "Maria Kovac"}
    arguments, _ = gate.passed(marked("cloud"), {"name": "Maria Kovac"}, ["default", "nobody named this one"])
    assert arguments["name"].startswith("⟦PERSON_")
