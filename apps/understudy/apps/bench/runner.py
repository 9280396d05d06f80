"""Runs a suite and writes what it measured, with the date, the machine and the seed."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from understudy.apps.bench import suites
from understudy.apps.bench.suites import Run
from understudy.core.errors import UserError
from understudy.core.workspace import write_atomically

__all__ = ["SUITES", "run"]

SUITES: dict[str, Callable[[Run], dict[str, Any]]] = {
    "retrieval": suites.retrieval,
    "agent": suites.agent,
    "ingest": suites.ingest,
    "startup": suites.startup,
    "code": suites.code,
}
PACKAGES = ("understudy", "llama-cpp-python", "llguidance", "langgraph", "chromadb", "onnxruntime")


def run(suite: str, data: Path, out: Path, limit: int | None = None, seed: int = 17) -> dict[str, Any]:
    """Run one suite; writes `OUT/SUITE.json` and `OUT/SUITE.md`, and keeps ingested workspaces under `build/bench`.

    Raises `UserError` for an unknown suite or missing data.
    """
    if suite not in SUITES:
        raise UserError(f"there is no suite {suite!r}; known: {', '.join(SUITES)}")
    out.mkdir(parents=True, exist_ok=True)
    work = Path("build") / "bench"
    work.mkdir(parents=True, exist_ok=True)
    figures = SUITES[suite](Run(data, work, limit, seed))
    result = {
        "suite": suite,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": {name: version(name) for name in PACKAGES},
        "seed": seed,
        "limit": limit,
        "figures": figures,
    }
    write_atomically(out / f"{suite}.json", json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    write_atomically(out / f"{suite}.md", table(result))
    return result


def machine() -> dict[str, Any]:
    """What it ran on."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30),
        "python": platform.python_version(),
    }


def table(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    head = (
        f"# {result['suite']}\n\nBy `understudy bench {result['suite']} --seed {result['seed']}`, {result['date']}, "
        f"{result['machine']['cores']} cores, {result['machine']['memory_gib']} GiB.\n\n| figure | value |\n|---|---|\n"
    )
    return head + "".join(f"| {name} | {shown(value)} |\n" for name, value in result["figures"].items())


def shown(value: Any) -> str:
    """A figure with four significant digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        return " to ".join(map(shown, value))
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)
