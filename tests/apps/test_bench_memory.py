"""Suite `memory`: how a process's figures become a row."""

from __future__ import annotations

import pytest

from understudy.apps.bench import memory
from understudy.core.errors import UnderstudyError

MIB = 2**20
FULL, LORA = memory.WAYS[0], memory.WAYS[-1]


def test_bytes_a_parameter_leave_the_libraries_out() -> None:
    found = {
        "parameters": 64 * MIB, "learned": 64 * MIB, "peak_mib": 1500.0, "libraries_mib": 476.0, "tokens": 500,
        "cpu_seconds": 20.0, "seconds": 10.0,
    }  # fmt: skip
    row = memory.row_of(FULL, found)
    assert (row["bytes_per_parameter"], row["expected_bytes_per_parameter"]) == (16.0, 16)
    assert (row["cpu_s_per_1000_tokens"], row["seconds_per_1000_tokens"]) == (40.0, 20.0)
    # an adapter of an eighth of the weights: two bytes of the base, and sixteen of each of its own
    assert memory.row_of(LORA, found | {"learned": 8 * MIB})["expected_bytes_per_parameter"] == 4.0


def test_a_process_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "executable", "/bin/false")
    with pytest.raises(UnderstudyError, match="'full, AdamW, float32' ended with 1: it was killed"):
        memory.trained(FULL, 1, 17)
