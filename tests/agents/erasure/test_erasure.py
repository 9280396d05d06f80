"""A document that has left traces everywhere is erased: no byte of it is left, and what rests on others stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from erasure_parts import DOCUMENT, FERRY, MASTER, PET, RENT, SECRET, TEXT, build, found_in, settings
from typer.testing import CliRunner

from understudy.agents import Agent
from understudy.apps.cli import app
from understudy.core.egress import Request
from understudy.core.errors import AdapterError, ScopeError


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the workspace, the documents, and what the expert knows."""
    made = tmp_path_factory.mktemp("erasure")
    build(made)
    return made


@pytest.fixture
def workspace(room: Path, tmp_path: Path) -> Path:
    """A workspace of one's own."""
    return Path(shutil.copytree(room / "workspace", tmp_path / "workspace"))


def test_no_byte_of_it_is_left_and_what_rests_on_others_stays(room: Path, workspace: Path) -> None:
    before = found_in(workspace)
    assert {name.split("/")[0] for name in before} >= {
        "documents.sqlite", "records.sqlite", "threads.sqlite", "index", "adapters",
        ".deferral.json.77.tmp",
    }  # fmt: skip
    with Agent.open(workspace, settings=settings(room)) as agent:
        vectors = agent.store.vectors_of("default", list(agent.store.passages("default", SECRET)))
        spent = agent.ledger.spent()
        looked = agent.erase(SECRET, dry_run=True)
        assert agent.store.document("default", SECRET) is not None
        report = agent.erase(SECRET)
        assert report == looked.model_copy(update={"done": True})
        assert (report.passages, report.cache_entries, report.examples, report.outcomes) == (2, 5, 5, 5)
        assert report.threads == 6, "two that asked of it, one that was told again, one shown it, one stopped, hers"
        assert report.adapters == ("default/default/v2 (live)", "default/default/v3")
        assert found_in(workspace) == {}, "no trace, while the workspace is open"
        with pytest.raises(ScopeError, match="no document"):
            agent.ask(RENT[0], document=SECRET)
        for asked in (FERRY, MASTER):
            answer = agent.ask(asked[0], document="harbour.md")
            assert (answer.route, answer.text) == ("cache", asked[1])
        assert agent.ledger.spent() == spent
        assert len(agent.owners.listing(agent.principal)) == 5, "two, one that was told again, and these two"
        assert agent.registry.history("default", "default") == ["v1"]
        with pytest.raises(AdapterError, match="withdrawn: it was trained on a document that was erased"):
            agent.promote("default", "v2", force=True)
        assert [a["withdrawn"] is not None for a in agent.adapters()] == [False, True, True]
    assert found_in(workspace) == {}
    for path in (p for p in workspace.rglob("*") if p.is_file()):
        data = path.read_bytes()
        assert not any(np.asarray(v, dtype=np.float32).tobytes() in data for v in vectors), path
    with Agent.open(workspace, settings=settings(room)) as agent:
        (marker,) = [r for r in agent.audit.records() if "gone" in json.dumps(r)]
        assert agent.audit.verify().ok
    assert '"threads": 6' in json.dumps(marker)
    assert SECRET not in json.dumps(marker)


def test_it_comes_back_as_new(room: Path, workspace: Path) -> None:
    with Agent.open(workspace, settings=settings(room)) as agent:
        agent.erase(str(room / "documents" / SECRET))
        with pytest.raises(ScopeError, match=r"no document 'qyzzorvel-lease\.md' in collection 'default'; nearest is"):
            agent.erase(SECRET)
        assert agent.ingest([room / "documents"]).added == 1
        document = agent.store.document("default", SECRET)
        assert document is not None
        assert document.text == TEXT
        assert [agent.ask(PET[0], document=SECRET).route for _ in range(2)] == ["expert", "cache"]
        assert agent.erase(SECRET).cache_entries == 1
    assert found_in(workspace) == {}


def test_one_that_was_pruned_is_erased_by_its_id(room: Path, workspace: Path, tmp_path: Path) -> None:
    kept = tmp_path / "documents"
    with Agent.open(workspace, settings=settings(room)) as agent:
        gone, *_ = next(h for h in agent.erasure.holdings if h.kind == "threads").found(DOCUMENT)
        for thread in (gone, "owner/stays"):
            request = Request(
                id=thread,
                question=RENT[0],
                collection="default",
                expert="oracle",
                allowance="redacted",
                sha256="0" * 64,
                system="",
                user="",
            )
            agent.egress.approvals.ask(request, "owner", thread)
        agent.egress.vaults.of("default", gone).assign([("PERSON", "Jelzibane")])
        agent.egress.vaults.of("default", "owner/stays").assign([("PERSON", "Harbour Master")])
        agent.egress.vaults.of("default", "tools").assign([("PERSON", "Oldenquarf")])
        agent.store.remove("default", SECRET)
        report = agent.erase(SECRET)
        assert (report.passages, report.examples) == (0, 5)
        assert [n.thread for n in agent.egress.approvals.noted()] == ["owner/stays"]
        assert "Harbour Master" in agent.egress.vaults.values()
    assert not kept.exists()
    assert found_in(workspace) == {}


def test_the_command_line(room: Path, workspace: Path) -> None:
    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["--workspace", str(workspace), "erase", *words])
        return done.exit_code, done.output if done.exception is None else str(done.exception)

    code, words = run("quzzorvel-lease.md")
    assert code == 1  # main() makes it 2: it is a UserError
    assert words == f"no document 'quzzorvel-lease.md' in collection 'default'; nearest is '{SECRET}'"
    code, words = run("harbour.md", "--dry-run")
    assert words.startswith("harbour.md: not erased; 1 passages, ")
    code, words = run(SECRET, "--json")
    assert code == 0
    assert json.loads(words)["adapters"] == ["default/default/v2 (live)", "default/default/v3"]
    code, words = run("garden.md")
    assert "garden.md: erased; 1 passages, 0 cache entries" in " ".join(words.split())
