"""What a job would take, said without asking any expert."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_openai import serving

from understudy.agents import Agent
from understudy.core.errors import QuestionError
from understudy.core.jobs import Query
from understudy.core.settings import DeferralSettings, ExpertSettings, Settings

TOWNS = {"oslo": "22:40", "bergen": "06:15"}


def opened(folder: Path, url: str | None, min_confidence: float) -> Agent:
    expert = () if url is None else (
        ExpertSettings(name="gpt", model="openai:fake", base_url=url, retries=1, input_usd_per_mtok=10.0),
    )  # fmt: skip
    fixed = DeferralSettings(min_confidence=min_confidence, audit_rate=0.0)
    agent = Agent.open(folder / "w", settings=Settings(experts=expert, deferral=fixed))
    for town, hour in TOWNS.items():
        (folder / f"{town}.md").write_text(f"The night train to {town.title()} leaves at {hour} from platform seven.\n")
        agent.ingest([folder / f"{town}.md"])
    return agent


ASKED = [Query(question=f"When does the night train to {town.title()} leave?", document=f"{town}.md") for town in TOWNS]


def test_nothing_is_sent_and_nothing_kept(tmp_path: Path) -> None:
    with serving("ok") as server, opened(tmp_path, server.url, 1.0) as agent:
        plan = agent.plan_job([*ASKED, ASKED[0], Query(question="", problem="empty")])
        assert server.requests == []
        assert agent.jobs() == []
        assert agent.ledger.spent().usd == 0
    assert (plan.questions, plan.sampled, plan.failed) == (2, 2, 0)
    assert plan.consulted.value == 1.0
    assert 0 < plan.usd.low <= plan.usd.value < plan.most_usd < 1.0
    assert plan.seconds_a_question.value > 0


def test_what_is_answered_here_costs_nothing(tmp_path: Path) -> None:
    with serving("ok") as server, opened(tmp_path, server.url, 0.0) as agent:
        plan = agent.plan_job(ASKED, sample=1, seed=3)
    assert (plan.questions, plan.sampled) == (2, 1)
    assert (plan.consulted.value, plan.usd.value, plan.most_usd) == (0.0, 0.0, 0.0)
    assert plan.usd.high > 0, "one question says little"


def test_without_an_expert_nothing_can_cost(tmp_path: Path) -> None:
    with opened(tmp_path, None, 1.0) as agent:
        plan = agent.plan_job([*ASKED, Query(question="Why?", document="no.md")])
        assert (plan.consulted.value, plan.usd.high, plan.failed) == (0.0, 0.0, 1)
        with pytest.raises(QuestionError, match="none of the questions can be asked"):
            agent.plan_job([Query(question="", problem="empty")])
