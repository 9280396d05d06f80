"""What the documents page says, and what becomes of uploads; the page itself is tried in a browser, under `e2e`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents import Agent
from understudy.agents.erasure.erasure import ErasureReport
from understudy.apps.chat import holdings
from understudy.apps.chat.adding import File, adding
from understudy.apps.chat.documents import named
from understudy.apps.server.uploads import check_upload
from understudy.core.errors import DocumentError, UserError
from understudy.core.settings import PrincipalSettings, Settings

TEXT = "# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n"
EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    people = {"ann": PrincipalSettings(labels=("notes",))}
    with Agent.open(tmp_path / "w", settings=Settings(principals=people)) as opened:
        yield opened


def upload(tmp_path: Path, name: str, text: str = TEXT) -> Path:
    path = tmp_path / "uploads" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def add(agent: Agent, *paths: Path, collection: str = "notes", who: str = "owner", check: object = None) -> list[File]:
    by = agent.access.principal(who)
    return list(adding(agent, paths, collection, None, by, check or (lambda path: None)))[-1]  # type: ignore[arg-type]


def test_files_are_added_updated_or_unchanged_and_uploads_do_not_stay(agent: Agent, tmp_path: Path) -> None:
    states = list(
        adding(
            agent,
            [upload(tmp_path, "a.md"), upload(tmp_path, "b.md")],
            "notes",
            "open",
            agent.principal,
            lambda path: None,
        )
    )
    assert [f.fate for f in states[0]] == ["waiting", "waiting"]
    assert [f.fate for f in states[1]] == ["reading", "waiting"]
    assert [(f.name, f.fate, f.words) for f in states[-1]] == [
        ("a.md", "added", "1 passage"),
        ("b.md", "added", "1 passage"),
    ]
    assert agent.store.listing()["notes"]["sensitivity"] == "open"
    assert not list((tmp_path / "uploads").iterdir())
    assert [f.fate for f in add(agent, upload(tmp_path, "a.md"))] == ["unchanged"]
    assert [f.fate for f in add(agent, upload(tmp_path, "a.md", TEXT + "\nAnother one leaves at 23:10.\n"))] == [
        "updated"
    ]
    assert agent.store.listing()["notes"]["sensitivity"] == "open"


def test_each_file_has_its_own_error_in_one_line_without_the_servers_folders(agent: Agent, tmp_path: Path) -> None:
    def check(path: Path) -> None:
        if path.name == "bomb.md":
            raise DocumentError(f"{path}: unpacks to more than 500 MiB")

    paths = [upload(tmp_path, name) for name in ("broken.pdf", "fine.md", "bomb.md", "tune.mp3")]
    found = add(agent, *paths, check=check)
    assert [f.fate for f in found] == ["failed", "added", "failed", "failed"]
    for file in found:
        assert str(tmp_path) not in file.words
        assert "\n" not in file.words
    assert found[2].words == "unpacks to more than 500 MiB"
    assert not list((tmp_path / "uploads").iterdir())


def test_a_name_that_a_folder_on_the_server_has_is_not_taken_over(agent: Agent, tmp_path: Path) -> None:
    kept = tmp_path / "kept.md"
    kept.write_text(TEXT)
    agent.ingest([kept], collection="notes")
    (found,) = add(agent, upload(tmp_path, "kept.md", "# Other\n\nSomething else.\n"))
    assert found.fate == "failed"
    assert "rename" in found.words
    assert str(tmp_path) not in found.words


def test_principals_add_to_what_they_may_read_alone(agent: Agent, tmp_path: Path) -> None:
    (mine,) = add(agent, upload(tmp_path, "a.md"), who="ann")
    (other,) = add(agent, upload(tmp_path, "a.md"), collection="secret", who="ann")
    assert (mine.fate, other.fate) == ("added", "failed")
    assert "'ann' may not write into collection 'secret'" in other.words
    assert "secret" not in agent.store.listing()


@pytest.mark.parametrize("typed", [None, "", "   ", "x" * 101, "a\0b", "a\u202eb"])
def test_a_collection_without_a_name_is_refused(typed: str | None) -> None:
    with pytest.raises(UserError, match="1 to 100"):
        named(typed)
    assert named("  annual \n reports ") == "annual reports"


def test_names_and_reasons_are_never_markup() -> None:
    shown = [
        holdings.progress([File(EVIL, "failed", EVIL)]),
        holdings.deletion([ErasureReport(document=EVIL, collection=EVIL, passages=2, adapters=(EVIL,))]),
        holdings.collection_panel(EVIL, "open", [{"expert": EVIL, "reach": EVIL, "allows": "all", "asks": True}]),
    ]
    for piece in shown:
        assert "<img" not in piece
        assert "&lt;img" in piece


@given(st.text())
def test_any_name_is_shown_as_it_is(name: str) -> None:
    piece = holdings.progress([File(name)])
    assert piece.count("<") == holdings.progress([File("a")]).count("<")


def test_a_deletion_says_all_that_goes() -> None:
    report = ErasureReport(
        document="a.md", collection="notes", passages=2, examples=1, threads=3, adapters=("default/default/v2 (live)",)
    )
    said = holdings.deletion([report])
    assert "2 passages, 1 example, 3 conversations" in said
    assert "default/default/v2 (live) is withdrawn" in said
    assert 'role="alert"' in said
    assert "nothing else" in holdings.deletion([ErasureReport(document="a.md", collection="notes")])


def test_a_collection_says_what_an_expert_may_get() -> None:
    rules = [
        {"expert": "gpt", "reach": "cloud", "allows": "question", "asks": True},
        {"expert": "house", "reach": "private", "allows": "all", "asks": False},
    ]
    said = holdings.collection_panel("patients", "local", rules)
    assert "the question alone, identifiers replaced, once somebody has agreed" in said
    assert "the text it needs, as it is</li>" in said
    assert "No expert is configured" in holdings.collection_panel("patients", "local", [])
    assert holdings.collection_label("a", 1, "open") == "a\n1 document · open"


@pytest.mark.parametrize(
    ("name", "why"),
    [("nul.md", "name of a device"), ("a.exe", "can't read .exe"), ("a?.md", "call it 'a.md'"), (f"{'a' * 160}.md", "longer")],
)  # fmt: skip
def test_an_uploads_name_is_looked_at_like_those_of_the_api(agent: Agent, tmp_path: Path, name: str, why: str) -> None:
    (file,) = add(agent, upload(tmp_path, name), check=check_upload)
    assert file.fate == "failed"
    assert why in file.words
    assert not list((tmp_path / "uploads").iterdir())
