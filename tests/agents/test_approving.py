"""Approval through the real agent: SQLite threads, an expert over HTTP, a restart and a kill in between."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fake_openai import serving

from understudy.agents import Agent
from understudy.agents.conversing import answer_of
from understudy.core.egress import Verdict
from understudy.core.errors import ApprovalError, ScopeError, ThreadBusyError
from understudy.core.settings import CollectionSettings, DeferralSettings, ExpertSettings, PrincipalSettings, Settings
from understudy.core.types import Answer, Scope
from understudy.privacy.audit.reading import Selection

QUESTION = "When does the night train to Oslo leave?"


def settings(url: str) -> Settings:
    return Settings(
        deferral=DeferralSettings(min_confidence=1.0, audit_rate=0.0),
        experts=(ExpertSettings(name="gpt", model="openai:fake", base_url=url, output_usd_per_mtok=10),),
        collections={"default": CollectionSettings(sensitivity="open", egress="ask")},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trains.md").write_text("# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n")
    with Agent.open(tmp_path / "w") as agent:
        agent.ingest([tmp_path / "trains.md"])
    return tmp_path / "w"


def test_a_question_waits_over_a_restart_and_sends_what_was_shown(folder: Path) -> None:
    with serving("ok") as server:
        with Agent.open(folder, settings=settings(server.url), principal="ann") as agent:
            first = agent.ask(QUESTION)
        assert (first.status, server.requests) == ("waiting", [])
        with Agent.open(folder, settings=settings(server.url), principal="eve") as agent:
            assert agent.approvals() == []
            with pytest.raises(ApprovalError):
                agent.approve(first.approval or "")
        with Agent.open(folder, settings=settings(server.url)) as agent:
            (listed,) = agent.approvals()
            shown = agent.approval(listed["id"])
            assert (listed["id"], listed["principal"], listed["expert"]) == (first.approval, "ann", "gpt")
            answer = agent.approve(listed["id"])
            assert agent.approvals() == []
            with pytest.raises(ApprovalError, match="no question waits"):
                agent.approve(listed["id"])
    (request,) = server.requests
    assert [m["content"] for m in request["messages"]] == [shown["payload"]["system"], shown["payload"]["user"]]
    assert (answer.status, answer.route, answer.text) == ("done", "expert", "EUR 412.6 million")


def test_who_lost_the_label_sees_and_decides_nothing(folder: Path) -> None:
    def with_labels(url: str, *labels: str) -> Settings:
        return settings(url).model_copy(update={"principals": {"bob": PrincipalSettings(labels=labels)}})

    with serving("ok") as server:
        with Agent.open(folder, settings=with_labels(server.url, "default"), principal="bob") as agent:
            request = agent.ask(QUESTION).approval or ""
            assert [r["id"] for r in agent.approvals()] == [request]
        with Agent.open(folder, settings=with_labels(server.url, "other")) as agent:
            assert agent.approvals(principal="bob") == []
            for look in (agent.approval, agent.approve, agent.refuse):
                with pytest.raises(ApprovalError, match="no question waits"):
                    look(request, principal="bob")
            assert [r["id"] for r in agent.approvals()] == [request]  # the owner may read it, and can't send it for bob
            with pytest.raises(ScopeError):
                agent.approve(request)
            assert agent.audit.records(Selection(kind="approval")) == []
        assert server.requests == []


async def test_of_two_who_decide_at_once_one_is_heard(folder: Path) -> None:
    with serving("ok") as server, Agent.open(folder, settings=settings(server.url), principal="ann") as agent:
        waits = await agent.aask(QUESTION)

        async def decided(verdict: Verdict, principal: str) -> Answer:
            return await answer_of(agent.adecide(waits.approval or "", verdict, principal=principal))

        both = await asyncio.gather(decided("refuse", "ann"), decided("approve", "owner"), return_exceptions=True)
        (lost,) = [found for found in both if isinstance(found, BaseException)]
        assert isinstance(lost, ThreadBusyError | ApprovalError)
        assert len(agent.audit.records(Selection(kind="approval"))) == 1
        assert (agent.approvals(), agent.approvals(principal="owner")) == ([], [])
        assert [t.status for t in agent.thread(waits.thread)] == ["done"]


async def test_while_an_expert_is_asked_its_thread_stays_and_takes_no_question(folder: Path) -> None:
    with serving("ok") as server, Agent.open(folder, settings=settings(server.url)) as agent:
        waits = await agent.aask(QUESTION)
        async with agent.turns.going_on(f"owner/{waits.thread}", waits.approval or ""):
            for meanwhile in (
                agent.delete_thread,
                lambda thread: agent.turns.begin(f"owner/{thread}", "Why?", Scope()),
            ):
                with pytest.raises(ThreadBusyError):
                    meanwhile(waits.thread)
        # It came to nothing: the question waits as before.
        assert [t.status for t in agent.thread(waits.thread)] == ["waiting"]
        agent.turns.deciding(f"owner/{waits.thread}", waits.approval or "")
    with serving("ok") as server, Agent.open(folder, settings=settings(server.url)) as agent:  # as after a kill
        assert [t.status for t in agent.thread(waits.thread)] == ["waiting"]
        assert agent.approve(waits.approval or "").status == "done"
        agent.delete_thread(waits.thread)


def test_a_changed_document_means_that_a_person_is_asked_again(folder: Path) -> None:
    with serving("ok") as server, Agent.open(folder, settings=settings(server.url)) as agent:
        edited = agent.edit(agent.ask(QUESTION).approval or "", "Question: when do night trains leave?")
        assert (edited.route, server.requests[0]["messages"][1]["content"]) == (
            "expert",
            "Question: when do night trains leave?",
        )
        refused = agent.refuse(agent.ask(QUESTION + " And why?").approval or "", "not today")
        assert (refused.route, len(server.requests)) == ("local", 1) or refused.route == "declined"
        assert "a person refused to let it go to expert 'gpt': not today" in refused.reason


def test_no_text_lies_in_the_file_of_requests(folder: Path) -> None:
    with serving("ok") as server, Agent.open(folder, settings=settings(server.url)) as agent:
        agent.ask(QUESTION)
    files = list(folder.glob("approvals.sqlite*"))
    assert files
    for file in files:
        assert file.stat().st_mode & 0o077 == 0
        assert b"Oslo" not in file.read_bytes()


KILLED = """
import os, sys
from pathlib import Path
from understudy.agents import Agent
from understudy.core.settings import Settings
settings = Settings.model_validate_json(sys.argv[2])
with Agent.open(sys.argv[1], settings=settings) as agent:
    store = agent.egress.approvals
    use = store.use
    def killed(id):
        if sys.argv[4] == "after":
            use(id)
        os.kill(os.getpid(), 9)
    store.use = killed
    agent.approve(sys.argv[3])
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_around_sending_sends_once_at_the_most(folder: Path, when: str) -> None:
    with serving("ok") as server:
        given = settings(server.url)
        with Agent.open(folder, settings=given) as agent:
            first = agent.ask(QUESTION).approval or ""
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(folder), given.model_dump_json(), first, when],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        with Agent.open(folder, settings=given) as agent:
            (listed,) = agent.approvals()
            assert (listed["id"], listed["may_have_left"]) == (first, when == "after")
            answer = agent.approve(first)
            if when == "after":  # nobody knows whether it left, so it doesn't leave again unasked
                assert (answer.status, server.requests) == ("waiting", [])
                answer = agent.approve(answer.approval or "")
        assert (answer.route, len(server.requests)) == ("expert", 1)


def test_the_command_line(folder: Path) -> None:
    with serving("ok") as server:
        (folder / "understudy.toml").write_text(
            "[deferral]\nmin_confidence = 1.0\naudit_rate = 0.0\n[[experts]]\nname = 'gpt'\nmodel = 'openai:fake'\n"
            f"base_url = '{server.url}'\n[collections.default]\nsensitivity = 'open'\negress = 'ask'\n"
        )

        def run(*arguments: str, code: int = 0) -> str:
            done = subprocess.run(
                [sys.executable, "-m", "understudy.apps.cli", "--workspace", str(folder), *arguments],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                text=True,
                timeout=250,
                check=False,
            )
            assert done.returncode == code, done.stderr
            return done.stdout if code == 0 else done.stderr

        waiting = json.loads(run("ask", QUESTION, "--json"))
        assert waiting["status"] == "waiting"
        (listed,) = json.loads(run("approvals", "list", "--json"))["approvals"]
        assert listed["id"] == waiting["approval"]
        assert "The night train to Oslo leaves at 22:40" in run("approvals", "show", listed["id"])
        assert json.loads(run("approvals", "approve", listed["id"], "--json"))["route"] == "expert"
        assert "nothing waits" in run("approvals", "list")
        assert "no question waits for request 'x'" in run("approvals", "refuse", "x", code=2)
