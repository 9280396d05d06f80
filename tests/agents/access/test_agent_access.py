"""The whole agent with principals: what one may not read is not there, in every way there is to ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from understudy.agents import Agent
from understudy.apps.cli import app
from understudy.core.errors import AccessError, NoDocumentsError, ScopeError, UserError
from understudy.core.settings import Settings

ASKED = "When does the night train leave?"


def settings(folder: Path, trains: str = "rail", cats: str = "pets") -> Settings:
    """Two collections with these labels, an expert who knows of trains, and somebody for each label."""
    said = {"question": ASKED, "text": "22:40", "citations": [{"document": "trains.md", "quote": "leaves at 22:40"}]}
    (folder / "answers.jsonl").write_text(json.dumps(said))
    tables: dict[str, Any] = {
        "deferral": {"min_confidence": 1.0},
        "experts": [{"name": "replay", "model": f"recorded:{folder / 'answers.jsonl'}"}],
        "collections": {"trains": {"label": trains}, "cats": {"label": cats}},
        "principals": {"ann": {"labels": ["rail"]}, "bob": {"labels": ["pets"]}, "eve": {}},
    }
    return Settings.parse(tables)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("access")
    (made / "trains.md").write_text("# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n")
    (made / "cats.md").write_text("# Cats\n\nThe cat Minka sleeps in the attic.\n")
    with Agent.open(made / "w", settings=settings(made)) as agent:
        agent.ingest([made / "trains.md"], collection="trains")
        agent.ingest([made / "cats.md"], collection="cats")
    return made


@pytest.fixture
def agent(folder: Path) -> Iterator[Agent]:
    with Agent.open(folder / "w", settings=settings(folder)) as opened:
        yield opened


def refused(agent: Agent, question: str = ASKED, **how: Any) -> str:
    """What somebody is told who gets no answer."""
    with pytest.raises(UserError) as caught:
        agent.ask(question, **how)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_a_collection_that_one_may_not_read_is_not_there(agent: Agent) -> None:
    closed = refused(agent, collection="trains", principal="bob")
    absent = refused(agent, collection="planes", principal="bob")
    assert closed.replace("trains", "planes") == absent
    assert "cats" in closed, "what one may read is named"
    assert "cats" not in refused(agent, collection="planes", principal="eve")
    assert refused(agent, collection="trains", document="trains.md", principal="bob") == closed


def test_what_one_may_read_is_answered_remembered_and_listed(agent: Agent) -> None:
    first = agent.ask(ASKED, collection="trains", principal="ann")
    again = agent.ask(ASKED, collection="trains", principal="ann")
    assert (first.route, first.text, again.route) == ("expert", "22:40", "cache")
    seen = {name: agent.status(principal=name) for name in ("ann", "bob", "owner")}
    assert {n: sorted(s["collections"]) for n, s in seen.items()} == {
        "ann": ["trains"], "bob": ["cats"], "owner": ["cats", "trains"]
    }  # fmt: skip
    assert [seen[n]["audit"] is None for n in ("ann", "bob", "owner")] == [True, True, False]
    assert (seen["bob"]["cached_answers"], seen["bob"]["examples"]) == (0, 0)
    assert seen["ann"]["cached_answers"] == 1
    assert seen["ann"]["examples"] >= 1
    assert agent.examples(principal="bob") == []
    assert {row["question"] for row in agent.examples(principal="ann")} == {ASKED}
    assert [d["id"] for d in agent.documents(principal="bob")] == ["cats.md"]
    with pytest.raises(NoDocumentsError, match="others do: cats"):
        agent.documents("trains", principal="bob")


def test_a_thread_is_its_principals_alone(agent: Agent) -> None:
    thread = agent.ask(ASKED, collection="trains", principal="ann").thread
    assert agent.ask("From which platform?", collection="trains", thread=thread, principal="ann").thread == thread
    others = refused(agent, "And?", collection="cats", thread=thread, principal="bob")
    assert others == refused(agent, "And?", collection="trains", thread=thread), "not even the owner's"
    assert others.replace(thread, "x") == refused(agent, "And?", collection="cats", thread="x", principal="bob")


def test_a_changed_label_takes_away_and_never_gives(folder: Path) -> None:
    with Agent.open(folder / "w", settings=settings(folder)) as agent:
        thread = agent.ask(ASKED, collection="trains", principal="ann").thread
        assert agent.ask(ASKED, collection="trains", principal="ann").route == "cache"
    with Agent.open(folder / "w", settings=settings(folder, trains="pets", cats="rail")) as agent:
        refused(agent, collection="trains", principal="ann")
        with pytest.raises(ScopeError, match="no thread"):
            agent.ask("And?", collection="cats", thread=thread, principal="ann")
        assert agent.examples(principal="ann") == agent.examples(principal="bob") == []
        assert agent.ask(ASKED, collection="trains", principal="bob").route == "expert", "read anew, under its label"
    tables = settings(folder, trains="pets").model_dump(exclude={"principals"})
    both = Settings.parse(tables | {"principals": {"ann": {"labels": ["rail", "pets"]}}})
    with Agent.open(folder / "w", settings=both) as agent:
        assert agent.ask(ASKED, collection="trains", principal="ann").route == "cache", "who holds both"
        assert agent.ask("And?", collection="trains", thread=thread, principal="ann").thread == thread
    narrowed = settings(folder, trains="pets").model_dump(exclude={"principals"})
    anew = Settings.parse(narrowed | {"principals": {"ann": {"labels": ["pets"]}}})
    with Agent.open(folder / "w", settings=anew) as agent:
        assert agent.ask(ASKED, collection="trains", principal="ann").route == "expert", "who holds the new one alone"


def test_a_thread_rests_on_the_remembered_answer_that_it_was_given(folder: Path) -> None:
    question = ASKED.replace("When", "At what hour")

    def labelled(trains: str, *labels: str) -> Settings:
        tables = settings(folder, trains=trains).model_dump(exclude={"principals"})
        said = json.loads((folder / "answers.jsonl").read_text()) | {"question": question}
        (folder / "answers.jsonl").write_text(json.dumps(said))
        return Settings.parse(tables | {"principals": {"ann": {"labels": list(labels)}}})

    with Agent.open(folder / "w", settings=labelled("rail", "rail")) as agent:
        assert agent.ask(question, collection="trains", principal="ann").route == "expert"
    with Agent.open(folder / "w", settings=labelled("pets", "rail", "pets")) as agent:
        given = agent.ask(question, collection="trains", principal="ann")
        assert given.route == "cache"
        permit = agent.owners.enter(agent.access.principal("ann"), given.thread, "trains")
        assert {g.label for g in permit.grounds} == {"rail", "pets"}
        anew = agent.ask("Which platform?", collection="trains", principal="ann").thread
    with Agent.open(folder / "w", settings=labelled("pets", "pets")) as agent:
        with pytest.raises(ScopeError, match="no thread"):
            agent.ask("And?", collection="trains", thread=given.thread, principal="ann")
        assert agent.ask("And?", collection="trains", thread=anew, principal="ann").thread == anew


def test_what_a_thread_rests_on_goes_with_what_it_teaches(folder: Path) -> None:
    tables = settings(folder).model_dump(exclude={"principals"})
    both = Settings.parse(tables | {"principals": {"zoe": {"labels": ["rail", "pets"]}, "ann": {"labels": ["rail"]}}})
    with Agent.open(folder / "w", settings=both) as agent:
        before = len(agent.examples(principal="ann"))
        thread = agent.ask("Where does Minka sleep?", collection="cats", principal="zoe").thread
        asked = agent.ask(ASKED, collection="trains", thread=thread, principal="zoe")
        assert asked.route == "expert"
        taught = list(agent.example_store.examples().values())[-1]
        assert {g.collection for g in taught.grounds} == {"cats", "trains"}
        assert len(agent.examples(principal="ann")) == before
        assert taught.question in [row["question"] for row in agent.examples(principal="zoe")]
        assert taught not in agent.learning.refinery.examples.collected("trains", "rail").values()
        zoe, ann = (agent.access.principal(name) for name in ("zoe", "ann"))
        shown = [agent.demonstrations.nearest("Which train?", taught.scope, by) for by in (zoe, ann)]
        assert taught not in shown[1]


def test_what_concerns_all_is_the_owners(folder: Path) -> None:
    with Agent.open(folder / "w", settings=settings(folder), principal="ann") as agent:
        agent.ingest([folder / "trains.md"], collection="trains")
        for forbidden in (
            agent.refine,
            agent.calibrate,
            lambda: agent.promote("trains", "v1"),
            lambda: agent.rollback("trains"),
            lambda: agent.ingest([folder / "trains.md"], collection="cats"),
            lambda: agent.ingest([folder / "trains.md"], collection="planes"),
            lambda: agent.ingest([folder / "trains.md"], collection="trains", sensitivity="open"),
        ):
            with pytest.raises(AccessError, match="'ann' may not"):
                forbidden()
        with pytest.raises(AccessError, match="no principal 'zed'"):
            agent.ask(ASKED, collection="trains", principal="zed")


def test_the_command_line(folder: Path) -> None:
    held = settings(folder)
    (folder / "w" / "understudy.toml").write_text(
        '[principals.ann]\nlabels = ["rail"]\n[principals.bob]\nlabels = ["pets"]\n'
        f'[collections.trains]\nlabel = "{held.collections["trains"].label}"\n[collections.cats]\nlabel = "pets"\n'
    )

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, ["--workspace", str(folder / "w"), *words])

    listed = run("--principal", "bob", "documents", "list", "--json")
    assert [d["id"] for d in json.loads(listed.stdout)["documents"]] == ["cats.md"]
    assert "trains.md" in run("documents", "list").stdout
    unknown = run("--principal", "zed", "status")
    assert isinstance(unknown.exception, AccessError)
    closed = run("--principal", "bob", "documents", "list", "--collection", "trains")
    assert isinstance(closed.exception, NoDocumentsError)
