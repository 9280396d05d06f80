"""Refinement of a small model that reads: its own LoRA is trained, judged, worn, taken back, or left out with the reason."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

pytest.importorskip("trl", reason="training adapters needs the extra `refine`")

import torch
from tiny_model import RECIPE, tiny_model, tiny_settings

from understudy.agents import Agent
from understudy.agents.adapters import PROBE
from understudy.agents.refining import DomainGate
from understudy.agents.small_model import SmallModel
from understudy.agents.training import trainer_of
from understudy.core.errors import AdapterError
from understudy.core.settings import ExpertSettings, RefineSettings, Settings
from understudy.core.steps import Taken, ToolStep
from understudy.core.types import Evidence, Message
from understudy.core.usage import SmallTokens
from understudy.distillation.candidate import CandidateTrainer
from understudy.distillation.registry import file_hash
from understudy.distillation.train_reader import ReaderRecipe, ReaderTrainer

CITIES = ["Arden", "Belmont", "Corley", "Dunmore", "Elstow", "Farley", "Garth", "Hexham", "Ilmer", "Jarrow"]
SMALL = ReaderRecipe(epochs=0.2, breadth=2, others=1, layers=1)
Opened = Callable[[], AbstractContextManager[Agent]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, and a workspace in which an expert has answered thirty questions."""
    room = tmp_path_factory.mktemp("trains")
    tiny_model(room / "tiny.gguf")
    (room / "documents").mkdir()
    recordings = []
    for number, city in enumerate(CITIES):
        facts = {
            "From which platform does the train leave?": (f"platform {number}", f"It leaves from platform {number}."),
            "When does the train leave?": (f"{number + 6}:40", f"The train to {city} leaves at {number + 6}:40."),
            "How much is a ticket?": (f"{number + 20} euros", f"A ticket is {number + 20} euros."),
        }
        name = f"{city.lower()}.md"
        (room / "documents" / name).write_text(f"# {city}\n\n" + "\n\n".join(quote for _, quote in facts.values()))
        recordings += [
            {"question": asked, "document": name, "text": text, "citations": [{"document": name, "quote": quote}]}
            for asked, (text, quote) in facts.items()
        ]
    (room / "oracle.jsonl").write_text("".join(json.dumps(r) + "\n" for r in recordings))
    with pytest.MonkeyPatch.context() as patch, Agent.open(room / "workspace", settings=settings(room)) as agent:
        patch.setattr(SmallModel, "next_step", searching_first(SmallModel.next_step))
        numbers = count()  # which examples are kept apart goes by their ids
        patch.setattr("understudy.agents.examples.uuid", SimpleNamespace(uuid4=lambda: UUID(int=next(numbers))))
        agent.ingest([room / "documents"])
        for asked in recordings:
            answer = agent.ask(str(asked["question"]), document=str(asked["document"]))
            assert answer.route == "expert"
    return room


def settings(room: Path) -> Settings:
    expert = ExpertSettings(name="oracle", model=f"recorded:{room / 'oracle.jsonl'}", input_usd_per_mtok=1.0)
    return Settings(
        small_model=tiny_settings(room / "tiny.gguf"), experts=(expert,), refine=RefineSettings(least_examples=10)
    )


def searching_first(next_step: Callable[..., Taken]) -> Callable[..., Taken]:
    """A small model of random weights never searches: here the first step is given, and those after it are its own."""

    def taken(self: SmallModel, transcript: Sequence[Message], evidence: Evidence, **more: Any) -> Taken:
        if evidence.searches:
            return next_step(self, transcript, evidence, **more)
        query = transcript[-1].content.removeprefix("Question: ")
        step = ToolStep(kind="search", arguments={"query": query})
        return Taken(step, f'{{"kind":"search","query":"{query}"}}', SmallTokens(), 0.0, -1.0, -1.0, 0.0, 0.0)

    return taken


@pytest.fixture
def opened(taught: Path, tmp_path: Path) -> Opened:
    """Opens a copy of the workspace, with recipes of seconds."""
    shutil.copytree(taught / "workspace", tmp_path / "workspace")

    @contextmanager
    def open_it() -> Iterator[Agent]:
        with Agent.open(tmp_path / "workspace", settings=settings(taught)) as agent:
            refinery = agent.learning.refinery
            assert isinstance(refinery.trainer, CandidateTrainer)
            decoder = refinery.trainer.decoder
            assert decoder is not None
            agent.learning.refinery = replace(
                refinery,
                trainer=CandidateTrainer(ReaderTrainer(agent.retriever, SMALL), replace(decoder, recipe=RECIPE)),
                gate=DomainGate(agent.cast, agent.learning.rehearsed, lambda players: [], SMALL.breadth),
                keeper=replace(refinery.keeper, breadth=SMALL.breadth),
            )
            yield agent

    return open_it


def logits(planner: SmallModel) -> Any:
    """After a fixed prompt, as the planner reads it."""
    planner.engine.wear(planner.adapter)
    return planner.engine.logits_after(planner.engine.tokenize(PROBE, control=False))


def playing(agent: Agent) -> SmallModel:
    planner = agent.cast.playing("default", "default").planner
    assert isinstance(planner, SmallModel)
    return planner


def test_a_lora_of_its_own_is_made_worn_and_taken_off_again(opened: Opened) -> None:
    with opened() as agent:
        before, bare = playing(agent), logits(playing(agent))
        (found,) = agent.refine()
        assert found["version"] == "v1"
        figures = found["training"]["small_model"]
        assert figures["after"] < figures["before"]
        assert figures["rows"] > 5
        assert figures["held_out_rows"] > 0
        (card,) = agent.registry.cards()
        made = agent.registry.file(card, "decoder.gguf")
        assert made is not None
        assert card.files["decoder.gguf"] == file_hash(made)
        assert card.decoder_probe is not None
        assert card.decoder_probe.adapter == file_hash(made)
        assert playing(agent) is before, "nothing is live that nobody promoted"
        files = {name: path for name in card.files if (path := agent.registry.file(card, name))}
        candidate = agent.cast.candidate(files, SMALL.breadth).planner
        assert isinstance(candidate, SmallModel)

        agent.promote("default", "v1", force=True)
        worn = playing(agent)
        assert np.abs(logits(worn) - bare).mean() > 0.01
        assert logits(candidate) == pytest.approx(logits(worn), abs=1e-3), "the gate plays what goes live"
        assert logits(worn)[list(card.decoder_probe.ids)] == pytest.approx(card.decoder_probe.logits, abs=1e-3)
        assert logits(before) == pytest.approx(bare, abs=1e-3), "who holds the planner from before goes on with it"

    with opened() as agent:  # as another process finds it
        assert logits(playing(agent))[list(card.decoder_probe.ids)] == pytest.approx(
            card.decoder_probe.logits, abs=1e-3
        )
        agent.rollback("default")
        assert playing(agent).adapter is None
        assert logits(playing(agent)) == pytest.approx(bare, abs=1e-3)
        damaged = agent.registry.file(card, "decoder.gguf")
        assert damaged is not None
        damaged.write_bytes(damaged.read_bytes()[:-4] + b"\0\0\0\0")
        with pytest.raises(AdapterError, match="was changed since it was made"):
            agent.promote("default", "v1", force=True)
        assert playing(agent).adapter is None


def test_without_the_extra_the_reader_alone_learns_and_the_card_says_so(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "understudy.distillation.sft", raising=False)
    monkeypatch.setitem(sys.modules, "peft", None)
    with opened() as agent:
        (found,) = agent.refine()
        (card,) = agent.registry.cards()
        assert found["training"] == card.training
        assert card.training["small_model"] == {
            "left_out": "peft is not installed; install it with: pip install 'understudy[refine]'"
        }
        assert "reader.safetensors" in card.files
        assert "decoder.gguf" not in card.files
        assert card.decoder_probe is None
        agent.promote("default", "v1", force=True)
        assert playing(agent) is agent.model
        assert trainer_of(agent.retriever, agent.model, RefineSettings(small_model=False)).decoder is None
