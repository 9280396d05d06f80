"""A base read back from its GGUF, and a LoRA beside it, mean the same to torch as to llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

pytest.importorskip("peft", reason="training adapters needs the extra `refine`")

import torch
from families import LLAMA, QWEN, QWEN2, Family, llama_logits, network, sample_texts, vocabulary
from peft import LoraConfig, get_peft_model

from understudy.agents.small_model import SmallModel, starter_path
from understudy.apps.starter.export import export_gguf
from understudy.core.errors import ModelFileError, UserError
from understudy.distillation.base import Base
from understudy.distillation.lora_gguf import write_adapter

FAMILIES = [pytest.param(QWEN, id="qwen3"), pytest.param(QWEN2, id="qwen2"), pytest.param(LLAMA, id="llama")]
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Small:
    """A small network, its GGUF, and some token ids."""

    model: Any
    base: Base
    ids: list[int]


@pytest.fixture(scope="module", params=FAMILIES)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Small:
    family: Family = request.param
    words = vocabulary(family)
    model = network(family, family.small, words.tokenizer.get_vocab_size(), dtype=torch.float32, spread=0.15)
    path = tmp_path_factory.mktemp("small") / "small.gguf"
    export_gguf(model, words, path, name="small")
    return Small(model, Base(path), words.tokenizer.encode(sample_texts()[0][:150]).ids[:40])


def logits(model: Any, ids: list[int]) -> Any:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float().numpy()


def adapted(model: Any, folder: Path, **settings: Any) -> Any:
    """The network under a LoRA of noise, saved in a folder."""
    torch.manual_seed(3)
    wrapped = get_peft_model(model, LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": LINEAR} | settings))
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.05)
    wrapped.save_pretrained(folder)
    return wrapped.eval()


def test_a_base_is_what_was_exported(small: Small) -> None:
    read = small.base.load()
    for (name, weight), again in zip(small.model.named_parameters(), read.parameters(), strict=True):
        assert torch.equal(weight, again), name
    assert np.allclose(
        logits(read, small.ids), logits(small.model, small.ids), atol=1e-4
    )  # scaled frequencies included


def test_a_base_computes_what_llama_cpp_does(small: Small) -> None:
    expected = llama_logits(small.base.path, small.ids)
    # 0.00002 was measured; rotary frequencies left unscaled, as transformers reads them, are off by 0.3 and more
    assert np.abs(logits(small.base.load(), small.ids) - expected).max() < 0.0005 * expected.std()


def test_an_adapter_means_the_same_to_llama_cpp(small: Small, tmp_path: Path) -> None:
    plain = llama_logits(small.base.path, small.ids)
    expected = logits(adapted(small.base.load(), tmp_path), small.ids)
    write_adapter(tmp_path, small.base, tmp_path / "adapter.gguf", name="noise")
    found = llama_logits(small.base.path, small.ids, tmp_path / "adapter.gguf")
    effect = np.abs(expected - plain).mean()
    assert effect > 0.1 * plain.std()
    # with lora_b's rows of a Llama in transformers' order it is 0.5
    assert np.abs(found - expected).mean() < 0.001 * effect


def test_the_starter_is_a_base() -> None:
    """llama.cpp rounds activations to 8 bits beside weights of 8 bits, torch doesn't: that much is left."""
    path = starter_path()
    model = SmallModel(path)
    ids = model.render(model.open("When was Halden Instruments founded?", []))
    model.close()
    expected, found = llama_logits(path, ids), logits(Base(path).load(), ids)
    assert (found.argmax(-1) == expected.argmax(-1)).mean() > 0.9
    assert np.abs(found - expected).mean() < 0.05 * expected.std()


def test_only_plain_adapters_are_exported(small: Small, tmp_path: Path) -> None:
    adapted(small.base.load(), tmp_path, use_rslora=True)
    with pytest.raises(UserError, match="use_rslora can't be exported"):
        write_adapter(tmp_path, small.base, tmp_path / "adapter.gguf", name="noise")
    assert not list(tmp_path.glob("adapter.gguf*"))


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_text("hello")
    with pytest.raises(ModelFileError, match="no GGUF"):
        Base(tmp_path / "no.gguf").load()
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "gemma3")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ModelFileError, match="gemma3 can't be trained"):
        Base(tmp_path / "other.gguf").load()
