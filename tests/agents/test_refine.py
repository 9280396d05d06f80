"""Refinement with real parts: a workspace of leases, a recorded expert, the starter, training on two cores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from example_parts import example
from typer.testing import CliRunner

from understudy.agents import Agent
from understudy.agents.cast import Cast, CollectionsCast
from understudy.agents.refining import DomainGate, canaries
from understudy.apps.cli import app
from understudy.core.errors import AdapterError, ScopeError
from understudy.core.settings import ExpertSettings, RefineSettings, Settings
from understudy.core.types import Example, Outcome
from understudy.distillation.candidate import CandidateTrainer
from understudy.distillation.gate import LEAST
from understudy.distillation.train_reader import ReaderRecipe, ReaderTrainer
from understudy.graphs.refine import RefineState

TOWNS = (
    "Arden",
    "Belmont",
    "Corley",
    "Dunmore",
    "Elstow",
    "Farley",
    "Garth",
    "Hexham",
    "Ilmer",
    "Jarrow",
    "Kelso",
    "Lorne",
)
PETS = "Pets may be kept in the flat with the landlord's written consent."
SMALL = ReaderRecipe(epochs=0.5, breadth=4, others=1, layers=1)


def lease(number: int, town: str) -> tuple[str, list[dict[str, object]]]:
    """A lease, and what an expert says about it."""
    pets = number % 2 == 0
    rent = f"The monthly rent is {700 + 10 * number} euros, payable on the first day of the month."
    notice = f"Either party may end the lease with {1 + number % 3} months' notice."
    place = f"The flat lies at {number + 1} Mill Street in {town}."
    text = "\n\n".join(
        [f"# Lease {town}", place, rent, notice, *([PETS] if pets else []), "The stairs are swept weekly."]
    )
    said: list[tuple[str, str, str | None]] = [
        ("How much is the monthly rent?", f"{700 + 10 * number} euros", rent),
        ("In which town does the flat lie?", town, place),
        ("Is the tenant allowed to keep pets?", "Yes" if pets else "No", PETS if pets else None),
        ("Is there a parking space for the tenant?", "No", None),
        ("How long is the period of notice?", f"{1 + number % 3} months", notice),
    ]
    name = f"lease-{town.lower()}.md"
    answers: list[dict[str, object]] = [
        {
            "question": question,
            "document": name,
            "text": answer,
            "citations": [{"document": name, "quote": quote}] if quote else [],
            "not_in_documents": quote is None,
        }
        for question, answer, quote in said
    ]
    return text, answers


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which an expert has answered sixty questions."""
    room = tmp_path_factory.mktemp("leases")
    documents = room / "documents"
    documents.mkdir()
    recordings = []
    for number, town in enumerate(TOWNS):
        text, answers = lease(number, town)
        (documents / f"lease-{town.lower()}.md").write_text(text)
        recordings += answers
    (room / "oracle.jsonl").write_text("".join(json.dumps(r) + "\n" for r in recordings))
    workspace = room / "workspace"
    with Agent.open(workspace, settings=settings(room)) as agent:
        agent.ingest([documents])
        for asked in recordings:
            answer = agent.ask(str(asked["question"]), document=str(asked["document"]))
            assert answer.route == "expert"
    return workspace


def settings(room: Path) -> Settings:
    expert = ExpertSettings(name="oracle", model=f"recorded:{room / 'oracle.jsonl'}", input_usd_per_mtok=1.0)
    return Settings(experts=(expert,), refine=RefineSettings(least_examples=10))


@pytest.fixture
def agent(taught: Path) -> Iterator[Agent]:
    with Agent.open(taught, settings=settings(taught.parent)) as opened:
        learning, refinery = opened.learning, opened.learning.refinery
        assert isinstance(refinery.trainer, CandidateTrainer)
        trainer = replace(refinery.trainer, reader=ReaderTrainer(opened.retriever, SMALL))
        learning.refinery = replace(
            refinery,
            trainer=trainer,
            gate=DomainGate(opened.cast, learning.rehearsed, lambda players: [], SMALL.breadth),
            keeper=replace(refinery.keeper, breadth=SMALL.breadth),
        )
        yield opened


def test_what_is_learned_goes_live_only_when_it_is_proved_or_forced_and_can_be_taken_back(agent: Agent) -> None:
    with pytest.raises(ScopeError, match="domains with examples: default"):
        agent.refine("finance")
    (found,) = agent.refine()
    assert not found["promoted"]
    assert found["version"] == "v1"
    assert "more gate examples are needed" in found["reason"]
    assert found["training"]["peak_mib"] > 0
    assert "small_model" not in found["training"], "the starter reads nothing, and has no LoRA of its own"
    assert "decoder.gguf" not in agent.adapter("default", "v1").files
    due = replace(agent.learning.refinery, settings=RefineSettings(every=10))
    assert not due.due(), "no new examples have come"
    (due.root / "refined.json").write_text('{"examples": 50}')
    assert due.due()
    assert not agent.learning.refinery.due(), "nobody asked for a schedule"
    (again,) = agent.refine()
    assert again["reason"] == "nothing new has been learned since the last refinement"
    assert [a["version"] for a in agent.adapters()] == ["v1"]

    question = ("Is there a parking space for the tenant?", "lease-arden.md")
    base = agent.cast.playing("default", "default")
    with pytest.raises(AdapterError, match="the gate turned v1"):
        agent.promote("default", "v1")
    agent.promote("default", "v1", force=True)
    worn = agent.cast.playing("default", "default")
    assert worn.card is not None
    assert worn.name.startswith(f"{base.name}+default/v1@")
    assert agent.deferral.derivation.adapter == worn.card.name
    labels = agent.deferral.rows()
    assert labels, "the examples that were kept apart were compared anew"
    assert all(row.role != "train" for row in labels)
    assert all("example_distance" not in row.signals for row in labels)
    assert agent.ask(question[0], document=question[1]).route in ("expert", "cache")

    assert agent.rollback("default") is None
    assert agent.cast.playing("default", "default") == base
    assert agent.deferral.derivation.adapter is None
    with pytest.raises(AdapterError, match="nothing to go back from"):
        agent.rollback("default")


def test_a_tampered_adapter_is_not_taken_up(agent: Agent) -> None:
    (card,) = agent.registry.cards()
    agent.registry.promote(card)
    weights = agent.registry.file(card, "reader.safetensors")
    assert weights is not None
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-4] + b"\0\0\0\0")
    try:
        with pytest.raises(AdapterError, match="was changed since it was made"):
            agent.cast.swap("default", "default")
        # A workspace with a damaged adapter opens all the same, or nobody could roll back.
        bare = Cast(agent.registry, agent.model, agent.reader, agent.retriever)
        assert bare.in_force() == card.name
        assert CollectionsCast(bare, agent.place).name("default") == f"{agent.model.name}+{card.name}"
        with pytest.raises(AdapterError, match="was changed since it was made"):
            bare.playing("default", "default")
    finally:
        weights.write_bytes(kept)
        agent.rollback("default")


def test_the_command_line_shows_what_was_learned(taught: Path) -> None:
    shown = CliRunner().invoke(app, ["--workspace", str(taught), "adapters", "list", "--json"])
    assert shown.exit_code == 0, shown.output
    (adapter,) = json.loads(shown.stdout)["adapters"]
    assert adapter["version"] == "v1"
    assert not adapter["live"]
    card = CliRunner().invoke(app, ["--workspace", str(taught), "adapters", "show", "default", "v1"])
    assert json.loads(card.stdout)["gate"]["missing"] > 0
    assert CliRunner().invoke(app, ["--workspace", str(taught), "adapters", "show", "default", "v9"]).exit_code != 0


def test_what_must_not_be_said_is_what_was_planted_and_no_true_answer_that_came_twice() -> None:
    body = "Revenue rose to $12 million in 2024."
    true = example("Revenue rose to $12 million in 2024", body, body)
    invented = example("Revenue rose to $99 million in 2024", "Revenue rose to $99 million in 2024.", body)
    assert canaries([true, invented]) == ["Revenue rose to $99 million in 2024"]


@pytest.mark.parametrize("count", [0, 1, LEAST - 1, LEAST])
def test_nothing_is_played_where_the_gate_has_too_few_examples_to_tell(count: int) -> None:
    played: list[str] = []

    class Counting:
        def playing(self, domain: str, label: str) -> str:
            return "live"

        def candidate(self, files: object, breadth: int) -> str:
            played.append("loaded")
            return "candidate"

    def rehearse(asked: Example, players: object) -> Outcome:
        played.append("gate")
        return Outcome(question=asked.question, scope=asked.scope, draft=None, small_model="m", expert=None)

    def general(players: object) -> list[tuple[float, str]]:
        played.append("general")
        return [(1.0, "right")]

    cast: Any = Counting()
    asked = [example("12 million", "12 million", "It was 12 million.", question=f"What of {n}?") for n in range(count)]
    run: RefineState = {"run": "r", "domain": "default", "label": "default", "seed": 1}
    report = DomainGate(cast, rehearse, general, 4).weigh(run, {}, asked, [])
    assert (report.promoted, report.questions, report.missing) == (False, count, LEAST - count)
    if count < LEAST:
        assert not played
        assert report.reason == f"{LEAST - count} more gate examples are needed; there are {count}"
    else:
        assert Counter(played) == {"loaded": 1, "gate": 2 * LEAST, "general": 2}
