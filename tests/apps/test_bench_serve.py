"""Suite `serve` measures a real server in a process of its own."""

from __future__ import annotations

import pytest

from understudy.apps.bench import serving


@pytest.mark.slow
def test_every_load_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SLOTS", (2,))
    monkeypatch.setattr(serving, "USERS", (1, 3))
    found = serving.measure_serve(6)
    assert set(found) == {"questions", "without_a_server_ms_p50", "slots_2_users_1", "slots_2_users_3"}
    assert found["without_a_server_ms_p50"] > 0
    for load in (found["slots_2_users_1"], found["slots_2_users_3"]):
        assert 0 < load["first_byte_ms_p50"] <= load["first_step_ms_p50"] <= load["whole_ms_p50"]
        assert load["whole_ms_p50"] <= load["whole_ms_p95"]
        assert load["added_ms_p50"] > 0
        assert 0 < load["kv_reused"] < 1
