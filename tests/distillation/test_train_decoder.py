"""Training the small model: what it sees, what it learns, how a run ends, goes on and is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="training adapters needs the extra `refine`")

import torch
from safetensors.torch import load_file

from understudy.agents.small_model import SmallModel, starter_path
from understudy.core.errors import UserError
from understudy.core.settings import SmallModelSettings
from understudy.core.types import Evidence, Message
from understudy.distillation.base import Base
from understudy.distillation.lora_gguf import write_adapter
from understudy.distillation.train_decoder import LoraRecipe, Progress, Row, mixed, sequence, train

RECIPE = LoraRecipe(rank=4, alpha=8, learning_rate=2e-2, epochs=10, batch=4, at_once=4, every=5, replay=0.0)
TAUGHT = '{"kind":"decline","reason":"not_in_documents"}'
SEARCH = '{"kind":"search","query":"When is it due?"}'
BASE = Base(starter_path())


@pytest.fixture(scope="module")
def model() -> Iterator[SmallModel]:
    model = SmallModel(starter_path(), settings=SmallModelSettings(context=1024, threads=1))
    yield model
    model.close()


def row(n: int, taught: str = TAUGHT) -> Row:
    """A transcript of two steps, the last of which is taught."""
    shown = f"passages text {n % 90 + 10}\nanswerable 1{n % 9}\nQuestion: When is it due?"
    talk = [("user", f"Question: When is number {n} due?"), ("assistant", SEARCH), ("user", shown)]
    return {
        "prompt": [{"role": role, "content": content} for role, content in talk],
        "completion": [{"role": "assistant", "content": taught}],
    }


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on busy cores make this ten times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


ROWS = [row(n) for n in range(8)]
HELD_OUT = [row(n) for n in range(40, 44)]


def test_what_is_trained_on_is_what_llama_cpp_reads(model: SmallModel) -> None:
    """To the token, special ones included, up to the end of the step that the model wrote itself."""
    transcript = model.open("When is <|im_end|> due?", [])
    taken = model.next_step(transcript, Evidence())
    read = list(model.engine._cached)
    written = {
        "prompt": [m.model_dump() for m in transcript],
        "completion": [{"role": "assistant", "content": taken.text}],
    }
    made = sequence(written, model.render)
    assert made.ids == read
    learned = [i for i in made.labels if i != -100]
    assert model.engine.text(learned) == taken.text
    assert made.labels[: -len(learned)] == [-100] * (len(read) - len(learned))


def test_every_step_is_learned_and_nothing_else(model: SmallModel) -> None:
    made = sequence(row(1), model.render)
    assert model.engine.text([i for i in made.labels if i != -100]) == SEARCH + TAUGHT
    assert all(label in (-100, token) for token, label in zip(made.ids, made.labels, strict=True))


def test_replayed_rows_make_up_their_share() -> None:
    rows, replayed = mixed(ROWS[:6], ROWS, replace(RECIPE, replay=0.25))
    assert (len(rows), replayed) == (8, 2)
    assert mixed(ROWS, ROWS[:1], replace(RECIPE, replay=0.5))[1] == 1


@pytest.fixture(scope="module")
def trained(model: SmallModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A whole run with what it reported."""
    out, seen = tmp_path_factory.mktemp("run"), list[Progress]()
    return train(BASE, ROWS, HELD_OUT, RECIPE, out, render=model.render, on_progress=seen.append), seen


def test_a_run_learns_and_says_how(trained: Any) -> None:
    result, seen = trained
    assert result.after < 0.5 * result.before
    assert (result.steps, result.rows, result.left_out, result.resumed) == (20, 8, 0, 0)
    losses = [p.loss for p in seen if p.loss is not None]
    assert losses[-1] < losses[0]
    assert [p.step for p in seen if p.held_out is not None and p.step][:4] == [5, 10, 15, 20]
    assert result.tokens > 20 * 4 * 40
    assert all(p.tokens_per_second > 0 and p.peak_mib > 50 for p in seen if p.loss is not None)


def test_what_was_learned_is_what_llama_cpp_says(model: SmallModel, trained: Any, tmp_path: Path) -> None:
    write_adapter(trained[0].folder, BASE, tmp_path / "adapter.gguf", name="taught")
    worn = model.wearing(tmp_path / "adapter.gguf")
    asked = [Message.model_validate(m) for m in row(50)["prompt"]]
    assert model.next_step(asked, Evidence(), final=True).text != TAUGHT
    assert worn.next_step(asked, Evidence(), final=True).text == TAUGHT


class Killed(BaseException):
    """Nothing in between catches it."""


def test_a_killed_run_goes_on_to_the_same_end(model: SmallModel, trained: Any, tmp_path: Path) -> None:
    def kill(progress: Progress) -> None:
        if progress.step == 15 and progress.loss is not None:
            raise Killed

    with pytest.raises(Killed):
        train(BASE, ROWS, HELD_OUT, RECIPE, tmp_path, render=model.render, on_progress=kill)
    torn = tmp_path / "checkpoints" / "checkpoint-15"
    torn.mkdir()
    (torn / "trainer_state.json").write_text("{")
    again = train(BASE, ROWS, HELD_OUT, RECIPE, tmp_path, render=model.render)
    assert (again.resumed, again.steps) == (10, 20)
    weights, expected = (load_file(t.folder / "adapter_model.safetensors") for t in (again, trained[0]))
    for name, weight in expected.items():
        assert weights[name].allclose(weight, atol=1e-5), name
    assert train(BASE, ROWS, HELD_OUT, RECIPE, tmp_path, render=model.render) == again


def test_a_run_that_gets_worse_ends_early_with_its_best(model: SmallModel, tmp_path: Path) -> None:
    other = [row(n, '{"kind":"consult","reason":"unsure"}') for n in range(40, 44)]
    recipe = replace(RECIPE, every=2, patience=2)
    seen: list[Progress] = []
    result = train(BASE, ROWS, other, recipe, tmp_path, render=model.render, on_progress=seen.append)
    assert result.steps < 20
    looks = [p.held_out for p in seen if p.held_out is not None and p.step]
    assert result.after == pytest.approx(min(looks), abs=1e-4)
    assert looks[-2] > min(looks)  # the last look is at the best one


def test_memory_saving_options_learn_too(model: SmallModel, tmp_path: Path) -> None:
    recipe = replace(RECIPE, base_format="bfloat16", checkpointing=True, at_once=2, epochs=4)
    result = train(BASE, ROWS[:4], HELD_OUT[:2], recipe, tmp_path, render=model.render)
    assert result.after < 0.9 * result.before


def test_what_cannot_be_trained_is_refused(model: SmallModel, trained: Any, tmp_path: Path) -> None:
    out = trained[0].folder.parent
    with pytest.raises(UserError, match="holds another run"):
        train(BASE, ROWS[1:], HELD_OUT, RECIPE, out, render=model.render)
    with pytest.raises(UserError, match="0 transcripts to learn from and 0 to stop by"):
        train(BASE, ROWS, HELD_OUT, replace(RECIPE, longest=5), tmp_path, render=model.render)
    with pytest.raises(UserError, match="give a divisor"):
        train(BASE, ROWS, HELD_OUT, replace(RECIPE, at_once=3), tmp_path, render=model.render)
