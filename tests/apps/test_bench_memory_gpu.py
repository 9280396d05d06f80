"""Suite `memory-gpu`: rows, shares, and the measuring itself on a tiny shape, with the CPU in the GPU's place."""

from __future__ import annotations

from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest

from understudy.apps.bench import memory_gpu
from understudy.core.errors import UserError

MIB = 2**20
SINGLE, HALF, LORA, NF4 = memory_gpu.WAYS
TINY = memory_gpu.LLAMA_EIGHT_BILLION | {
    "vocab_size": 256, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 256,
}  # fmt: skip
MEASURED = {
    "parameters": 64 * MIB, "quantized": 48 * MIB, "learned": 8 * MIB, "peak_mib": 128.0, "weights_mib": 96.0,
    "loading_peak_mib": 100.0, "reserved_mib": 130.0, "host_peak_mib": 900.0, "tokens": 2000, "seconds": 1.0,
}  # fmt: skip


def test_bytes_a_parameter_are_the_peak_of_training() -> None:
    row = memory_gpu.row_of(NF4, MEASURED)
    # three quarters at 4.127 bits, a quarter in bfloat16, and 16 bytes of an eighth that learns
    assert (row["bytes_per_parameter"], row["expected_bytes_per_parameter"]) == (2.0, 2.89)
    assert row["seconds_per_1000_tokens"] == 0.5
    assert memory_gpu.row_of(LORA, MEASURED)["expected_bytes_per_parameter"] == 4.0
    assert memory_gpu.row_of(HALF, MEASURED)["expected_bytes_per_parameter"] == 8


def test_a_way_that_the_gpu_does_not_hold_has_no_peak() -> None:
    whole = {"parameters": 64 * MIB, "quantized": 48 * MIB, "learned": 64 * MIB}
    absent, half = memory_gpu.row_of(SINGLE, whole), memory_gpu.row_of(HALF, MEASURED | {"peak_mib": 512.0})
    assert (absent["peak_mib"], absent["bytes_per_parameter"], absent["expected_bytes_per_parameter"]) == (
        None,
        None,
        16,
    )
    shares = memory_gpu.saved([absent, half, memory_gpu.row_of(NF4, MEASURED)])
    assert shares == {
        "saved_of_bfloat16_training": 0.75,
        "saved_of_float32_training": None,
        "saved_of_16_bytes_a_parameter": 0.875,
    }


def test_the_shape_is_that_of_eight_billion() -> None:
    from transformers import AutoConfig

    found = memory_gpu.counted(AutoConfig.for_model("llama", **memory_gpu.LLAMA_EIGHT_BILLION))
    assert found == {"parameters": 8_030_261_248, "quantized": 6_979_321_856}


def test_without_a_gpu_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="torch finds none here"):
        memory_gpu.measure_gpu(None, 17)


@pytest.mark.parametrize("way", [HALF, LORA, NF4], ids=lambda way: str(way.name))
def test_every_way_trains(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trl", reason="training needs the extra `refine`")
    if way is NF4 and find_spec("bitsandbytes") is None:
        pytest.skip("NF4 needs the extra `gpu`")
    import torch

    from understudy.distillation import nf4

    monkeypatch.setattr(memory_gpu, "LLAMA_EIGHT_BILLION", TINY)
    monkeypatch.setattr(memory_gpu, "LENGTH", 64)
    monkeypatch.setattr(nf4, "nf4_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(memory_gpu, "card", lambda device: {"gpu": "none", "gpu_mib": 1024, "versions": ""})
    monkeypatch.setattr(torch, "cuda", counting(torch))
    found = memory_gpu.train_one_way(way, 2, 17)
    row = memory_gpu.row_of(way, found)
    linear = 2 * (2 * 128 * 128 + 2 * 128 * 64 + 3 * 128 * 256)
    assert (found["parameters"], found["quantized"]) == (2 * 256 * 128 + linear + 5 * 128, linear)
    factors = 2 * 16 * (2 * (128 + 128) + 2 * (128 + 64) + 3 * (128 + 256))
    assert found["learned"] == (factors if way.lora else found["parameters"])
    assert 5 < found["loss"] < 7  # log 256 is 5.5
    assert (row["peak_mib"], row["weights_mib"], row["loading_peak_mib"]) == (8.0, 4.0, 8.0)


def counting(torch: Any) -> Any:
    """`torch.cuda` without a GPU, with fixed counters."""
    fixed = {
        "max_memory_allocated": lambda: 8 * MIB,
        "max_memory_reserved": lambda: 8 * MIB,
        "memory_allocated": lambda *_: 4 * MIB,
        "reset_peak_memory_stats": lambda: None,
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
    }
    return SimpleNamespace(**{**vars(torch.cuda), **fixed})


def test_a_gpu_that_is_too_small_for_a_way_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from understudy.distillation import nf4

    monkeypatch.setattr(nf4, "nf4_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(memory_gpu, "card", lambda device: {"gpu": "small", "gpu_mib": 80 * 1024, "versions": ""})
    monkeypatch.setattr(memory_gpu, "network", lambda *_: pytest.fail("nothing may be made"))
    found = memory_gpu.train_one_way(SINGLE, 2, 17)  # 119.7 GiB
    assert memory_gpu.row_of(SINGLE, found)["peak_mib"] is None
