"""The chat page as people use it: a real browser, server, model and index; the expert is a real HTTP server on loopback."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser_parts import NARROW, browsing, picture
from fake_openai import FakeOpenAI, serving
from playwright.sync_api import Page, expect
from server_parts import FOUNDED, SAMPLES, Running, eventually, running

from understudy.agents import Agent
from understudy.core.settings import CollectionSettings, DeferralSettings, ExpertSettings, Settings

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

UNKNOWN = "Why did Peter Amundsen leave the company in {}?"
"""An expert's answer is remembered, so each test asks another."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("chat")
    with Agent.open(room / "w") as agent:
        agent.ingest([SAMPLES])
    return room / "w"


def with_expert(url: str, egress: str) -> Settings:
    return Settings(
        deferral=DeferralSettings(min_confidence=0.5, audit_rate=0.0),
        experts=(
            ExpertSettings(
                name="gpt", model="openai:fake", base_url=url, input_usd_per_mtok=1.25, output_usd_per_mtok=10
            ),
        ),
        collections={"default": CollectionSettings.model_validate({"egress": egress})},
    )


@contextmanager
def chatting(folder: Path, settings: Settings | None = None, **how: Any) -> Iterator[tuple[Page, Running]]:
    with (
        Agent.open(folder, settings=settings) as agent,
        running(agent, chat_page=True) as server,
        browsing(server.url, **how) as page,
    ):
        expect(page.get_by_label("Question", exact=True)).to_be_visible()
        expect(page.locator("#u-log .u-welcome, #u-log .u-turn").first).to_be_visible()
        yield page, server


def ask(page: Page, question: str) -> None:
    field = page.get_by_label("Question", exact=True)
    field.fill(question)
    field.press("Enter")


def answered(page: Page, count: int = 1) -> None:
    expect(page.locator("#u-log .u-answer")).to_have_count(count)
    expect(page.locator("#u-stop")).to_be_hidden()


def test_an_answer_has_its_plan_sources_route_receipt_and_reason(folder: Path) -> None:
    with chatting(folder) as (page, _):
        picture(page, "chat-empty")
        ask(page, FOUNDED)
        answered(page)
        turn = page.locator(".u-turn")
        expect(turn.locator(".u-answer")).to_contain_text("1961")
        expect(turn.locator(".u-badges")).to_contain_text("Answered here")
        expect(turn.locator(".u-badges")).to_contain_text("sure")
        expect(turn.locator(".u-receipt summary")).to_have_text("Nothing left this machine")
        turn.get_by_text("Why didn't it ask the expert?").click()
        expect(turn.locator(".u-why p")).to_be_visible()
        plan = turn.locator(".u-plan")
        expect(plan.locator("li").first).to_be_hidden()
        plan.locator("summary").click()
        expect(plan.locator("li").first).to_contain_text("Searched for")
        turn.locator(".u-chip").first.click()
        source = page.locator(".u-source")
        expect(source).to_contain_text("page 1")
        expect(source.locator("mark")).to_contain_text("1961")
        expect(source.locator("mark")).to_be_in_viewport()
        picture(page, "chat")


def test_threads_go_on_after_a_restart_and_can_be_renamed_and_deleted(folder: Path) -> None:
    with chatting(folder) as (page, _):
        ask(page, "Who chairs the board?")
        answered(page)
        ask(page, FOUNDED)
        answered(page, 2)
    with chatting(folder) as (page, server):
        row = page.locator(".u-threads li").filter(has_text="Who chairs the board?")
        row.locator(".u-open").click()
        answered(page, 2)
        ask(page, "What is the dividend?")
        answered(page, 3)
        row.get_by_label("Rename").click()
        page.get_by_label("New title").fill("The board")
        page.get_by_label("New title").press("Enter")
        row = page.locator(".u-threads li").filter(has_text="The board")
        expect(row).to_have_count(1)
        page.once("dialog", lambda dialog: dialog.dismiss())
        row.get_by_label("Delete").click()
        expect(row).to_have_count(1)
        page.once("dialog", lambda dialog: dialog.accept())
        row.get_by_label("Delete").click()
        expect(row).to_have_count(0)
        expect(page.locator(".u-welcome")).to_be_visible()
        assert "The board" not in [t.title for t in server.served.agent.threads()]


def test_the_button_that_stops_really_stops_inference(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with chatting(folder) as (page, server):
        agent = server.served.agent
        generate, asked = agent.model.engine.generate, []

        def slowly(*given: Any, cancel: Any = None, **named: Any) -> Any:
            asked.append(cancel)
            until = time.monotonic() + 60
            while not cancel() and time.monotonic() < until:
                time.sleep(0.02)
            return generate(*given, cancel=cancel, **named)

        monkeypatch.setattr(agent.model.engine, "generate", slowly)
        ask(page, "How many people work there?")
        expect(page.locator(".u-doing")).to_be_visible()
        eventually(lambda: asked)
        page.locator("#u-stop").click()
        eventually(lambda: asked[0]())
        eventually(lambda: agent.threads()[0].status == "interrupted")
        expect(page.locator(".u-note").filter(has_text="interrupted").first).to_be_visible()
        eventually(lambda: server.served.queue.running == 0)
        monkeypatch.undo()
        ask(page, FOUNDED)
        answered(page)


def test_a_page_that_is_closed_gives_up_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Agent.open(folder) as agent, running(agent, chat_page=True) as server:
        generate, asked = agent.model.engine.generate, []

        def slowly(*given: Any, cancel: Any = None, **named: Any) -> Any:
            asked.append(cancel)
            until = time.monotonic() + 90
            while not cancel() and time.monotonic() < until:
                time.sleep(0.02)
            return generate(*given, cancel=cancel, **named)

        monkeypatch.setattr(agent.model.engine, "generate", slowly)
        with browsing(server.url) as page:
            ask(page, FOUNDED)
            eventually(lambda: asked)
        eventually(lambda: server.served.queue.running == 0, 60)
        assert asked[0]()


@contextmanager
def approving(folder: Path, year: int) -> Iterator[tuple[Page, FakeOpenAI]]:
    with serving("ok") as expert, chatting(folder, with_expert(expert.url, "ask")) as (page, _):
        ask(page, UNKNOWN.format(year))
        expect(page.locator(".u-card")).to_be_visible()
        yield page, expert


def test_what_would_leave_is_shown_and_sent_only_when_somebody_says_so(folder: Path) -> None:
    with approving(folder, 2019) as (page, expert):
        card = page.locator(".u-card")
        expect(card).to_contain_text("To expert gpt")
        expect(card.locator("mark").first).to_contain_text("⟦")
        shown = card.locator("pre").first.inner_text()
        assert "Amundsen" not in shown
        assert expert.requests == []
        page.locator("#u-waiting").first.scroll_into_view_if_needed()
        picture(page, "approval")
        page.locator("#u-send").click()
        expect(page.locator(".u-badges")).to_contain_text("Expert")
        (request,) = expert.requests
        assert " ".join(request["messages"][-1]["content"].split()) == " ".join(shown.split())
        expect(page.locator(".u-receipt summary").last).to_contain_text("left this machine for gpt")
        expect(card).to_be_hidden()


def test_staying_local_sends_nothing(folder: Path) -> None:
    with approving(folder, 2020) as (page, expert):
        page.locator("#u-refuse").click()
        expect(page.locator(".u-card")).to_be_hidden()
        expect(page.locator(".u-receipt summary").last).to_contain_text("Nothing left this machine")
        assert expert.requests == []


def test_an_edited_message_is_what_leaves(folder: Path) -> None:
    with approving(folder, 2021) as (page, expert):
        page.get_by_text("Edit it first").click()
        field = page.get_by_label("The message as it will be sent")
        field.fill("Question: why do chairs of boards leave?")
        page.locator("#u-send").click()
        eventually(lambda: expert.requests)
        (request,) = expert.requests
        expect(page.locator(".u-card")).to_be_hidden()
        assert request["messages"][-1]["content"] == "Question: why do chairs of boards leave?"


def test_thumbs_and_a_correction_are_kept_and_learned_from(folder: Path) -> None:
    with chatting(folder) as (page, server):
        ask(page, "Who was Peter Amundsen's successor?")
        answered(page)
        page.get_by_label("Right", exact=True).click()
        expect(page.get_by_label("Right", exact=True)).to_have_attribute("aria-pressed", "true")
        page.get_by_label("Right", exact=True).click()
        expect(page.get_by_label("Right", exact=True)).to_have_attribute("aria-pressed", "false")
        page.get_by_text("Correct it").click()
        page.get_by_label("The right answer").fill("Ingrid Solheim")
        page.get_by_text("Save the correction").click()
        expect(page.locator(".u-note").filter(has_text="Corrected: Ingrid Solheim")).to_be_visible()
        agent = server.served.agent
        assert "Ingrid Solheim" in [e.expert.text for e in agent.example_store.examples().values()]
        page.get_by_role("button", name="New question").click()
        ask(page, "Who was Peter Amundsen's successor?")
        expect(page.locator(".u-answer")).to_have_text("Ingrid Solheim")
        expect(page.locator(".u-badges")).to_contain_text("Remembered")


def test_who_has_a_key_logs_in_and_out(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "w")  # once there is a key, the workspace needs one
    with Agent.open(tmp_path / "w") as agent, running(agent, chat_page=True) as server:
        _, secret = server.served.keys.create("owner")
        with browsing(server.url) as page:
            page.get_by_label("API key").fill("us_00000000_wrong")
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("alert")).to_contain_text("This key is wrong")
            page.get_by_label("API key").fill(secret)
            page.keyboard.press("Enter")
            ask(page, FOUNDED)
            answered(page)
            page.get_by_role("button", name="Log out").click()
            expect(page.get_by_label("API key")).to_be_visible()


def test_errors_are_one_line_and_leave_the_question_to_mend(folder: Path) -> None:
    with chatting(folder) as (page, _):
        ask(page, "why " * 3000)
        error = page.locator("#u-error [role=alert]")
        expect(error).to_be_visible()
        assert "\n" not in error.inner_text()
        expect(page.get_by_label("Question", exact=True)).not_to_have_value("")
        page.get_by_label("Question", exact=True).fill("")
        page.locator("#u-go").click()
        expect(error).to_have_text("Type a question first.")


def test_a_document_that_holds_markup_is_shown_as_text(tmp_path: Path) -> None:
    (tmp_path / "evil.md").write_text(
        "# Prizes\n\nThe prize of the lottery is <img src=x onerror=alert(1)> 500 crowns.\n"
    )
    with Agent.open(tmp_path / "w") as agent:
        agent.ingest([tmp_path / "evil.md"])
    with chatting(tmp_path / "w") as (page, _):
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        ask(page, "What is the prize of the <b>lottery</b>?")
        answered(page)
        expect(page.locator(".u-question")).to_contain_text("<b>lottery</b>")
        page.locator(".u-chip").first.click()
        expect(page.locator(".u-source pre")).to_contain_text("<img src=x onerror=alert(1)>")
        assert page.locator(".u-source img, .u-turn img").count() == 0


def test_dark_narrow_and_by_keyboard_alone(folder: Path) -> None:
    with chatting(folder, size=NARROW, scheme="dark") as (page, _):
        expect(page.locator("#u-left.open")).to_have_count(0)
        page.keyboard.type(FOUNDED)  # the field has the focus from the start
        page.keyboard.press("Enter")
        answered(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
        for _ in range(60):
            page.keyboard.press("Shift+Tab")
            if page.evaluate("document.activeElement.classList.contains('u-chip')"):
                break
        page.keyboard.press("Enter")
        expect(page.locator(".u-source mark")).to_be_visible()
        picture(page, "chat-narrow-dark")


def test_documents_that_were_added_can_be_asked_at_once(tmp_path: Path) -> None:
    (tmp_path / "trains.md").write_text("# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n")
    with chatting(tmp_path / "w") as (page, _):
        expect(page.locator(".u-welcome")).to_contain_text("no documents yet")
        page.get_by_role("tab", name="Documents").click()
        page.locator("#u-into input").fill("travel")
        page.locator("#u-into input").press("Enter")
        page.locator("#u-drop input[type=file]").set_input_files(tmp_path / "trains.md")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#u-progress")).to_contain_text("1 of 1 file")
        page.get_by_role("tab", name="Ask").click()
        expect(page.locator("#u-ask").get_by_label("Collection", exact=True)).to_have_value("travel")
        ask(page, "When does the night train to Oslo leave?")
        answered(page)
        expect(page.locator(".u-answer")).to_contain_text("22:40")
        for tab in ("Documents", "Learning"):
            page.get_by_role("tab", name=tab).click()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab


def test_every_control_has_a_name(folder: Path) -> None:
    with chatting(folder) as (page, _):
        ask(page, FOUNDED)
        answered(page)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('button, input, textarea, select')].filter((e) => e.offsetParent &&
            !(e.textContent.trim() || e.getAttribute('aria-label') || e.title || e.labels?.length || e.closest('label')))
            .map((e) => e.outerHTML.slice(0, 120))"""
        )
        assert nameless == []
