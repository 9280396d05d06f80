"""What goes into a tool that isn't on this machine, and what the audit log is told of it."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool

from understudy.core.audit import Egress, Refusal, Result
from understudy.core.errors import EgressRefused, WorkspaceError
from understudy.core.fakes import FakeAuditLog
from understudy.core.settings import CollectionSettings, Settings
from understudy.core.types import Scope
from understudy.core.usage import Account
from understudy.privacy.guard import Protection
from understudy.privacy.policy import Policy
from understudy.privacy.protected import ProtectedValues, Value
from understudy.privacy.redaction import Redactor, Vaults
from understudy.privacy.tools import ToolGuard, content_of

VALUES = [Value("Maria Kovac", "PERSON", "test")]
ASKED = Account("q1", "t1", "ann", "job 7")
BEHIND = (Scope(document="d"), Scope(collection="other", document="e"))


class Called:
    """A tool, what it was told, and how many records the log held then."""

    def __init__(self, log: FakeAuditLog, error: Exception | None = None) -> None:
        self.told: list[dict[str, Any]] = []
        self.recorded: list[int] = []

        @tool
        def look_up(name: str, tags: list[str | int] | None = None) -> str:
            """Look somebody up."""
            self.told.append({"name": name} | ({} if tags is None else {"tags": tags}))
            self.recorded.append(len(log.held))
            if error is not None:
                raise error
            return f"{name} is known"

        self._tool = look_up

    def marked(self, reach: str | None) -> BaseTool:
        return self._tool.model_copy(update={"metadata": None if reach is None else {"reach": reach}})


@pytest.fixture
def log() -> FakeAuditLog:
    return FakeAuditLog()


def guard(folder: Path, log: FakeAuditLog, sensitivity: str, egress: str = "allow") -> ToolGuard:
    given = CollectionSettings.model_validate({"sensitivity": sensitivity, "egress": egress})
    policy = Policy(Settings(collections={"default": given}), lambda _: None)
    protection = Protection(Redactor(VALUES), ProtectedValues(VALUES))
    return ToolGuard(policy, lambda _: protection, Vaults(folder / "privacy.sqlite", b"k" * 32).of, log)


@pytest.mark.parametrize("reach", [None, "cloud", "LOCAL", "nonsense"])
def test_an_unmarked_tool_gets_placeholders_and_its_result_comes_back_whole(
    tmp_path: Path, log: FakeAuditLog, reach: str | None
) -> None:
    gate, used = guard(tmp_path, log, "redacted"), Called(log)
    arguments = {"name": "Maria Kovac", "tags": ["maria kovac", 3]}
    assert gate.call(used.marked(reach), arguments, ["default"], ASKED) == "Maria Kovac is known"
    assert "aria" not in repr(used.told)


def test_a_tool_that_guesses_placeholders_gets_no_value_of_another_call(tmp_path: Path, log: FakeAuditLog) -> None:
    gate, used = guard(tmp_path, log, "redacted"), Called(log)

    @tool
    def lie(name: str) -> str:
        """Say what was said to others."""
        return f"{name}: ⟦PERSON_1⟧, PERSON_2, ⟦EMAIL_1⟧"

    gate.call(used.marked("cloud"), {"name": "Maria Kovac"}, ["default"], ASKED)
    said = gate.call(lie, {"name": "jo@example.org"}, ["default"], Account("q2", "t2", "eve", None))
    assert said == "jo@example.org: ⟦PERSON_1⟧, PERSON_2, jo@example.org"


@pytest.mark.parametrize(
    ("reach", "sensitivity"), [("local", "local"), ("local", "redacted"), ("cloud", "open"), ("private", "redacted")]
)
def test_what_stays_or_may_go_is_as_it_was(tmp_path: Path, log: FakeAuditLog, reach: str, sensitivity: str) -> None:
    used = Called(log)
    said = guard(tmp_path, log, sensitivity).call(used.marked(reach), {"name": "Maria Kovac"}, ["default"], ASKED)
    assert (used.told, said) == ([{"name": "Maria Kovac"}], "Maria Kovac is known")
    assert (log.held == []) == (reach == "local"), "what stays needs no record, and what leaves has one"


@pytest.mark.parametrize(
    ("sensitivity", "egress", "words", "rule", "policy"),
    [
        ("local", "allow", "is local", "policy", "question"),
        ("redacted", "ask", "needs approval", "approval", "redacted"),
        ("open", "never", "never goes", "policy", "nothing"),
    ],
)
def test_nothing_goes_where_the_policy_gives_no_evidence(
    tmp_path: Path, log: FakeAuditLog, sensitivity: str, egress: str, words: str, rule: str, policy: str
) -> None:
    used = Called(log)
    with pytest.raises(EgressRefused, match=words):
        guard(tmp_path, log, sensitivity, egress).call(used.marked(None), {"name": "anyone"}, ["default"], ASKED)
    (refusal,) = log.held
    assert isinstance(refusal, Refusal)
    assert (used.told, refusal.rule, refusal.policy, refusal.receiver) == ([], rule, policy, "tool")


@pytest.mark.parametrize("disguise", ["M a r i a  K o v a c", "TWFyaWEgS292YWM="])
def test_what_the_redactor_leaves_stops_the_tool(tmp_path: Path, log: FakeAuditLog, disguise: str) -> None:
    used = Called(log)
    with pytest.raises(EgressRefused, match="protected value"):
        guard(tmp_path, log, "redacted").call(used.marked("cloud"), {"name": disguise}, ["default"], ASKED)
    (refusal,) = log.held
    assert isinstance(refusal, Refusal)
    assert (used.told, refusal.rule, refusal.policy) == ([], "protected value", "redacted")
    assert disguise not in refusal.model_dump_json()


def test_what_the_thread_read_elsewhere_keeps_arguments_back(tmp_path: Path, log: FakeAuditLog) -> None:
    """Its earlier answers stand in the transcript that the arguments were written from."""
    gate, used, arguments = guard(tmp_path, log, "open"), Called(log), {"name": "Maria Kovac"}
    gate.call(used.marked("cloud"), arguments, ["default"], ASKED)
    gate.call(used.marked("cloud"), arguments, ["default", "nobody named this one"], ASKED)
    assert used.told[0] == arguments
    assert used.told[1]["name"].startswith("⟦PERSON_")


@pytest.mark.parametrize("error", [None, ValueError("Maria Kovac is ill")])
def test_a_call_is_in_the_log_before_it_leaves_and_what_came_of_it_after(
    tmp_path: Path, log: FakeAuditLog, error: Exception | None
) -> None:
    gate, used = guard(tmp_path, log, "redacted"), Called(log, error)
    with nullcontext() if error is None else pytest.raises(ValueError, match="is ill"):
        gate.call(used.marked("cloud"), {"name": "Maria Kovac"}, ["default", "other"], ASKED, BEHIND)
    assert used.recorded == [1]
    egress, result = log.held
    assert isinstance(egress, Egress)
    assert isinstance(result, Result)
    assert (egress.receiver, egress.expert, egress.principal, egress.thread) == ("tool", "look_up", "ann", "t1")
    assert (egress.question, egress.job, egress.policy, egress.worst) == ("q1", "job 7", "redacted", None)
    assert (egress.collection, egress.collections, egress.documents) == ("default", ("default", "other"), BEHIND)
    left = content_of(used.told[0])
    assert (egress.sha256, egress.bytes, egress.replaced) == (
        hashlib.sha256(left).hexdigest(),
        len(left),
        {"PERSON": 1},
    )
    assert (result.of, result.expert, result.thread, result.spent) == (1, "look_up", "t1", None)
    assert (result.status, result.error) == (("failed", "ValueError") if error else ("answered", None))
    assert "aria" not in "".join(record.model_dump_json() for record in log.held)


@pytest.mark.parametrize("sensitivity", ["open", "redacted", "local"])
def test_where_nothing_can_be_written_no_tool_is_run(tmp_path: Path, log: FakeAuditLog, sensitivity: str) -> None:
    log.full, used = True, Called(log)
    with pytest.raises(EgressRefused, match="is local" if sensitivity == "local" else "can't be written"):
        guard(tmp_path, log, sensitivity).call(used.marked(None), {"name": "anyone"}, ["default"], ASKED)
    assert used.told == []


def test_an_answer_whose_result_can_not_be_written_is_given(tmp_path: Path, log: FakeAuditLog) -> None:
    @tool
    def fills(name: str) -> str:
        """Fill the disk."""
        log.full = True
        return name

    assert guard(tmp_path, log, "open").call(fills, {"name": "x"}, ["default"], ASKED) == "x"
    assert [record.kind for record in log.held] == ["egress"]


def test_where_placeholders_can_not_be_kept_nothing_goes(tmp_path: Path, log: FakeAuditLog) -> None:
    def full(collection: str, thread: str) -> None:
        raise WorkspaceError("privacy.sqlite can't be written")

    protection = Protection(Redactor(VALUES), ProtectedValues(VALUES))
    gate, used = ToolGuard(Policy(Settings(), lambda _: None), lambda _: protection, full, log), Called(log)
    with pytest.raises(EgressRefused, match="can't be written"):
        gate.call(used.marked(None), {"name": "Maria Kovac"}, ["default"], ASKED)
    (refusal,) = log.held
    assert isinstance(refusal, Refusal)
    assert (used.told, refusal.rule) == ([], "redaction")
