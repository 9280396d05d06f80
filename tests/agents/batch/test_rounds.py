"""A job that promises something of its answers as a whole, by the facade, with an expert on loopback."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_openai import FakeOpenAI, serving
from sqlalchemy import update

from understudy.agents import Agent, working
from understudy.agents.batch import rounds
from understudy.agents.batch.journal import Journal
from understudy.agents.batch.tables import rows
from understudy.core.errors import Stopped, UserError
from understudy.core.jobs import Guarantee, Job, Query
from understudy.core.settings import CollectionSettings, DeferralSettings, ExpertSettings, Settings
from understudy.core.types import Answer, Scope

CITIES = [f"city{number}" for number in range(14)]
HOURS = {city: f"{number + 6}:40" for number, city in enumerate(CITIES)}
QUERIES = [Query(question=f"When does the night train to {city} leave?", document=f"{city}.md") for city in CITIES]
LOSS = 0.3


def says(hours: dict[str, str]) -> Callable[[str], dict[str, Any]]:
    def reply(user: str) -> dict[str, Any]:
        city = re.findall(r"train to (city\d+) leave\?", user)[-1]
        return {"answer": hours[city], "citations": [{"passage": 1, "quote": hours[city]}]}

    return reply


@pytest.fixture(autouse=True)
def drawn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment of a job decides which rows are drawn, and of so few rows a draw may want all."""
    monkeypatch.setattr(working, "now", lambda: "2026-01-02T03:04:05+00:00")


@pytest.fixture
def expert() -> Iterator[FakeOpenAI]:
    with serving("ok") as server:
        server.reply = says(HOURS)
        yield server


def settings(url: str, **collection: Any) -> Settings:
    expert = ExpertSettings(name="gpt", model="openai:fake", base_url=url, retries=0, input_usd_per_mtok=10.0)
    return Settings(
        experts=(expert,) if url else (),
        deferral=DeferralSettings(min_confidence=1.0, audit_rate=0.0),
        collections={"default": CollectionSettings(**collection)},
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a document a city."""
    folder = tmp_path_factory.mktemp("rounds")
    (folder / "documents").mkdir()
    for city, hour in HOURS.items():
        text = f"# Trains\n\nThe night train to {city} leaves at {hour} from platform seven.\n"
        (folder / "documents" / f"{city}.md").write_text(text)
    with Agent.open(folder / "w") as agent:
        agent.ingest([folder / "documents"])
    return folder / "w"


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "w")
    return tmp_path / "w"


@pytest.fixture
def opened(place: Path, expert: FakeOpenAI) -> Iterator[Agent]:
    with Agent.open(place, settings=settings(expert.url)) as agent:
        yield agent


def run(agent: Agent, loss: float = LOSS, **more: Any) -> Job:
    agent.begin_job("j", QUERIES, max_quality_loss=loss, **more)
    return agent.run_job("j")


def guarantee_of(job: Job) -> Guarantee:
    assert job.guarantee is not None
    return job.guarantee


def answers(agent: Agent) -> list[Answer]:
    found = [row.answer for row in agent.job_results("j")]
    assert all(found)
    return [answer for answer in found if answer is not None]


def disagreeing(*cities: str) -> dict[str, str]:
    return HOURS | dict.fromkeys(cities, "at noon")


def test_the_promise_is_given_and_calls_are_saved(opened: Agent, expert: FakeOpenAI) -> None:
    done = run(opened)
    promised = guarantee_of(done)
    assert (promised.given, promised.why, promised.rows) == (True, "", len(CITIES))
    assert promised.threshold is not None
    assert all(HOURS[city] in answer.text for city, answer in zip(CITIES, answers(opened), strict=True))
    assert done.routes["expert"] == len(expert.requests) < len(CITIES)
    assert 0 < promised.labelled <= len(expert.requests)
    for answer in answers(opened):
        if answer.route == "local":
            assert answer.confidence >= promised.threshold
            assert "enough for the promise of the job" in answer.reason
    assert opened.run_job("j") == opened.job("j"), "nothing is asked twice"
    assert len(expert.requests) == done.routes["expert"]


def test_where_every_draft_is_lost_no_more_are_given_than_may_be(opened: Agent, expert: FakeOpenAI) -> None:
    expert.reply = says(disagreeing(*CITIES))
    done = run(opened)
    assert guarantee_of(done).given
    assert done.routes.get("local", 0) <= LOSS * len(CITIES)
    assert done.routes["expert"] == len(expert.requests)


def test_whose_answer_tests_the_promise_is_not_shown_the_draft(opened: Agent, expert: FakeOpenAI) -> None:
    run(opened)
    sampled = [a for a in answers(opened) if "drawn to test" in a.reason]
    shown = [request for request in expert.requests if "draft" in request["messages"][1]["content"].lower()]
    assert len(sampled) == guarantee_of(opened.job("j")).labelled
    assert len(expert.requests) - len(shown) >= len(sampled) > 0


def test_no_loss_allowed_asks_an_expert_about_every_row(opened: Agent, expert: FakeOpenAI) -> None:
    done = run(opened, 0.0)
    assert (done.routes, guarantee_of(done).given) == ({"expert": len(CITIES)}, True)
    assert len(expert.requests) == len(CITIES)


def test_every_loss_allowed_asks_none_about_a_verified_draft(opened: Agent, expert: FakeOpenAI) -> None:
    done = run(opened, 1.0)
    assert guarantee_of(done).given
    assert guarantee_of(done).labelled == 0
    assert len(expert.requests) == done.routes.get("expert", 0) < len(CITIES)


def test_without_an_expert_that_is_said_at_once_and_the_job_goes_on(place: Path) -> None:
    with Agent.open(place, settings=settings("")) as agent:
        begun = agent.begin_job("j", QUERIES, max_quality_loss=LOSS)
        assert guarantee_of(begun).why == "no expert is configured, so there is none to equal"
        done = agent.run_job("j")
        assert (done.status, done.done, guarantee_of(done).given) == ("done", len(CITIES), False)


@pytest.mark.parametrize("policy", [{"egress": "never"}, {"egress": "ask"}, {"sensitivity": "local"}])
def test_where_nothing_may_be_compared_nothing_is_promised(
    place: Path, expert: FakeOpenAI, policy: dict[str, str]
) -> None:
    with Agent.open(place, settings=settings(expert.url, **policy)) as agent:
        begun = agent.begin_job("j", QUERIES[:1], max_quality_loss=LOSS)
        assert "no expert may see evidence of collection 'default' unasked" in guarantee_of(begun).why
        assert agent.run_job("j").done == 1


def test_where_the_budget_ends_nothing_is_promised_and_the_reason_is_given(opened: Agent, expert: FakeOpenAI) -> None:
    done = run(opened, 0.0, budget_usd=0.03)
    promised = guarantee_of(done)
    assert (done.done, promised.given) == (len(CITIES), False)
    assert re.match(r"row \d+ was to be answered by an expert, and was not: .*the budget per job allows", promised.why)
    assert len(expert.requests) < len(CITIES)
    again = run(opened, 0.0, budget_usd=9.0)
    assert guarantee_of(again).given, "with more money the same command makes good for it"
    assert len(expert.requests) == len(CITIES), "what was paid for is kept"


def test_where_the_expert_fails_nothing_is_promised(opened: Agent, expert: FakeOpenAI) -> None:
    expert.behaviours[:] = ["ok", "500"]
    done = run(opened)
    assert not guarantee_of(done).given
    assert "failed (500)" in guarantee_of(done).why
    assert done.done == len(CITIES)


def test_broken_off_anywhere_it_ends_the_same(
    place: Path, tmp_path: Path, expert: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after every few things that it kept, and before the next."""
    expert.reply, given = says(disagreeing("city3", "city4")), settings(expert.url)
    with Agent.open(place, settings=given) as agent:
        agent.begin_job("j", QUERIES, max_quality_loss=LOSS)
    shutil.copytree(place, tmp_path / "again")
    with Agent.open(place, settings=given) as agent:
        whole = agent.run_job("j", at_once=1)
        once = [(a.text, a.route, a.reason) for a in answers(agent)], whole.guarantee, len(expert.requests)
    expert.requests.clear()
    monkeypatch.setattr(rounds, "WAITING", 1)  # what is on its way at a death is asked again
    left, deaths = 0, 0

    def dying(kept: Callable[..., Any]) -> Callable[..., Any]:
        def keep(*given: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise UserError("killed")
            return kept(*given)

        return keep

    with Agent.open(tmp_path / "again", settings=given) as agent:
        for name in ("keep", "put_down", "promise"):
            monkeypatch.setattr(agent.journal, name, dying(getattr(agent.journal, name)))
        while agent.job("j").status != "done":
            left = 3
            try:
                agent.run_job("j", at_once=1)
            except UserError:
                deaths += 1
        assert ([(a.text, a.route, a.reason) for a in answers(agent)], agent.job("j").guarantee) == once[:2]
    assert len(expert.requests) == once[2], "no expert is paid twice"
    assert deaths > 8


def test_drafts_lie_in_the_journal_and_go_with_their_document(opened: Agent, expert: FakeOpenAI) -> None:
    opened.begin_job("j", QUERIES, max_quality_loss=LOSS)
    drafted = 0

    def stopped() -> bool:
        nonlocal drafted
        drafted = len(opened.journal.standing("j"))
        return drafted >= 5

    with pytest.raises(Stopped):
        opened.run_job("j", at_once=1, cancel=stopped)
    assert 5 <= drafted < len(CITIES)
    assert expert.requests == [], "nobody is asked before all is drafted"
    first = opened.journal.standing("j")[0].number
    assert opened.journal.taken_up("j", first) is not None
    assert opened.erase(f"{CITIES[first]}.md").job_answers == 1
    assert opened.journal.taken_up("j", first) is None
    for path in opened.workspace.root.glob("jobs.sqlite*"):
        assert f"night train to {CITIES[first]} ".encode() not in path.read_bytes()
    done = opened.run_job("j")
    assert guarantee_of(done).given
    assert guarantee_of(done).rows == len(CITIES) - 1


def test_a_changed_question_has_all_rows_tested_anew(opened: Agent, expert: FakeOpenAI) -> None:
    first = run(opened)
    more = [*QUERIES[:-1], Query(question="When does the night train to city1 leave?", document="city2.md")]
    again = opened.begin_job("j", more, max_quality_loss=LOSS)
    assert set(again.routes) == {"expert"}, "a draft that was given belongs to the old promise"
    assert first.routes["expert"] - 1 <= again.done <= first.routes["expert"]
    assert not guarantee_of(again).tested
    assert guarantee_of(opened.run_job("j")).given
    assert opened.begin_job("j", more, max_quality_loss=LOSS).done == len(more), "unchanged, it stays as it is"
    assert opened.begin_job("j", more).guarantee is None


def test_rows_that_are_the_same_count_each_and_are_asked_once(opened: Agent, expert: FakeOpenAI) -> None:
    opened.begin_job("j", [*QUERIES[:4], *QUERIES[:4]], max_quality_loss=0.0)
    done = opened.run_job("j")
    assert (done.routes, guarantee_of(done).rows, len(expert.requests)) == ({"expert": 8}, 8, 4)


async def test_a_batch_in_memory_says_what_it_promises(opened: Agent, expert: FakeOpenAI) -> None:
    told: list[Guarantee] = []
    found = await opened.abatch(QUERIES, job="b", max_quality_loss=LOSS, confidence=0.8, on_guarantee=told.append)
    assert [g.given for g in told] == [True]
    assert told[0].confidence == 0.8
    assert len(expert.requests) == sum(a.route == "expert" for a in found) < len(CITIES)
    assert opened.jobs() == []


def test_another_model_meanwhile_takes_the_promise_back(opened: Agent) -> None:
    opened.begin_job("j", QUERIES, max_quality_loss=LOSS)
    with pytest.raises(Stopped):
        opened.run_job("j", at_once=1, cancel=lambda: len(opened.journal.standing("j")) > 2)
    held = json.loads(opened.journal.terms("j") or "")
    held["derivation"]["small_model"] = "another"
    opened.journal.agree("j", json.dumps(held))
    assert "have changed" in guarantee_of(opened.run_job("j")).why


def test_a_promise_that_was_given_stays_whatever_model_answers_later(opened: Agent, expert: FakeOpenAI) -> None:
    first = run(opened)
    held = json.loads(opened.journal.terms("j") or "")
    held["derivation"]["small_model"] = "another"
    opened.journal.agree("j", json.dumps(held))
    assert guarantee_of(run(opened)) == guarantee_of(first)


def test_a_row_that_comes_late_is_an_experts(opened: Agent, expert: FakeOpenAI) -> None:
    """It failed when the others were tested, and is asked when the job is begun anew."""
    broken = Query(question="When does the night train to city0 leave?", document="city14.md")
    opened.begin_job("j", [*QUERIES, broken], max_quality_loss=LOSS)
    assert guarantee_of(opened.run_job("j")).rows == len(CITIES)
    assert opened.job("j").failed == 1
    with opened.journal._begun() as db:
        db.execute(
            update(rows).where(rows.c.number == len(CITIES)).values(error=None, query=QUERIES[0].model_dump_json())
        )
    paid = len(expert.requests)
    assert guarantee_of(opened.run_job("j")).given
    late = answers(opened)[-1]
    assert late.route in ("expert", "cache")
    assert len(expert.requests) <= paid + 1


def test_what_can_not_be_promised_is_refused(opened: Agent) -> None:
    for given in ({"max_quality_loss": 1.5}, {"max_quality_loss": 0.1, "confidence": 1.0}, {"confidence": 0.9}):
        with pytest.raises(UserError, match="promise"):
            opened.begin_job("j", QUERIES, **given)  # type: ignore[arg-type]


def test_what_a_guaranteed_job_learns_moves_no_threshold(opened: Agent) -> None:
    run(opened)
    assert opened.deferral.rows() == []


def test_a_journal_of_before_has_room_for_drafts(tmp_path: Path) -> None:
    Journal(tmp_path / "jobs.sqlite").close()
    journal = Journal(tmp_path / "jobs.sqlite")
    for column in ("state", "confidence", "loss"):
        with journal._begun() as db:
            db.exec_driver_sql(f"ALTER TABLE job_rows DROP COLUMN {column}")
    journal.close()
    again = Journal(tmp_path / "jobs.sqlite")
    assert again.standing("j") == []
    assert again.found(Scope(document="x")) == []
