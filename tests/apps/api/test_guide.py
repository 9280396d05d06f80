"""The examples of the server's guide run, against a real server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_parts import SAMPLES, Running, running

from understudy.agents import Agent
from understudy.core.settings import DeferralSettings, Settings

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "server.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = Settings(deferral=DeferralSettings(min_confidence=0.0, audit_rate=0.0))
    with Agent.open(tmp_path_factory.mktemp("guide"), settings=settings) as agent:
        agent.ingest([SAMPLES])
        with running(agent) as found:
            yield found


def blocks(language: str, server: Running) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [block.replace("http://127.0.0.1:8765", server.url) for block in found]


def test_the_python_example(server: Running) -> None:
    (script,) = blocks("python", server)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "local" in done.stdout
    assert "search" in done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_example(server: Running) -> None:
    (command,) = [block for block in blocks("sh", server) if "curl" in block]
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=100)
    assert json.loads(done.stdout)["object"] == "chat.completion"
