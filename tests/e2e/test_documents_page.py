"""The documents page in a real browser: dropped files, errors, collections, deletion, and what others may see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from page_parts import IMAGES, browser, overflows, shown, visiting, whole
from playwright.sync_api import Browser, Page, expect
from server_parts import SAMPLES

from understudy.agents import Agent
from understudy.apps.chat import documents
from understudy.apps.server.uploads import check_upload
from understudy.core.settings import CollectionSettings, ExpertSettings, PrincipalSettings, Settings

pytestmark = pytest.mark.e2e
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    settings = Settings(
        experts=(
            ExpertSettings(name="gpt", model="openai:fake"),
            ExpertSettings(name="house", model="openai:fake", reach="private"),
        ),
        collections={"patients": CollectionSettings(sensitivity="local", egress="ask")},
        principals={"ann": PrincipalSettings(labels=("reports",))},
    )
    with Agent.open(tmp_path / "w", settings=settings) as opened:
        yield opened


def page_of(agent: Agent, principal: str | None = None):  # type: ignore[no-untyped-def]
    return (
        whole(agent)
        if principal is None
        else shown({"Documents": lambda: documents.build(agent, check_upload)}, principal)
    )


def add(page: Page, collection: str, *files: Path) -> None:
    page.locator("#u-into input").fill(collection)
    page.locator("#u-into input").press("Enter")
    page.locator("#u-drop input[type=file]").set_input_files(list(files))
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#u-progress")).to_contain_text(f"{len(files)} of {len(files)} file", timeout=120_000)
    expect(page.get_by_role("button", name="Add", exact=True)).to_be_disabled()


def test_files_go_into_a_new_collection_each_with_its_own_fate(agent: Agent, chromium: Browser, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"no pdf at all")
    with page_of(agent) as url, visiting(chromium, url, "Documents") as page:
        expect(page.locator("#u-collection")).to_contain_text("No documents yet")
        page.locator("#u-into input").fill("reports")
        page.locator("#u-into input").press("Enter")
        page.get_by_label("open: an expert may read").check()
        add(page, "reports", *sorted(SAMPLES.iterdir()), broken)
        files = page.locator("#u-progress li")
        expect(files).to_have_count(5)
        expect(page.locator("#u-progress .u-failed")).to_have_count(1)
        expect(page.locator("#u-progress .u-failed")).to_contain_text("broken.pdf")
        expect(page.locator("#u-collection")).to_contain_text("gpt (cloud): the text it needs, as it is")
        expect(page.locator("#u-documents")).to_contain_text("annual-report-2024.pdf")
        assert agent.store.listing()["reports"] == {"sensitivity": "open", "revision": 4, "documents": 4}

        notes = SAMPLES / "supplier-notes.md"
        changed = tmp_path / notes.name
        changed.write_text(notes.read_text() + "\nThe contract ends in May.\n")
        add(page, "reports", notes)
        expect(page.locator("#u-progress li")).to_contain_text("unchanged")
        add(page, "reports", changed)
        expect(page.locator("#u-progress li")).to_contain_text("replaced the earlier one")

        agent.ingest([notes], collection="patients")
        page.get_by_role("tab", name="Ask").click()
        page.get_by_role("tab", name="Documents").click()
        expect(page.locator("#u-shown")).to_contain_text("1 document · local")
        expect(page.locator("#u-shown input:checked")).to_have_value("reports")
        assert overflows(page) <= 0
        IMAGES.mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(300)
        page.screenshot(path=IMAGES / "documents.png")


def test_a_deletion_shows_what_goes_and_asks_first(agent: Agent, chromium: Browser) -> None:
    agent.ingest([SAMPLES], collection="reports")
    agent.ask("When was Halden Instruments founded?", collection="reports")
    with page_of(agent) as url, visiting(chromium, url, "Documents") as page:
        delete = page.get_by_role("button", name="Delete …")
        expect(delete).to_be_disabled()
        page.get_by_label("annual-report-2024.pdf").check()
        delete.click()
        expect(page.get_by_role("alert")).to_contain_text("Delete 1 document for good?")
        expect(page.get_by_role("alert")).to_contain_text("8 passages")
        expect(page.get_by_role("alert")).to_contain_text("1 conversation")
        page.get_by_role("button", name="Keep").click()
        expect(page.locator("#u-sure")).to_be_hidden()
        assert len(agent.documents("reports")) == 4

        delete.click()
        page.get_by_role("button", name="Delete for good").click()
        expect(page.locator("#u-said")).to_contain_text("Deleted for good: annual-report-2024.pdf")
        expect(page.locator("#u-documents")).not_to_contain_text("annual-report-2024.pdf")
        assert [d["id"] for d in agent.documents("reports")] == [
            "clinic-handbook.docx", "price-list.xlsx", "supplier-notes.md",
        ]  # fmt: skip


def test_a_principal_sees_what_they_may_read_and_what_takes_the_owner(
    agent: Agent, chromium: Browser, tmp_path: Path
) -> None:
    agent.ingest([SAMPLES / "price-list.xlsx"], collection="reports")
    agent.ingest([SAMPLES / "supplier-notes.md"], collection="patients")
    with page_of(agent, "ann") as url, visiting(chromium, url, "Documents", width=390, dark=True) as page:
        expect(page.locator("#u-shown")).to_contain_text("reports")
        expect(page.locator("#u-shown")).not_to_contain_text("patients")
        expect(page.locator("#u-said")).to_contain_text("takes the owner")
        expect(page.get_by_role("button", name="Delete …")).to_be_hidden()
        add(page, "patients", SAMPLES / "clinic-handbook.docx")
        expect(page.locator("#u-progress .u-failed")).to_contain_text("'ann' may not write into collection 'patients'")
        expect(page.locator("#u-sensitivity")).to_be_hidden()
        assert overflows(page) <= 0
    assert len(agent.documents("patients")) == 1


def test_names_are_shown_as_they_are(agent: Agent, chromium: Browser, tmp_path: Path) -> None:
    (tmp_path / f"{EVIL}.md").write_text("# A\n\nText of some length, about trains.\n")
    agent.ingest([tmp_path / f"{EVIL}.md"], collection=f"{EVIL} ${{1+1}} {{{{this}}}}")
    with page_of(agent) as url, visiting(chromium, url, "Documents") as page:
        expect(page.locator("#u-collection h3")).to_contain_text(f"{EVIL} ${{1+1}} {{{{this}}}}")
        expect(page.locator("#u-documents")).to_contain_text(f"{EVIL}.md")
        page.get_by_label(f"{EVIL}.md").check()
        page.get_by_role("button", name="Delete …").click()
        expect(page.get_by_role("alert")).to_contain_text(f"{EVIL}.md")
        assert page.locator("img[src=x]").count() == 0
