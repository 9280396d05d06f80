"""The learning page in a real browser: plots, promotion and rollback, and the audit log, in a workspace that was used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_openai import serving
from history_parts import lived_through, trained
from page_parts import IMAGES, browser, overflows, shown, visiting, whole
from playwright.sync_api import Browser, expect

from understudy.agents import Agent
from understudy.apps.chat import learning
from understudy.core.settings import ExpertSettings, PrincipalSettings, Settings

pytestmark = pytest.mark.e2e
REPORT = "# Report\n\nRevenue was EUR 412.6 million in 2024. Write to anna.schmidt@example.org.\n"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with serving("ok") as fake:
        gpt = ExpertSettings(
            name="gpt", model="openai:fake", base_url=fake.url, input_usd_per_mtok=2, output_usd_per_mtok=10
        )
        people = {"ann": PrincipalSettings(labels=("default",))}
        with Agent.open(tmp_path / "w", settings=Settings(experts=(gpt,), principals=people)) as opened:
            yield opened


def page_of(agent: Agent, principal: str | None = None):  # type: ignore[no-untyped-def]
    return whole(agent) if principal is None else shown({"Learning": lambda: learning.build(agent)}, principal)


def used(agent: Agent, tmp_path: Path) -> None:
    """Two real questions that went to the expert, an erasure, and weeks of use before."""
    for name in ("report.md", "other.md"):
        (tmp_path / name).write_text(REPORT)
        agent.ingest([tmp_path / name])
    assert agent.ask("What was revenue in 2024?").route == "expert"
    thread = agent.ask("Whose address is anna.schmidt@example.org?", principal="ann").thread
    agent.feedback(thread, 1, good=True, principal="ann")
    lived_through(agent)
    agent.deferral.derive()


def test_the_page_shows_how_it_went_and_what_the_gate_found(agent: Agent, chromium: Browser, tmp_path: Path) -> None:
    with page_of(agent) as url:
        with visiting(chromium, url, "Learning") as page:
            expect(page.locator("#u-history .u-empty")).to_have_count(4)
            expect(page.locator("#u-gates")).to_contain_text("understudy refine")
            expect(page.locator("#u-records")).to_contain_text("No records")
            assert overflows(page) <= 0
        used(agent, tmp_path)
        trained(agent, tmp_path)
        for width, dark in ((1280, False), (390, True)):
            with visiting(chromium, url, "Learning", width, dark) as page:
                expect(page.locator("#u-history svg[role=img]")).to_have_count(4)
                expect(page.locator("#u-history")).to_contain_text("All principals' questions")
                expect(page.locator("#u-gates svg[role=img]")).to_have_count(1)
                expect(page.locator("#u-promise")).to_contain_text("comparisons")
                for plot in page.locator("svg[role=img]").all():
                    assert plot.get_attribute("aria-label")
                assert overflows(page) <= 0
                if not dark:
                    IMAGES.mkdir(parents=True, exist_ok=True)
                    page.wait_for_timeout(300)
                    page.screenshot(path=IMAGES / "learning.png", full_page=True)


def test_adapters_go_in_force_and_back_once_somebody_is_sure(agent: Agent, chromium: Browser, tmp_path: Path) -> None:
    trained(agent, tmp_path)
    with page_of(agent) as url, visiting(chromium, url, "Learning") as page:
        put, back = page.get_by_role("button", name="Put in force …"), page.get_by_role("button", name="Roll back …")
        expect(put).to_be_disabled()
        page.get_by_label("default v3").check()
        expect(back).to_be_disabled()
        expect(put).to_be_disabled()  # the gate turned it down
        page.get_by_label("default v2").check()
        expect(back).to_be_enabled()
        back.click()
        expect(page.locator("#u-certain")).to_contain_text("Go back from v2 of default")
        page.get_by_role("button", name="Leave as it is").click()
        expect(page.locator("#u-certain")).to_be_hidden()
        assert [a["live"] for a in agent.adapters()] == [False, True, False, False]
        back.click()
        page.get_by_role("button", name="Do it").click()
        expect(page.locator("#u-done")).to_contain_text("The small model without an adapter is in force")
        assert not any(a["live"] for a in agent.adapters())
        page.get_by_label("default v4").check()
        put.click()
        page.get_by_role("button", name="Do it").click()
        expect(page.locator("#u-done")).to_contain_text("v4 of default is in force")
        assert [a["version"] for a in agent.adapters() if a["live"]] == ["v4"]


def test_the_audit_log_is_filtered_and_checked(agent: Agent, chromium: Browser, tmp_path: Path) -> None:
    used(agent, tmp_path)
    agent.erase("other.md")
    with page_of(agent) as url, visiting(chromium, url, "Learning") as page:
        records = page.locator("#u-records li")
        expect(records).to_have_count(5)
        expect(records.first).to_contain_text("owner erased a document of default")
        page.get_by_label("What", exact=True).click()
        page.get_by_role("option", name="What left").click()
        expect(records).to_have_count(2)
        expect(records.first).to_contain_text("EMAIL")
        page.get_by_label("From day (UTC)").fill("next week")
        page.get_by_label("From day (UTC)").press("Enter")
        expect(page.locator("#u-records [role=alert]")).to_contain_text("is no day")
        page.get_by_role("button", name="Check the log").click()
        expect(page.locator("#u-verified")).to_contain_text("5 genuine records")


def test_others_see_their_own_questions_alone(agent: Agent, chromium: Browser, tmp_path: Path) -> None:
    used(agent, tmp_path)
    with page_of(agent, "ann") as url, visiting(chromium, url, "Learning", 390) as page:
        expect(page.locator("#u-history")).to_contain_text("Your questions: 1, of which 100% went to an expert")
        expect(page.locator("#u-done")).to_contain_text("for the owner to see")
        expect(page.locator("#u-audit")).to_be_hidden()
        expect(page.get_by_role("button", name="Derive the threshold anew")).to_be_hidden()
        assert overflows(page) <= 0
