"""One pass from kept examples to an adapter: to each of its ends, and on from wherever it was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import refine_parts
from langgraph.checkpoint.memory import InMemorySaver
from refine_parts import CONFIG, DEATHS, START, WEIGHTS, Parts, room

from understudy.graphs.refine import build_refine_graph

LEARNED = ["collect", "curate", "split", "train", "export", "evaluate"]
PROMOTED = [*LEARNED, "promote", "recalibrate"]
REJECTED = [*LEARNED, "reject"]


def refined(parts: Parts, least: int = 10) -> tuple[dict[str, Any], list[str]]:
    """The last state of a run, and its nodes."""
    graph = build_refine_graph(InMemorySaver())
    updates = graph.stream(START, CONFIG, context=parts.deps(least), stream_mode="updates")
    nodes = [node for update in updates for node in update]
    return graph.get_state(CONFIG).values, nodes


def test_what_is_better_goes_live_and_scores_are_learned_anew(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    state, nodes = refined(parts)
    assert nodes == PROMOTED
    assert (state["version"], state["promoted"], state["reason"]) == ("v1", True, "it is better")
    assert state["rejected"] == {"a duplicate": 6}
    assert [len(state[part]) for part in ("collected", "fit", "train", "held_out", "gate")] == [60, 54, 18, 12, 12]
    assert state["recalibrated"] == {"labels": 12}
    live = parts.registry.live("leases", "staff")
    assert live is not None
    assert live.trained_on == (*state["train"], *state["held_out"])
    assert live.gate.reason == "it is better"


def test_each_part_sees_only_its_own_examples(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    state, _ = refined(parts)
    text = {n: f"answer {n[1:]}" for n in state["collected"]}
    shaped = json.loads((tmp_path / "run" / WEIGHTS).read_text())
    assert shaped == [text[n] for n in (*state["train"], *state["held_out"])]
    assert parts.gate.asked == [text[n] for n in state["gate"]]
    assert parts.gate.refused == [f"answer {n}" for n in range(0, 60, 10)]
    assert not set(shaped) & {*parts.gate.asked, *parts.gate.refused}


def test_what_is_no_better_is_kept_and_changes_nothing(tmp_path: Path) -> None:
    parts = Parts(tmp_path, promoted=False)
    state, nodes = refined(parts)
    assert nodes == REJECTED
    assert (state["version"], state["promoted"], state["reason"]) == ("v1", False, "it is no better")
    assert parts.registry.live("leases", "staff") is None
    assert not parts.registry.card("leases", "staff", "v1").gate.promoted
    assert parts.recalibrator.calls == 0


def test_too_few_examples_say_how_many_are_missing(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    state, nodes = refined(parts, least=40)
    assert nodes == LEARNED[:3]
    assert state["reason"] == "22 more examples to train on are needed; there are 18"
    assert (state["version"], state["promoted"]) == (None, False)
    assert parts.trainer.made == []
    assert parts.registry.cards() == []


@pytest.mark.parametrize("promoted", [True, False])
def test_what_was_learned_already_is_not_learned_again(tmp_path: Path, promoted: bool) -> None:
    first, _ = refined(Parts(tmp_path, promoted=promoted))
    again, nodes = refined(Parts(tmp_path, promoted=promoted))
    assert nodes == LEARNED[:3]
    assert again["reason"] == "nothing new has been learned since the last refinement"
    assert (first["version"], again["version"]) == ("v1", None)
    _, nodes = refined(Parts(tmp_path, promoted=promoted, count=63))
    assert nodes[3] == "train"


def test_an_example_that_is_erased_meanwhile_is_left_out(tmp_path: Path) -> None:
    """Between split and train the documents of the last ten are erased."""
    parts = Parts(tmp_path)

    def erase(place: str) -> None:
        if place == "split":
            parts.examples.count = 50

    parts.examples.here = erase
    state, nodes = refined(parts)
    assert nodes == PROMOTED
    assert "e51" in state["train"]
    assert "answer 51" not in json.loads((tmp_path / "run" / WEIGHTS).read_text())


@pytest.fixture(scope="module")
def deaths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of `DEATHS`: a process died there by signal 9, and another one went on."""
    root = tmp_path_factory.mktemp("deaths")
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run([sys.executable, refine_parts.__file__, str(root)], env=environ, timeout=240, check=True)
    return root


@pytest.mark.parametrize(("place", "node", "verdict"), DEATHS)
def test_a_killed_run_goes_on_at_its_node(deaths: Path, tmp_path: Path, place: str, node: str, verdict: str) -> None:
    killed = room(deaths, place, verdict)
    assert json.loads((killed / "codes.json").read_text()) == [-signal.SIGKILL, 0]
    path = PROMOTED if verdict == "promote" else REJECTED
    at = path.index(node)
    log = (killed / "log").read_text().splitlines()
    assert log[: at + 1] == ["next ", *path[:at]], "it died in that node"
    assert log[at + 1] == f"next {node}", "and was to go on there"
    assert log[at + 2 :] == path[at:], "and did, to the end"

    end = json.loads((killed / "state.json").read_text())
    undisturbed, _ = refined(Parts(tmp_path, promoted=verdict == "promote"))
    assert end["state"] == json.loads(json.dumps(undisturbed)), "as if nothing had happened"
    if at > path.index("train") or place == "after train":
        assert "train" not in end["made"], "training isn't done twice"

    assert end["recalibrated"] == (verdict == "promote")

    registry = Parts(killed).registry
    (card,) = registry.cards()
    assert {p.name for p in (killed / "adapters/leases/staff").iterdir()} <= {"live.json", "v1"}, "nothing half made"
    assert registry.history("leases", "staff") == (["v1"] if verdict == "promote" else [])
    assert registry.live("leases", "staff") == (card if verdict == "promote" else None)
