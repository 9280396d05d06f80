"""Questions, quality and cost over time, through the real agent and a real expert on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_openai import serving
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents import Agent
from understudy.core.errors import AccessError, ScopeError
from understudy.core.history import Compared, Counted, Spent, periods
from understudy.core.settings import DeferralSettings, ExpertSettings, PrincipalSettings, Settings
from understudy.core.usage import Spend

TEXT = "# Report\n\nRevenue was EUR 412.6 million in 2024. The firm was founded in 1987.\n"


def settings(url: str) -> Settings:
    expert = ExpertSettings(
        name="gpt", model="openai:fake", base_url=url, input_usd_per_mtok=10.0, output_usd_per_mtok=100.0
    )
    people = {"ann": PrincipalSettings(labels=("default",)), "bob": PrincipalSettings(labels=("other",))}
    deferral = DeferralSettings(min_confidence=1.0)
    return Settings(experts=(expert,), principals=people, deferral=deferral)


def test_questions_quality_and_cost_are_counted_for_those_who_may_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    (tmp_path / "report.md").write_text(TEXT)
    with serving("ok") as fake, Agent.open(tmp_path / "w", settings=settings(fake.url)) as agent:
        assert agent.history() == []
        agent.ingest([tmp_path / "report.md"])
        asked = agent.ask("What was revenue in 2024?", principal="ann")
        assert asked.route == "expert"
        agent.feedback(asked.thread, 1, good=True, principal="ann")
        agent.ask("What was revenue in 2024?")
        (day,), (hour,) = agent.history(), agent.history("hour")
        assert day.begun == hour.begun[:10]
        assert (day.asked, day.routes, day.good, day.bad) == (2, {"expert": 2}, 1, 0)
        assert day.spend.calls == 2
        assert day.spend.usd == pytest.approx(2 * asked.cost_usd)
        assert day.compared >= 1
        assert day.quality is not None

        (own,) = agent.history(principal="ann")
        assert (own.routes, own.spend.calls, own.good) == ({"expert": 1}, 1, 1)
        assert own.spend.usd == pytest.approx(asked.cost_usd)
        assert agent.history(principal="bob") == []
        with pytest.raises(AccessError):
            agent.reliability(principal="ann")
        assert agent.reliability() == list(agent.calibrate().bins)


def test_what_takes_the_owner_goes_by_who_asks(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text(TEXT)
    people = Settings(principals={"ann": PrincipalSettings(labels=("default",))})
    with Agent.open(tmp_path / "w", settings=people) as agent:
        agent.ingest([tmp_path / "report.md"], principal="ann")
        for what in (
            lambda: agent.ingest([tmp_path / "report.md"], collection="other", principal="ann"),
            lambda: agent.ingest([tmp_path / "report.md"], sensitivity="open", principal="ann"),
            lambda: agent.erase("report.md", principal="ann"),
            lambda: agent.erase("report.md", dry_run=True, principal="ann"),
            lambda: agent.promote("default", "v1", principal="ann"),
            lambda: agent.rollback("default", principal="ann"),
            lambda: agent.calibrate(principal="ann"),
        ):
            with pytest.raises(AccessError, match="'ann' may not"):
                what()
        assert agent.erase("report.md").passages == 1
        with pytest.raises(ScopeError):
            agent.erase("report.md")


@given(
    st.lists(
        st.builds(
            Counted,
            st.sampled_from(["2026-01-01", "2026-01-02"]),
            st.sampled_from(["local", "cache", "expert", "declined"]),
            st.sampled_from([None, True, False]),
            st.integers(1, 9),
        )
    )
)
def test_no_question_is_lost_or_counted_twice(counted: list[Counted]) -> None:
    found = periods(counted, [], [])
    assert sum(p.asked for p in found) == sum(c.questions for c in counted)
    assert sum(p.good + p.bad for p in found) == sum(c.questions for c in counted if c.good is not None)
    assert [p.begun for p in found] == sorted({c.begun for c in counted})


def test_quality_weighs_every_draft_by_the_inverse_of_its_probability() -> None:
    drafts = [Compared("2026-01-01", 1.0, 9.0), Compared("2026-01-01", 0.0, 1.0)]
    (found,) = periods([], [Spent("2026-01-01", Spend(usd=1.0, calls=1))], drafts)
    assert (found.compared, found.quality, found.spend.usd) == (2, pytest.approx(0.9), 1.0)
