"""Adapters at run time: worn, swapped under load, proved by a probe, freed."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from adapter_parts import noise_adapter
from langchain_core.tools import tool

from understudy.agents.small_model import SmallModel, starter_path
from understudy.core.errors import AdapterError
from understudy.core.settings import SmallModelSettings
from understudy.core.types import Evidence, Message

QUESTIONS = [f"What was the revenue of {who} in 20{n:02}?" for n, who in enumerate(["Halden", "the company", "it"] * 4)]
Said = tuple[str, float]


@tool
def search(query: str) -> str:
    """Find passages."""
    return query


@pytest.fixture(scope="module")
def model() -> Iterator[SmallModel]:
    model = SmallModel(starter_path(), [search], SmallModelSettings(context=1024, max_step_tokens=60, threads=1))
    yield model
    model.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


def says(model: SmallModel, question: str) -> list[Said]:
    """Two steps on a question: the words and how likely they were, which tells one adapter from another."""
    transcript = model.open(question, [])
    first = model.next_step(transcript, Evidence())
    transcript += [Message(role="assistant", content=first.text), Message(role="user", content="nothing found")]
    second = model.next_step(transcript, Evidence(), final=True)
    return [(step.text, step.mean_logprob) for step in (first, second)]


def apart(said: list[Said], other: list[Said]) -> float:
    """How unlike two answers are. How much was read at once moves a log-probability by some 0.03, an adapter by far more."""
    return sum(abs(p - q) + 10 * (a != b) for (a, p), (b, q) in zip(said, other, strict=True))


def near(said: list[Said], other: list[Said]) -> bool:
    """Whether one model said both."""
    return apart(said, other) < 0.1


def test_an_adapter_changes_the_model_and_its_name_and_comes_off_again(model: SmallModel, folder: Path) -> None:
    before = says(model, QUESTIONS[0])
    worn = model.wearing(noise_adapter(folder / "a.gguf", 1))
    assert worn.adapter is not None
    assert worn.name == f"{model.name}+noise1@{worn.adapter.digest[:12]}"
    assert not near(says(worn, QUESTIONS[0]), before)
    assert near(says(model, QUESTIONS[0]), before)  # nothing computed under the adapter is reused without it
    assert near(says(worn.wearing(None), QUESTIONS[0]), before)
    assert worn.wearing(None).name == model.name


def test_what_is_read_is_reused_under_one_adapter(model: SmallModel, folder: Path) -> None:
    worn = model.wearing(noise_adapter(folder / "b.gguf", 2))
    transcript = worn.open(QUESTIONS[0], [])
    worn.next_step(transcript, Evidence())
    assert worn.next_step(transcript, Evidence()).tokens.reused == len(worn.render(transcript)) - 1
    assert model.next_step(transcript, Evidence()).tokens.reused == 0


def test_swaps_under_load_mix_nothing(model: SmallModel, folder: Path) -> None:
    paths = [noise_adapter(folder / f"load{seed}.gguf", seed) for seed in (11, 12)]
    choices: list[Path | None] = [None, *paths]
    alone = {p: {q: says(model.wearing(p), q) for q in QUESTIONS} for p in choices}
    live: list[tuple[Path | None, SmallModel]] = [(None, model)]
    done = threading.Event()
    swaps = 0

    def ask(question: str) -> tuple[Path | None, str, list[Said]]:
        path, planner = live[0]
        return path, question, says(planner, question)

    def swap() -> None:
        nonlocal swaps
        while not done.is_set():
            path = paths[swaps % len(paths)]
            live[0] = (path, model.wearing(path))
            swaps += 1

    swapper = threading.Thread(target=swap)
    swapper.start()
    answers: list[tuple[Path | None, str, list[Said]]] = []
    with ThreadPoolExecutor(8) as threads:
        while {path for path, _, _ in answers} != set(choices) and len(answers) < 100 * len(QUESTIONS):
            answers += threads.map(ask, QUESTIONS * 4)
    done.set()
    swapper.join()
    assert swaps > 3
    assert {path for path, _, _ in answers} == set(choices)
    for path, question, said in answers:
        assert min(choices, key=lambda p: apart(said, alone[p][question])) == path


def test_a_swap_is_proved_by_its_probe(model: SmallModel, folder: Path) -> None:
    path = noise_adapter(folder / "c.gguf", 3)
    probe = model.wearing(path).probe
    assert probe is not None
    again = model.wearing(path, probe).probe
    assert again == probe
    shifted = tuple(x + 1 for x in probe.logits)
    with pytest.raises(AdapterError, match="does not do what its card says"):
        model.wearing(path, probe.model_copy(update={"logits": shifted}))
    with pytest.raises(AdapterError, match="was trained on the model 1111"):
        model.wearing(path, probe.model_copy(update={"base": "1" * 64}))
    noise_adapter(path, 4)
    with pytest.raises(AdapterError, match="is not the file that was accepted"):
        model.wearing(path, probe)


def test_a_refused_adapter_leaves_the_old_one(model: SmallModel, folder: Path) -> None:
    worn = model.wearing(noise_adapter(folder / "d.gguf", 5, base=model.digest))
    before = says(worn, QUESTIONS[1])
    refused = {
        "changes nothing": noise_adapter(folder / "idle.gguf", 6, spread=0.0),
        "can't load": noise_adapter(folder / "wide.gguf", 7, width=128),
        "was trained on the model 0000": noise_adapter(folder / "other.gguf", 8, base="0" * 64),
        "no such adapter": folder / "absent.gguf",
    }
    for reason, path in refused.items():
        with pytest.raises(AdapterError, match=reason):
            worn.wearing(path)
    assert near(says(worn, QUESTIONS[1]), before)


def test_what_nobody_wears_is_freed(model: SmallModel, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[object] = []
    monkeypatch.setattr("llama_cpp.llama_adapter_lora_free", freed.append)
    worn = model.wearing(noise_adapter(folder / "e.gguf", 9))
    says(model, QUESTIONS[0])
    gc.collect()
    known = list(freed)  # of the tests before
    assert worn.adapter is not None
    handle = worn.adapter.handle
    del worn
    gc.collect()
    model.wearing(folder / "a.gguf")
    assert freed == [*known, handle]
