"""Threads as people see them, through the real agent: after a restart, a kill, a deletion, and what people say of answers."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fake_openai import serving

from understudy.agents import Agent
from understudy.agents.deferral.outcomes import TOLD, role_of
from understudy.core.errors import NoDocumentsError, QuestionError, ScopeError, ThreadBusyError
from understudy.core.settings import (
    CollectionSettings,
    DeferralSettings,
    ExpertSettings,
    PrincipalSettings,
    Settings,
)
from understudy.core.types import Scope
from understudy.privacy.audit.reading import Selection

QUESTION = "When does the night train to Oslo leave?"
TEXT = "# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n"


def with_expert(url: str, egress: str = "allow") -> Settings:
    return Settings(
        deferral=DeferralSettings(min_confidence=1.0, audit_rate=0.0),
        experts=(ExpertSettings(name="gpt", model="openai:fake", base_url=url),),
        collections={"default": CollectionSettings.model_validate({"sensitivity": "open", "egress": egress})},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trains.md").write_text(TEXT)
    with Agent.open(tmp_path / "w") as agent:
        agent.ingest([tmp_path / "trains.md"])
    return tmp_path / "w"


@pytest.fixture
def agent(folder: Path) -> Iterator[Agent]:
    with Agent.open(folder) as opened:
        yield opened


def test_threads_are_listed_shown_renamed_and_deleted_over_a_restart(folder: Path) -> None:
    with Agent.open(folder) as agent:
        first = agent.ask(QUESTION)
        again = agent.ask("From which platform?", thread=first.thread)
        other = agent.ask("Who built the bridge?")
    with Agent.open(folder) as agent:
        assert [(t.id, t.title, t.turns, t.status) for t in agent.threads()] == [
            (other.thread, "Who built the bridge?", 1, "done"),
            (first.thread, QUESTION, 2, "done"),
        ]
        turns = agent.thread(first.thread)
        assert [t.answer for t in turns] == [first, again]
        assert [t.number for t in turns] == [1, 2]
        agent.rename_thread(first.thread, "  Night\ntrains ")
        assert {t.title for t in agent.threads()} == {"Night trains", "Who built the bridge?"}
        agent.delete_thread(first.thread)
        with pytest.raises(ScopeError):
            agent.thread(first.thread)
        with pytest.raises(ScopeError):
            agent.ask(QUESTION, thread=first.thread)
        assert [t.id for t in agent.threads()] == [other.thread]
    with closing(sqlite3.connect(folder / "threads.sqlite")) as db:
        for table, column in (
            ("turns", "key"),
            ("checkpoints", "thread_id"),
            ("writes", "thread_id"),
            ("thread_titles", "key"),
        ):
            kept = {key for (key,) in db.execute(f"SELECT {column} FROM {table}")}
            assert not any(first.thread in key for key in kept), table


@pytest.mark.parametrize("title", ["", "  ", "x" * 201, "a\0b"])
def test_a_title_that_is_none_is_refused(agent: Agent, title: str) -> None:
    thread = agent.ask(QUESTION).thread
    with pytest.raises(QuestionError, match="1 to 200"):
        agent.rename_thread(thread, title)


def test_another_principals_thread_is_not_there(folder: Path) -> None:
    people = {"ann": PrincipalSettings(labels=("default",)), "bob": PrincipalSettings(labels=("default",))}
    with Agent.open(folder, settings=Settings(principals=people)) as agent:
        thread = agent.ask(QUESTION, principal="ann").thread
        assert [t.id for t in agent.threads(principal="ann")] == [thread]
        for who in ("bob", "owner"):
            assert agent.threads(principal=who) == []
            for look in (
                lambda w: agent.thread(thread, principal=w),
                lambda w: agent.rename_thread(thread, "mine", principal=w),
                lambda w: agent.delete_thread(thread, principal=w),
                lambda w: agent.feedback(thread, 1, good=True, principal=w),
            ):
                with pytest.raises(ScopeError, match="no thread"):
                    look(who)
        with pytest.raises(NoDocumentsError):
            agent.excerpt("other", "trains.md", 0, 3, principal="ann")


def test_a_killed_question_shows_as_interrupted_and_the_thread_goes_on(folder: Path) -> None:
    with Agent.open(folder) as agent:
        thread = agent.ask(QUESTION).thread
    script = (
        "import os, signal, sys\n"
        "from understudy.agents import Agent\n"
        "agent = Agent.open(sys.argv[1])\n"
        "agent.ask('From which platform?', thread=sys.argv[2], cancel=lambda: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    path = os.pathsep.join(
        str(Path(__file__).parents[2] / p) for p in ("agents", "graphs", "tools", "retrieval", "apps")
    )
    died = subprocess.run([sys.executable, "-c", script, str(folder), thread], env={**os.environ, "PYTHONPATH": path})
    assert died.returncode == -signal.SIGKILL
    with Agent.open(folder) as agent:
        assert [(t.status, t.answer is None) for t in agent.thread(thread)] == [("done", False), ("interrupted", True)]
        assert agent.threads()[0].status == "interrupted"
        assert agent.ask("From which platform?", thread=thread).status == "done"
        assert [t.status for t in agent.thread(thread)] == ["done", "interrupted", "done"]


async def test_who_stops_listening_leaves_an_interrupted_question(agent: Agent) -> None:
    events = agent.astream(QUESTION)
    async for _ in events:
        break
    await events.aclose()  # type: ignore[attr-defined]
    for _ in range(200):
        (info,) = agent.threads()
        if info.status != "running":
            break
        await asyncio.sleep(0.05)
    assert info.status == "interrupted"
    assert agent.thread(info.id)[0].answer is None


def test_a_question_in_progress_keeps_its_thread(agent: Agent) -> None:
    thread = agent.ask(QUESTION).thread
    agent.turns.begin(f"owner/{thread}", "running", Scope())
    with pytest.raises(ThreadBusyError, match="stop that first"):
        agent.delete_thread(thread)


def test_a_thread_answers_one_question_at_a_time(agent: Agent) -> None:
    thread = agent.ask(QUESTION).thread
    noted = agent.turns.begin(f"owner/{thread}", "running", Scope())
    with pytest.raises(ThreadBusyError, match="wait for its answer"):
        agent.turns.begin(f"owner/{thread}", "another", Scope())
    ending = threading.Timer(0.3, agent.turns.left, [noted])
    ending.start()  # as one does that was stopped
    assert agent.ask("From which platform?", thread=thread).status == "done"
    assert [t.status for t in agent.thread(thread)] == ["done", "interrupted", "done"]


def test_of_many_questions_at_once_a_thread_takes_one(agent: Agent) -> None:
    thread = agent.ask(QUESTION).thread

    def asked(number: int) -> bool:
        try:
            agent.turns.begin(f"owner/{thread}", f"question {number}", Scope())
        except ThreadBusyError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(asked, range(24))) == 1


def test_an_excerpt_holds_the_quote_and_says_where_it_stands(agent: Agent) -> None:
    (cited, *_) = agent.ask(QUESTION).citations
    shown = agent.excerpt("default", cited.document, cited.start, cited.end, around=5)
    assert shown.text[shown.start - shown.offset : shown.end - shown.offset] == cited.quote
    assert (shown.location, shown.title) == (cited.location, cited.title)
    for start, end in ((-1, 2), (5, 3), (0, 10**9)):
        with pytest.raises(ScopeError, match="not within"):
            agent.excerpt("default", cited.document, start, end)
    with pytest.raises(ScopeError, match="no document"):
        agent.excerpt("default", "nowhere.md", 0, 1)


async def test_a_decision_is_streamed_and_its_turn_is_brought_up_to_date(folder: Path) -> None:
    with serving("ok") as server, Agent.open(folder, settings=with_expert(server.url, "ask")) as agent:
        waiting = await agent.aask(QUESTION)
        assert agent.thread(waiting.thread)[0].status == "waiting"
        with pytest.raises(ScopeError, match="no answered question"):
            agent.feedback(waiting.thread, 1, good=True)
        events = [e async for e in agent.adecide(waiting.approval or "", "approve")]
        assert events[-1].answer.route == "expert"
        (turn,) = agent.thread(waiting.thread)
        assert (turn.status, turn.answer) == ("done", events[-1].answer)


def test_a_request_lapses_when_its_thread_goes_on(folder: Path) -> None:
    with serving("ok") as server, Agent.open(folder, settings=with_expert(server.url, "ask")) as agent:
        thread = agent.ask(QUESTION).thread
        agent.ask("From which platform?", thread=thread)
        first, second = agent.thread(thread)
        assert (first.status, second.status) == ("done", "waiting")
        assert first.answer is not None
        assert first.answer.approval is None
        assert "went on before anybody decided" in first.answer.reason


def not_calibrating(stem: str) -> str:
    """A question that may be learned from, by its role."""
    return next(q for q in (f"{stem}{'?' * n}" for n in range(1, 40)) if role_of(q, Scope()) != "calibrate")


def told(agent: Agent) -> list[float | None]:
    return [row.quality for row in agent.deferral.rows() if row.role == TOLD]


def test_thumbs_on_a_local_answer_label_its_draft(agent: Agent) -> None:
    answer = agent.ask(not_calibrating("When does the night train to Oslo leave"))
    assert answer.route == "local"
    agent.feedback(answer.thread, 1, good=True)
    assert told(agent) == [1.0]
    (example,) = agent.example_store.examples().values()
    assert (example.expert.expert, example.expert.text) == ("person:owner", answer.text)
    agent.feedback(answer.thread, 1, good=False)
    assert told(agent) == [0.0]
    assert agent.example_store.count() == 0
    assert agent.thread(answer.thread)[0].good is False


def test_what_was_said_is_taken_back(agent: Agent) -> None:
    question = not_calibrating("When does the night train to Oslo leave")
    answer = agent.ask(question)
    agent.feedback(answer.thread, 1, correction="at 22:40 from platform seven")
    agent.feedback(answer.thread, 1)
    assert (told(agent), agent.example_store.count()) == ([], 0)
    (turn,) = agent.thread(answer.thread)
    assert (turn.good, turn.correction) == (None, None)
    assert agent.ask(question).text != "at 22:40 from platform seven"


def test_a_thumb_that_is_taken_back_leaves_nothing(folder: Path) -> None:
    with Agent.open(folder) as agent:
        question = not_calibrating("When does the night train to Oslo leave")
        first = agent.ask(question)
        for _ in range(2):
            agent.feedback(first.thread, 1, good=True)
            assert agent.ask(question).route == "cache"
            agent.feedback(first.thread, 1)
            again = agent.ask(question)
            assert (again.route, again.confidence, agent.records.count()) == ("local", first.confidence, 0)
        agent.feedback(first.thread, 1, correction="at noon")
        agent.feedback(first.thread, 1, good=True)
        assert agent.ask(question).text == first.text
        agent.feedback(first.thread, 1)
        assert (agent.records.count(), agent.example_store.count()) == (0, 0)


def test_each_persons_word_counts(folder: Path) -> None:
    people = ("owner", "ann", "bob")
    settings = Settings(principals={who: PrincipalSettings(labels=("default",)) for who in people[1:]})
    with Agent.open(folder, settings=settings) as agent:
        question = not_calibrating("When does the night train to Oslo leave")
        threads = {who: agent.ask(question, principal=who).thread for who in people}
        agent.feedback(threads["owner"], 1, good=True)
        agent.feedback(threads["ann"], 1, good=False, principal="ann")
        assert told(agent) == [0.0]
        agent.feedback(threads["bob"], 1, good=True, principal="bob")
        assert told(agent) == [1.0]
        agent.feedback(threads["ann"], 1, principal="ann")
        assert told(agent) == [1.0]


def test_a_question_that_tests_the_promise_gets_no_label_from_a_person(agent: Agent) -> None:
    stem = "When does the night train to Oslo leave"
    question = next(q for q in (f"{stem}{'?' * n}" for n in range(1, 40)) if role_of(q, Scope()) == "calibrate")
    answer = agent.ask(question)
    agent.feedback(answer.thread, 1, good=True)
    assert told(agent) == []
    assert agent.example_store.count() == 1


def test_a_correction_is_given_the_next_time_and_teaches_with_its_quote(agent: Agent) -> None:
    question = not_calibrating("When does the night train to Oslo leave")
    answer = agent.ask(question)
    agent.feedback(answer.thread, 1, correction="at 22:40 from platform seven")
    turn = agent.thread(answer.thread)[0]
    assert (turn.good, turn.correction) == (False, "at 22:40 from platform seven")
    again = agent.ask(question)
    assert (again.route, again.text) == ("cache", "at 22:40 from platform seven")
    (quote,) = again.citations
    assert TEXT[quote.start : quote.end] == quote.quote == "at 22:40 from platform seven"
    (row,) = agent.examples()
    assert not row["rejected"]
    agent.feedback(answer.thread, 1, correction="at 22:40")
    assert agent.ask(question).text == "at 22:40"
    assert agent.example_store.count() == 1


def test_an_experts_answer_that_is_wrong_is_neither_given_again_nor_taught(folder: Path) -> None:
    with serving("ok") as server, Agent.open(folder, settings=with_expert(server.url)) as agent:
        answer = agent.ask(QUESTION)
        assert (answer.route, agent.example_store.count(), agent.records.count()) == ("expert", 1, 1)
        agent.feedback(answer.thread, 1, good=False)
        assert (agent.example_store.count(), agent.records.count()) == (0, 0)
        agent.ask(QUESTION)
        assert len(server.requests) == 2


@pytest.mark.parametrize("said", ["", "  ", "a\0b"])
def test_a_correction_that_says_nothing_is_refused(agent: Agent, said: str) -> None:
    answer = agent.ask(QUESTION)
    with pytest.raises(QuestionError, match="correction"):
        agent.feedback(answer.thread, 1, correction=said)
    with pytest.raises(QuestionError, match="correction"):
        agent.feedback(answer.thread, 1, good=True, correction="22:40")
    with pytest.raises(ScopeError, match="no answered question"):
        agent.feedback(answer.thread, 9, good=True)


def test_a_receipt_says_what_left_and_what_it_cost(folder: Path) -> None:
    with serving("ok") as server:
        settings = with_expert(server.url)
        priced = settings.experts[0].model_copy(update={"input_usd_per_mtok": 10.0, "output_usd_per_mtok": 10.0})
        with Agent.open(folder, settings=settings.model_copy(update={"experts": (priced,)})) as agent:
            thread = agent.ask(QUESTION).thread
            again = agent.ask(QUESTION, thread=thread)
            first = agent.receipt(thread, 1)
            sent = server.requests[0]["messages"]
            assert first.bytes >= sum(len(m["content"].encode()) for m in sent)
            assert (first.sent, first.experts, first.refused) == (1, ("gpt",), 0)
            assert first.cost_usd == pytest.approx(0.011)
            assert first.always_usd is not None
            assert 0 < first.always_usd < 0.05
            assert (again.route, agent.receipt(thread, 2).sent) == ("expert", 1)  # another history, another question
            with pytest.raises(ScopeError, match="no question 9"):
                agent.receipt(thread, 9)


def test_a_local_answer_has_a_receipt_of_nothing(agent: Agent) -> None:
    answer = agent.ask(QUESTION)
    receipt = agent.receipt(answer.thread, 1)
    assert (receipt.bytes, receipt.sent, receipt.experts, receipt.always_usd) == (0, 0, (), None)


def test_a_threads_receipts_are_each_answers_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("ok") as server, Agent.open(folder, settings=with_expert(server.url)) as agent:
        thread = agent.ask(QUESTION).thread
        agent.ask("From which platform does it leave?", thread=thread)
        reads: list[Selection] = []
        records = agent.audit.records

        def counted(selection: Selection) -> list[dict[str, Any]]:
            reads.append(selection)
            return records(selection)

        monkeypatch.setattr(agent.audit, "records", counted)
        found = agent.receipts(thread)
        assert len(reads) == 1
        assert list(found) == [1, 2]
        assert [r.sent for r in found.values()] == [1, 1]
        assert sum(r.bytes for r in found.values()) == sum(r["bytes"] for r in records(Selection(kind="egress")))
        assert all(r.always_usd is not None for r in found.values())
