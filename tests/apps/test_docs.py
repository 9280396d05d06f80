"""The code in the documentation runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from understudy.core.settings import Settings

ROOT = Path(__file__).parents[2]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def test_the_python_guide(tmp_path: Path) -> None:
    script = "\n".join(blocks("docs/guides/python.md", "python"))
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 added, 1 passages" in done.stdout


def test_the_batch_guide(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n")
    ready = (
        'from understudy.agents import Agent\nwith Agent.open("workspace") as agent:\n    agent.ingest(["notes.md"])\n'
    )
    script = ready + "\n".join(blocks("docs/guides/batch.md", "python"))
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "22:40" in done.stdout


def test_the_settings_guide() -> None:
    import tomllib

    (block,) = blocks("docs/guides/settings.md", "toml")
    settings = Settings.parse(tomllib.loads(block))
    assert [e.name for e in settings.experts] == ["gpt", "replay"]


def test_links_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"
