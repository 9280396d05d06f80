"""The example store behaves the same on SQLite and on a real Postgres server, and on Postgres it shows no password."""

from __future__ import annotations

import json
import sqlite3
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from postgres_parts import OWNER, PASSWORD, command, running_postgres
from sqlalchemy import URL, insert
from typer.testing import CliRunner

from understudy.agents import Agent
from understudy.agents.examples import ExampleDatabase, examples, next_number, open_examples
from understudy.apps.cli import app
from understudy.core.errors import MissingExtraError, SettingsError, UserError, WorkspaceError
from understudy.core.postgres import open_postgres, postgres_errors, postgres_url, shown
from understudy.core.settings import (
    CollectionSettings,
    DeferralSettings,
    ExamplesSettings,
    ExpertSettings,
    RefineSettings,
    Settings,
)
from understudy.core.sqlite import open_sqlite, workspace_errors
from understudy.core.types import Evidence, Example, ExpertAnswer, Scope
from understudy.core.workspace import Workspace

Open = Callable[[str], ExampleDatabase]
"""Opens the store of a workspace, as another process would."""


def example(question: str = "Q", collection: str = "default", label: str | None = "staff") -> Example:
    return Example(
        question=question, scope=Scope(collection=collection), label=label, transcript=(), evidence=Evidence(),
        draft=None, expert=ExpertAnswer(text="A", expert="gpt"), small_model="starter:1", principal="owner",
        signals={"min": -0.5},
    )  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    with running_postgres() as url:
        yield url


@pytest.fixture
def postgres(server: URL) -> Iterator[URL]:
    """An empty database."""
    name = f"kept_{uuid.uuid4().hex}"
    command(server, f"CREATE DATABASE {name}")
    yield server.set(database=name)
    command(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[ExampleDatabase] = []

    def on_sqlite(workspace: str) -> ExampleDatabase:
        path = tmp_path / "records.sqlite"
        opened.append(ExampleDatabase(open_sqlite(path), str(path), workspace, lambda: workspace_errors(path)))
        return opened[-1]

    def on_postgres(workspace: str) -> ExampleDatabase:
        url = request.getfixturevalue("postgres")
        opened.append(ExampleDatabase(open_postgres(url), shown(url), workspace, lambda: postgres_errors(url)))
        return opened[-1]

    yield on_sqlite if request.param == "sqlite" else on_postgres
    for database in opened:
        database.close()


def test_examples_are_kept_in_order(store: Open) -> None:
    first = store("a")
    ids = [first.add(example(q)) for q in ("first", "second")]
    assert len(set(ids)) == 2
    again = store("a")
    assert again.examples() == dict(zip(ids, [example("first"), example("second")], strict=True))
    assert list(again.examples()) == ids
    assert again.count() == 2


def words(database: ExampleDatabase, collection: str) -> list[str]:
    """The questions that an expert has answered."""
    return [question for question, _ in database.questions(collection)]


@given(question=st.text(st.characters(exclude_categories=["Cs"])), label=st.none() | st.sampled_from(["é'\"", "%s :x"]))
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_come_back(store: Open, question: str, label: str | None) -> None:
    database = store("a")
    taught = example(question, label=label)
    name = database.add(taught)
    assert database.examples()[name] == taught
    assert words(database, "default")[-1] == question
    database.close()


def test_what_came_later(store: Open) -> None:
    database = store("a")
    for question, collection in [("1", "x"), ("2", "y"), ("3", "x"), ("4", "x")]:
        database.add(example(question, collection))
    numbered = database.later("x", 0)
    assert [e.question for _, e in numbered] == ["1", "3", "4"]
    assert database.later("x", numbered[0][0]) == numbered[1:]
    assert database.later("x", numbered[-1][0]) == database.later("z", 0) == []
    assert words(database, "x") == ["1", "3", "4"]


def test_a_workspace_reads_no_other_ones_examples(store: Open) -> None:
    mine, yours = store("mine"), store("yours")
    mine.add(example("mine"))
    for question in ("yours", "yours too"):
        yours.add(example(question))
    assert (mine.count(), yours.count()) == (1, 2)
    assert [e.question for e in mine.examples().values()] == words(mine, "default") == ["mine"]
    assert [e.question for _, e in yours.later("default", 0)] == ["yours", "yours too"]
    assert store("new").count() == 0


def test_writers_that_share_a_workspace_lose_nothing(store: Open) -> None:
    databases = [store("a") for _ in range(4)]

    def write(at: int) -> list[str]:
        return [databases[at].add(example(f"{at} {n}")) for n in range(10)]

    seen: list[tuple[int, Example]] = []
    reader = store("a")
    with ThreadPoolExecutor(4) as threads:
        writing = [threads.submit(write, at) for at in range(4)]
        while not all(done.done() for done in writing):
            seen += reader.later("default", seen[-1][0] if seen else 0)
        ids = {name for done in writing for name in done.result()}
    seen += reader.later("default", seen[-1][0] if seen else 0)
    assert len(ids) == 40
    assert [number for number, _ in seen] == list(range(1, 41))
    assert {e.question for _, e in seen} == {f"{at} {n}" for at in range(4) for n in range(10)}


def test_who_has_seen_a_number_has_seen_all_before_it(store: Open) -> None:
    slow, quick, reader = store("a"), store("a"), store("a")
    with ThreadPoolExecutor(1) as threads:
        with slow.engine.begin() as db:
            number = next_number(db, "a")
            waiting = threads.submit(quick.add, example("second"))
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
            assert reader.later("default", 0) == []
            body = example("first").model_dump_json()
            db.execute(insert(examples).values(id="e", collection="default", workspace="a", number=number, body=body))
        waiting.result()
    assert words(reader, "default") == ["first", "second"]


def test_an_example_that_cannot_be_read(store: Open) -> None:
    database = store("a")
    with database.engine.begin() as db:
        db.execute(insert(examples).values(id="e", workspace="a", number=1, collection="default", body="{}"))
    with pytest.raises(WorkspaceError) as caught:
        database.examples()
    assert database.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_before_examples_had_numbers_keeps_all_of_them(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    old = [example(q, label=None) for q in ("first", "second", "third")]
    with closing(sqlite3.connect(workspace.records)) as db:
        db.execute(
            "CREATE TABLE examples (id VARCHAR NOT NULL, role VARCHAR, collection VARCHAR, expert VARCHAR, body TEXT, "
            "created VARCHAR, PRIMARY KEY (id))"
        )
        db.execute("CREATE INDEX ix_examples_role ON examples (role)")
        for name, kept in zip(("z", "x", "y"), old, strict=True):
            body = kept.model_dump_json(exclude={"label"})
            db.execute("INSERT INTO examples VALUES (?, 'train', 'default', 'gpt', ?, '2026')", (name, body))
        db.commit()
    for _ in range(2):  # the second time there is nothing left to do
        database = open_examples(ExamplesSettings(), workspace)
        assert database.examples() == dict(zip(("z", "x", "y"), old, strict=True))
        assert [number for number, _ in database.later("default", 0)] == [1, 2, 3]
        database.close()
    with closing(sqlite3.connect(workspace.records)) as db:  # an earlier version of the program came back for a while
        values = ("w", example("fourth").model_dump_json(exclude={"label"}))
        db.execute("INSERT INTO examples (id, collection, body) VALUES (?, 'default', ?)", values)
        db.commit()
    database = open_examples(ExamplesSettings(), workspace)
    database.add(example("fifth"))
    assert words(database, "default") == ["first", "second", "third", "fourth", "fifth"]
    database.close()


def test_a_corrupt_file_is_named(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    workspace.records.write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(WorkspaceError, match=r"records\.sqlite is corrupt"):
        open_examples(ExamplesSettings(), workspace)


def at(url: URL, **more: Any) -> ExamplesSettings:
    return ExamplesSettings(url=url.render_as_string(hide_password=False), **more)


def test_the_settings_name_the_database(postgres: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Workspace.open(tmp_path / "one"), Workspace.open(tmp_path / "other")
    database = open_examples(at(postgres), one)
    database.add(example("kept"))
    database.close()
    monkeypatch.setenv("KEPT_AT", postgres.set(drivername="postgresql").render_as_string(hide_password=False))
    by_variable = ExamplesSettings(url_env="KEPT_AT")
    found = []
    for settings, workspace in [
        (by_variable, Workspace.open(one.root)),
        (by_variable, other),
        (at(postgres, workspace=one.identity()), other),
        (at(postgres, workspace="legal"), one),
    ]:
        database = open_examples(settings, workspace)
        found.append(database.count())
        database.close()
    assert found == [1, 0, 1, 0]
    assert not one.records.exists(), "nothing of it lies in the workspace"


SECRET = "pass-w0rd"
HERE = f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:1/kept"


def failure(settings: ExamplesSettings, folder: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        open_examples(settings, Workspace.open(folder))
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    error = failure(ExamplesSettings(url=f"{HERE}?sslpassword={SECRET}&connect_timeout=3"), tmp_path)
    assert isinstance(error, WorkspaceError)
    assert str(error).startswith("the database postgresql+psycopg://ann:***@127.0.0.1:1/kept can't be reached (")
    assert "see that the server runs" in str(error)


def test_a_wrong_password_and_a_user_who_may_not(postgres: URL, tmp_path: Path) -> None:
    error = failure(at(postgres.set(password=SECRET)), tmp_path)
    assert f'password authentication failed for user "{OWNER}"' in str(error)
    assert str(postgres.database) in str(error)
    assert str(postgres.query["host"]) in str(error)
    guest = f"guest_{uuid.uuid4().hex}"
    command(postgres, f"CREATE ROLE {guest} LOGIN PASSWORD '{SECRET}'")
    refused = failure(at(postgres.set(username=guest, password=SECRET)), tmp_path)
    assert "can't be used (permission denied for schema public" in str(refused)


def test_a_server_that_went_away(postgres: URL, server: URL, tmp_path: Path) -> None:
    database = open_examples(at(postgres), Workspace.open(tmp_path))
    command(server, f"DROP DATABASE {postgres.database} WITH (FORCE)")
    with pytest.raises(WorkspaceError, match="can't be reached"):
        database.add(example())
    database.close()


def test_a_missing_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    error = failure(ExamplesSettings(url=HERE), tmp_path)
    assert isinstance(error, MissingExtraError)
    assert "pip install 'understudy[postgres]'" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        SECRET,
        f"mysql://ann:{SECRET}@host/kept",
        f"postgresql+asyncpg://ann:{SECRET}@host/kept",
        f"postgresql+psycopg://ann:{SECRET}@host",
        f"postgresql+psycopg://ann:p@{SECRET}@host/kept",
        f"postgresql+psycopg://ann:x@host:{SECRET}/kept",
    ],
)
def test_a_url_that_is_none(url: str, tmp_path: Path) -> None:
    error = failure(ExamplesSettings(url=url), tmp_path)
    assert isinstance(error, SettingsError)
    assert str(error).startswith("examples.url must be postgresql+psycopg://")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": HERE, "url_env": "KEPT_AT"}, "exclude each other"),
        ({"url_env": "KEPT_AT"}, "environment variable KEPT_AT is not set"),
        ({"workspace": "legal"}, "examples.workspace needs examples.url"),
    ],
)
def test_settings_that_do_not_fit_together(settings: dict[str, str], words: str, tmp_path: Path) -> None:
    assert words in str(failure(ExamplesSettings.model_validate(settings), tmp_path))


@pytest.mark.parametrize("wrong", [{"examples": HERE}, {"examples": {"url": [HERE]}}, {"examples": {"ulr": HERE}}])
def test_wrong_settings_do_not_repeat_the_password(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.parse(wrong)
    assert SECRET not in f"{caught.value} {caught.value.__cause__}"


def test_settings_show_no_password() -> None:
    settings = Settings.parse({"examples": {"url": HERE}})
    assert SECRET not in f"{settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert SECRET not in shown(postgres_url(f"{HERE}?password={SECRET}", "here"))


def test_the_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    (tmp_path / "understudy.toml").write_text(f'[examples]\nurl = "{HERE}"\n')
    done = CliRunner().invoke(app, ["--workspace", str(tmp_path), "status"])
    assert done.exit_code != 0
    assert SECRET not in f"{done.output} {done.exception}"
    assert "can't be reached" in f"{done.output} {done.exception}"


QUESTIONS = ("When does the night train leave?", "From which platform does the night train leave?")


def settings_of(folder: Path, label: str, kept: ExamplesSettings) -> Settings:
    """A collection that has an access label, and an expert who knows all about trains."""
    said = [{"question": q, "text": "22:40", "citations": [{"document": "t.md", "quote": "22:40"}]} for q in QUESTIONS]
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    return Settings(
        deferral=DeferralSettings(min_confidence=1.0),
        experts=(ExpertSettings(name="replay", model=f"recorded:{folder / 'answers.jsonl'}"),),
        collections={"trains": CollectionSettings(domain="travel", label=label)},
        examples=kept,
        refine=RefineSettings(least_examples=10),
    )


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
def test_what_was_taught_under_an_access_label_stays_under_it(
    where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kept = ExamplesSettings() if where == "sqlite" else at(request.getfixturevalue("postgres"))
    (tmp_path / "t.md").write_text("# Trains\n\nThe night train leaves at 22:40 from platform seven.\n")
    for label, question in zip(("staff", "everyone"), QUESTIONS, strict=True):
        with Agent.open(tmp_path / "w", settings=settings_of(tmp_path, label, kept)) as agent:
            agent.ingest([tmp_path / "t.md"], collection="trains")
            assert agent.ask(question, collection="trains").route == "expert"
            agent.example_store.add(example(f"Before labels, {label}", "trains", label=None))
            shown = {(row["question"], row["label"]) for row in agent.examples()}
            staff, everyone = (
                [e.question for e in agent.learning.refinery.examples.collected("travel", place).values()]
                for place in ("staff", "everyone")
            )
            status = agent.status()
            refined = [(found["domain"], found["label"]) for found in agent.refine("travel")]
    unlabelled = ["Before labels, staff", "Before labels, everyone"]
    assert staff == [QUESTIONS[0]]
    assert everyone == [unlabelled[0], QUESTIONS[1], unlabelled[1]], "these go by the collection's present label"
    assert shown == {(q, "staff") for q in staff} | {(q, "everyone") for q in everyone}
    assert sorted(refined) == [("travel", "everyone"), ("travel", "staff")]
    assert (status["examples"], status["cached_answers"]) == (4, 2)
    assert bool(status["example_store"]["workspace"]) == (where == "postgres")
    assert "***" in status["example_store"]["database"] or where == "sqlite"
    assert PASSWORD not in json.dumps(status)


def test_local_answers_go_on_while_the_server_is_away(postgres: URL, server: URL, tmp_path: Path) -> None:
    (tmp_path / "t.md").write_text("# Trains\n\nThe night train leaves at 22:40 from platform seven.\n")
    with Agent.open(tmp_path / "w", settings=settings_of(tmp_path, "staff", at(postgres))) as agent:
        agent.ingest([tmp_path / "t.md"], collection="trains")
        assert agent.ask(QUESTIONS[0], collection="trains").route == "expert"
        command(server, f"DROP DATABASE {postgres.database} WITH (FORCE)")
        answer = agent.ask(QUESTIONS[1], collection="trains")
        again = agent.ask(QUESTIONS[0], collection="trains")
    assert answer.route in ("local", "declined")
    assert "can't be reached" in answer.reason
    assert again.route == "cache"
