"""A base in four bits: when there can be one, what it holds, that an adapter learns on it.

bitsandbytes quantizes on a CPU as well, so most of this runs wherever it is installed; refining uses it on GPUs alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="training adapters needs the extra `refine`")

import torch
from safetensors.torch import load_file

from understudy.core.errors import MissingExtraError, UserError
from understudy.core.types import Message
from understudy.distillation import base as bases
from understudy.distillation import decoder_trainer, nf4
from understudy.distillation.base import Base
from understudy.distillation.decoder_trainer import DecoderTrainer
from understudy.distillation.train_decoder import LoraRecipe, Row, train

STARTER = Base(Path(bases.__file__).parents[1] / "agents" / "starter.gguf")
RECIPE = LoraRecipe(rank=4, alpha=8, learning_rate=2e-2, epochs=4, batch=4, at_once=4, every=3, replay=0.0)
installed = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="NF4 needs the extra `gpu`")
on_gpu = pytest.mark.skipif(not nf4.nf4_available(), reason="needs a CUDA GPU and the extra `gpu`")


def render(messages: Sequence[Message]) -> list[int]:
    """A token a letter, as no model does: what is tested here is not how a transcript is read."""
    text = "".join(f"{m.role}: {m.content}\n" for m in messages)
    return [ord(letter) for letter in text]


def row(n: int) -> Row:
    return {
        "prompt": [{"role": "user", "content": f"When is number {n} due?"}],
        "completion": [{"role": "assistant", "content": "never"}],
    }


ROWS, HELD_OUT = [row(n) for n in range(8)], [row(n) for n in range(40, 44)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base in NF4 on the CPU, GPU or not."""
    monkeypatch.setattr(bases, "nf4_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_without_a_gpu_or_the_package_nf4_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(RECIPE, base_format="nf4")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"trains on a CUDA GPU .* torch finds none here: use float32 or bfloat16"):
        train(STARTER, ROWS, HELD_OUT, recipe, tmp_path, render=render)
    monkeypatch.setattr(nf4, "fit_gpu", lambda: True)
    monkeypatch.setattr(nf4, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"bitsandbytes is not installed; .* 'understudy\[gpu\]'"):
        train(STARTER, ROWS, HELD_OUT, recipe, tmp_path, render=render)


@pytest.mark.parametrize(
    ("gpu", "package", "chosen"),
    [(False, False, "float32"), (False, True, "float32"), (True, False, "float32"), (True, True, "nf4")],
)
def test_refining_chooses_nf4_where_it_can(
    gpu: bool, package: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nf4, "fit_gpu", lambda: gpu)
    monkeypatch.setattr(nf4, "find_spec", lambda name: object() if package else None)
    trainer = DecoderTrainer(STARTER.path, render, RECIPE)
    assert trainer.settled() == replace(RECIPE, base_format=chosen)
    assert replace(trainer, base_format="bfloat16").settled().base_format == "bfloat16"


def test_what_is_too_large_depends_on_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = STARTER.parameters
    monkeypatch.setattr(decoder_trainer, "memory_there", lambda base_format: 2 * weights)
    decoder_trainer.check(STARTER, "nf4")
    with pytest.raises(UserError, match="in bfloat16 takes 0 GiB of memory"):
        decoder_trainer.check(STARTER, "bfloat16")


@installed
def test_linear_layers_are_quantized_and_nothing_else(cpu: None) -> None:
    quantized, full = STARTER.load("nf4"), dict(STARTER.load().named_parameters())
    from bitsandbytes.functional import dequantize_4bit

    found = dict(quantized.named_parameters())
    assert found.keys() == full.keys()
    for name, parameter in found.items():
        expected = full[name]
        if "_proj." in name:
            assert parameter.nbytes == expected.numel() / 2, name
            weights = dequantize_4bit(parameter.data, parameter.quant_state).float()
            # the grid's widest gap is 0.3 of a block's largest weight, and most weights lie where it is narrower
            assert (weights - expected).abs().max() < 0.17 * expected.abs().max(), name
            assert (weights - expected).norm() < 0.12 * expected.norm(), name
        else:
            assert parameter.dtype == torch.bfloat16
            assert torch.equal(parameter, expected.to(torch.bfloat16)), name
        assert not parameter.requires_grad
    assert not any(b.is_meta for b in quantized.buffers())
    assert getattr(STARTER.config, "quantization_config", None) is None


@installed
def test_it_computes_what_its_weights_say(cpu: None) -> None:
    """As a network of the same rounded weights does that isn't quantized, but for products in bfloat16."""
    quantized, plain = STARTER.load("nf4"), STARTER.load()
    from bitsandbytes.functional import dequantize_4bit

    with torch.no_grad():
        for name, parameter in quantized.named_parameters():
            state = getattr(parameter, "quant_state", None)
            plain.get_parameter(name).copy_(parameter if state is None else dequantize_4bit(parameter.data, state))
        ids = torch.tensor([render([Message(role="user", content="When is number 7 due?")])])
        found, expected = (model(ids).logits[0].float() for model in (quantized, plain))
    assert torch.cosine_similarity(found, expected, dim=-1).min() > 0.999


def learned(out: Path) -> Any:
    """A run in NF4, with the weights of its adapter."""
    recipe = replace(RECIPE, base_format="nf4", checkpointing=True)
    result = train(STARTER, ROWS, HELD_OUT, recipe, out, render=render)
    return result, load_file(result.folder / "adapter_model.safetensors")


@installed
def test_an_adapter_learns_at_full_precision_on_it(cpu: None, tmp_path: Path) -> None:
    result, adapter = learned(tmp_path)
    assert result.after < 0.7 * result.before
    assert {tensor.dtype for tensor in adapter.values()} == {torch.float32}
    # rounded to bfloat16 somewhere on its way it would be the same again
    assert any(not torch.equal(t, t.to(torch.bfloat16).float()) for t in adapter.values())


@on_gpu
def test_an_adapter_learns_on_a_gpu(tmp_path: Path) -> None:
    result, adapter = learned(tmp_path)
    assert result.after < 0.7 * result.before
    assert 0 < result.peak_mib < 1024
    assert {tensor.dtype for tensor in adapter.values()} == {torch.float32}
