"""The refine graph: its ways through, and that a process killed in any node loses nothing and does nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import refine_run

from understudy.distillation.registry import Registry

TESTS = Path(__file__).parents[1]


def history(folder: Path) -> list[str]:
    return list(json.loads((folder / "adapters/apples/all/live.json").read_text())["history"])


def test_what_passes_the_gate_goes_live_and_is_recalibrated(tmp_path: Path) -> None:
    done = refine_run.run(tmp_path)
    assert done["promoted"]
    assert done["version"] == "v1"
    assert done["rejected"] == {"the expert refused": 1}
    assert (len(done["train"]), len(done["held_out"]), len(done["gate"])) == (5, 5, 5)
    assert history(tmp_path) == ["v1"]
    assert done["recalibrated"] == {"labels": 5}


def test_what_does_not_pass_is_kept_and_changes_nothing(tmp_path: Path) -> None:
    done = refine_run.run(tmp_path, good=False)
    assert not done["promoted"]
    assert not (tmp_path / "adapters/apples/all/live.json").exists()
    assert not (tmp_path / "recalibrated").exists()
    (card,) = Registry(tmp_path / "adapters").cards()
    assert card.gate.reason == "as told"


def test_too_few_examples_and_nothing_new_end_a_run_before_it_trains(tmp_path: Path) -> None:
    few = refine_run.run(tmp_path, least=6)
    assert few["reason"] == "1 more examples to train on are needed; there are 5"
    assert "training" not in few
    refine_run.run(tmp_path, "r2")
    again = refine_run.run(tmp_path, "r3")
    assert again["reason"] == "nothing new has been learned since the last refinement"
    assert history(tmp_path) == ["v1"]


@pytest.mark.parametrize("node", refine_run.NODES)
def test_a_run_killed_in_a_node_goes_on_there(node: str, tmp_path: Path) -> None:
    code = [sys.executable, str(TESTS / "refine_run.py"), str(tmp_path), node]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(code, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / f"killed-in-{node}").exists()
    resumed = subprocess.run(code, env=environment, capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert history(tmp_path) == ["v1"], "promoted once"
    (card,) = Registry(tmp_path / "adapters").cards()
    assert card.examples == {"train": 5}
    assert not list((tmp_path / "adapters/apples/all").glob(".v*")), "nothing half made is left"
    times = len((tmp_path / "recalibrated").read_text().splitlines())
    assert times == (2 if node == "recalibrate" else 1)
