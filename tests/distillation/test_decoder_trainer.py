"""The small model's part of a candidate: what it learns from, how it goes on, when it is left out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gguf
import pytest
from example_parts import example

pytest.importorskip("trl", reason="training adapters needs the extra `refine`")

import torch
from tiny_model import RECIPE, tiny_model, tiny_settings

from understudy.agents.profiles import POINTING, QUOTING, Profile
from understudy.agents.small_model import SmallModel
from understudy.core.types import Evidence, Example, Message, Observation
from understudy.distillation import decoder_trainer
from understudy.distillation.base import Base
from understudy.distillation.decoder_trainer import DECODER, DecoderTrainer, teachable
from understudy.distillation.train_decoder import Progress


def taught(number: int, profile: Profile = QUOTING, **changes: object) -> Example:
    """An example whose transcript shows a search."""
    body = f"Train {number} to Oslo leaves from platform {number % 7}. It is never late."
    made = example(f"platform {number % 7}", f"from platform {number % 7}", body, f"Where does train {number} leave?")
    seen = Observation(passages=made.evidence.passages)
    transcript = (
        *[
            m if m.role == "user" else Message(role="system", content="Quote.")
            for m in profile.open(made.question, [], "")
        ],
        Message(role="assistant", content='{"kind":"search","query":"platform"}'),
        profile.observe(made.question, Evidence(), seen),
        Message(role="assistant", content='{"kind":"consult","reason":"unsure"}'),
    )
    return made.model_copy(update={"transcript": transcript, **changes})


EXAMPLES = [taught(n) for n in range(8)]
HELD_OUT = [taught(n) for n in range(20, 22)]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallModel]:
    path = tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")
    opened = SmallModel(path, settings=tiny_settings(path))
    yield opened
    opened.close()


@pytest.fixture
def trainer(model: SmallModel) -> DecoderTrainer:
    return DecoderTrainer(model.engine.path, model.wearing(None).render, RECIPE)


def test_only_what_the_small_model_was_shown_is_taught() -> None:
    passage = EXAMPLES[0].evidence.passages[0]
    before = passage.model_copy(update={"document": "other.md"})
    after = taught(1, evidence=Evidence(passages=(before, passage)))
    gone = after.model_copy(update={"question": "What is only in a passage that the expert alone was shown?"})
    declined = taught(2, expert=EXAMPLES[0].expert.model_copy(update={"not_in_documents": True, "citations": ()}))
    rows = teachable([EXAMPLES[0], gone, declined, taught(3, POINTING)])
    assert [row["question"] for row in rows] == [EXAMPLES[0].question, declined.question]
    assert teachable([EXAMPLES[0].model_copy(update={"transcript": ()})]) == []


class Killed(BaseException):
    """Nothing in between catches it."""


def test_a_killed_run_goes_on_and_gives_a_gguf_once(
    model: SmallModel, trainer: DecoderTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(progress: Progress) -> None:
        if progress.step == 4 and progress.loss is not None:
            raise Killed

    assert trainer.export(tmp_path) == {}
    with monkeypatch.context() as doomed:
        doomed.setattr(decoder_trainer, "show", kill)
        with pytest.raises(Killed):
            trainer.train(tmp_path, EXAMPLES, HELD_OUT)
    # What this process has written itself since reads otherwise to it, and must not change what is trained on.
    step = EXAMPLES[0].transcript[2].content
    model.remember(step, [token for letter in step for token in model.engine.tokenize(letter, control=False)])
    figures = trainer.train(tmp_path, EXAMPLES, HELD_OUT)
    assert (figures["resumed"], figures["steps"]) == (2, 4)
    assert figures["after"] < figures["before"]
    assert (figures["rows"], figures["held_out_rows"], figures["left_out_rows"]) == (8, 2, 0)
    assert figures["peak_mib"] > 50

    files = trainer.export(tmp_path)
    written = files[DECODER].read_bytes()
    assert model.wearing(files[DECODER]).probe is not None
    assert trainer.train(tmp_path, [], []) == figures
    assert trainer.export(tmp_path)[DECODER].read_bytes() == written


def test_a_run_on_other_examples_or_by_another_recipe_begins_anew(trainer: DecoderTrainer) -> None:
    base, taught = Base(trainer.path), teachable(EXAMPLES)
    run = trainer.run_of(base, taught, RECIPE)
    assert run == trainer.run_of(base, taught, RECIPE)
    assert run != trainer.run_of(base, taught[1:], RECIPE)
    assert run != trainer.run_of(base, taught, replace(RECIPE, seed=1))


def retyped(path: Path, out: Path) -> Path:
    """A GGUF that says it is of another architecture."""
    data = path.read_bytes()
    assert data.count(b"general.architecture") == 1
    at = data.index(b"qwen3", data.index(b"general.architecture"))
    out.write_bytes(data[:at] + b"gemma" + data[at + 5 :])
    return out


def test_what_cannot_be_trained_is_left_out_with_the_reason(
    trainer: DecoderTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left_out(name: str, trainer: DecoderTrainer = trainer, examples: list[Example] = EXAMPLES) -> str:
        (tmp_path / name).mkdir()
        figures = trainer.train(tmp_path / name, examples, HELD_OUT)
        assert trainer.export(tmp_path / name) == {}
        assert not list((tmp_path / name).glob("*.gguf"))
        return str(figures["left_out"])

    with monkeypatch.context() as bare:
        bare.delitem(sys.modules, "understudy.distillation.sft", raising=False)
        bare.setitem(sys.modules, "peft", None)
        assert left_out("peft") == "peft is not installed; install it with: pip install 'understudy[refine]'"
    other = replace(trainer, path=retyped(trainer.path, tmp_path / "other.gguf"))
    assert "architecture gemma can't be trained" in left_out("architecture", other)
    assert "0 transcripts to learn from and 2 to stop by" in left_out("starter", examples=[taught(3, POINTING)])
    idle = replace(trainer, recipe=replace(RECIPE, learning_rate=0.0, epochs=0.1))
    assert "it got no better on the examples kept apart" in left_out("idle", idle)
    with monkeypatch.context() as unread:
        unread.setattr(gguf, "dequantize", unreadable)
        assert "weights quantized as F32 can't be trained" in left_out("quantized")
    with monkeypatch.context() as small:
        small.setattr("os.sysconf", lambda name: 1024)
        assert "use a smaller model, or a larger machine" in left_out("memory")


def unreadable(*_: object) -> None:
    raise NotImplementedError
