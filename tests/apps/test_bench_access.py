"""Suite `access` in small: hypothesis changes labels, documents and adapters in any order, and nothing leaks or is lost."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from langgraph.checkpoint.memory import InMemorySaver

from understudy.agents.access.threads import Threads
from understudy.agents.access.views import PermittedCache
from understudy.agents.cache.semantic import SemanticCache
from understudy.agents.deferral.outcomes import OutcomeStore
from understudy.agents.demonstrations import Demonstrations
from understudy.agents.examples import open_examples
from understudy.agents.records import Records
from understudy.apps.bench.access_stores import KINDS, StoreChecks, Stores
from understudy.apps.bench.access_truth import Kept, Tally, Truth, planted
from understudy.core.access import Principal
from understudy.core.settings import ExamplesSettings, Settings
from understudy.core.workspace import Workspace
from understudy.distillation.registry import Registry
from understudy.retrieval.store import DocumentStore

LABELS, COLLECTIONS, PEOPLE = ("red", "blue"), ("amber", "birch"), ("ann", "bob")
WHO = st.sampled_from((*PEOPLE, "owner"))
WHERE = st.sampled_from(COLLECTIONS)
LABEL = st.sampled_from(LABELS)


def embed(texts: list[str]) -> Sequence[Sequence[float]]:
    """Everything means the same."""
    return [[1.0] + [0.0] * 383 for _ in texts]


def checks(folder: Path, held: ExitStack) -> StoreChecks:
    """Real stores in a folder, with nothing in them."""
    workspace = Workspace.open(folder)
    records = Records(workspace.records)
    examples = open_examples(ExamplesSettings(), workspace)
    stores = Stores(
        DocumentStore.of(workspace),
        SemanticCache(records, lambda text: embed([text])[0], Settings(), lambda collection: True, lambda: 1.0),
        examples,
        Demonstrations(embed, examples.later, planted, 10_000),
        OutcomeStore(workspace.outcomes, lambda collection: True, ["gpt"]),
        Registry(workspace.adapters),
        Threads(workspace.threads, InMemorySaver()),
    )
    for opened in (stores.documents, records, examples, stores.outcomes, stores.threads):
        held.callback(opened.close)
    truth = Truth({name: {"red"} for name in PEOPLE}, dict.fromkeys(COLLECTIONS, "red"))
    return StoreChecks(stores, truth, Tally(), random.Random(1), embed)


class World(RuleBasedStateMachine):
    """Two people, two labels, two collections."""

    def __init__(self) -> None:
        super().__init__()
        self.held = ExitStack()
        self.world = checks(Path(self.held.enter_context(tempfile.TemporaryDirectory())), self.held)

    def teardown(self) -> None:
        self.held.close()

    @rule(collection=WHERE, label=LABEL)
    def relabel(self, collection: str, label: str) -> None:
        self.world.truth.labels[collection] = label

    @rule(who=st.sampled_from(PEOPLE), labels=st.sets(LABEL))
    def grant(self, who: str, labels: set[str]) -> None:
        self.world.truth.holds[who] = labels

    @rule(collection=WHERE, number=st.integers(1, 2))
    def ingest(self, collection: str, number: int) -> None:
        self.world.ingest(collection, f"{collection}-{number}")

    @rule(who=WHO, collection=WHERE, again=st.booleans())
    def ask(self, who: str, collection: str, again: bool) -> None:
        if self.world.truth.reads(who, collection):
            mine = [t.name.partition("/")[2] for t in self.world.truth.of("thread") if self.world.truth.mine(who, t)]
            self.world.ask(who, collection, mine[-1] if again and mine else None)

    @rule(label=LABEL, then=st.dictionaries(WHERE, LABEL, min_size=1))
    def train(self, label: str, then: dict[str, str]) -> None:
        self.world.train(label, then)

    @invariant()
    def nobody_gets_what_they_may_not_read_nor_misses_what_they_may(self) -> None:
        for who in (*PEOPLE, "owner"):
            for kind in KINDS:
                self.world.check(kind, who)
        assert not self.world.tally.leaks
        assert not self.world.tally.lost


World.TestCase.settings = hypothesis_settings(max_examples=8, stateful_step_count=12, deadline=None)
TestWorld = World.TestCase


def test_the_reference_finds_a_store_that_leaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as held:
        world = checks(tmp_path, held)
        world.ingest("amber", "a")
        world.ask("ann", "amber", None)
        world.train("red", {"amber": "red"})
        world.truth.labels["amber"] = "blue"
        monkeypatch.setattr(Principal, "may_read", lambda self, collection: True)
        monkeypatch.setattr(Principal, "may_use", lambda self, grounds: True)
        for kind in KINDS:
            for who in (*PEOPLE, "owner"):
                for _ in range(8):
                    world.check(kind, who)
        leaking = {leak.partition(":")[0] for leak in world.tally.leaks}
        assert leaking >= {
            "documents", "collections", "passages", "cache", "near", "example", "demonstrations", "outcomes",
            "thread", "thread list", "adapter",
        }  # fmt: skip


def test_the_reference_finds_a_store_that_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as held:
        world = checks(tmp_path, held)
        world.ask("ann", "amber", None)
        monkeypatch.setattr(PermittedCache, "recall", lambda self, key: None)
        world.check("cache", "ann")
        assert world.tally.lost


def test_the_references_own_rule() -> None:
    truth = Truth({"ann": {"red"}, "bob": {"red", "blue"}}, {"amber": "blue"})
    thing = Kept("cache", "q", "ann", frozenset({("amber", "red")}))
    assert [truth.open_to(who, thing) for who in ("ann", "bob", "owner")] == [False, True, True]
    assert not truth.mine("bob", thing), "what is personal stays so"
