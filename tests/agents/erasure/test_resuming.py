"""An erasure that is killed at any step is finished by whoever opens the workspace next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import erasure_parts
import pytest
from erasure_parts import DEATHS, FERRY, MASTER, build

from understudy.agents import Agent
from understudy.core.errors import WorkspaceError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def died(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every death was died, and followed by an opening."""
    room = tmp_path_factory.mktemp("deaths")
    build(room)
    here = Path(erasure_parts.__file__)
    paths = [str(here.parent), *(str(here.parents[1] / p) for p in ("agents", "graphs", "tools", "retrieval", "apps"))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run([sys.executable, str(here), str(room)], check=True, env=environment, timeout=1200)
    return room


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("death", DEATHS)
def test_it_goes_on_after_a_death(died: Path, death: str) -> None:
    name = death.replace(" ", "-")
    assert json.loads((died / f"{name}.codes").read_text()) == [-signal.SIGKILL, 0]
    held = json.loads((died / f"{name}.json").read_text())
    assert held == {
        "answers": [["cache", FERRY[1]], ["cache", MASTER[1]]],
        "live": ["v1"],
        "documents": ["garden.md", "harbour.md"],
        "journal": False,
        "traces": {},
    }


def test_a_damaged_journal_is_told_of(tmp_path: Path) -> None:
    with Agent.open(tmp_path / "workspace") as agent:
        journal = agent.erasure.journal
    journal.write_text("{")
    with pytest.raises(WorkspaceError, match=r"erasing\.json is damaged; delete it, and erase the document again"):
        Agent.open(tmp_path / "workspace")
