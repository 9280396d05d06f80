"""Suites `ingest` and `startup`: the command line as a process of its own, timed from outside."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.apps.bench.code import portions
from understudy.apps.folder import read_lines
from understudy.apps.metrics import quantile
from understudy.core.errors import DocumentError, UnderstudyError
from understudy.core.machine import peak_mib

__all__ = ["Finished", "command", "measure_ingest", "measure_startup"]

RUNS = 7
QUESTION = "When was Halden Instruments founded?"
SAMPLES = Path(__file__).parents[1] / "samples" / "documents"
STEP_MARK = "·"
"""How `ask` begins the line of a step on stderr."""


@dataclass(frozen=True)
class Finished:
    """A process that ended well."""

    stdout: str
    seconds: float
    first_step_s: float | None
    """When the first step was shown."""
    peak_mib: float


def command(workspace: Path, *arguments: str) -> Finished:
    """Run the command line on a workspace, and time it. Raises `UnderstudyError` with its last line when it fails."""
    call = [sys.executable, "-m", "understudy.apps.cli", "--workspace", str(workspace), *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as stdout:
        began = time.perf_counter()
        process = subprocess.Popen(
            call, stdout=stdout, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment()
        )
        first, last = None, ""
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                if first is None and line.lstrip().startswith(STEP_MARK):
                    first = time.perf_counter() - began
                last = line.strip() or last
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise UnderstudyError(f"`understudy {arguments[0]}` ended with {process.returncode}: {last}")
        stdout.seek(0)
        return Finished(stdout.read(), seconds, first, peak_mib(usage))


def environment() -> dict[str, str]:
    """Ours, with the portions on the path where the project isn't installed."""
    paths = [str(p.parent) for p in portions()] + os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p), "PYTHONIOENCODING": "utf-8"}


def measure_ingest(data: Path, limit: int | None) -> dict[str, Any]:
    """Time and memory to read the contracts of `cuad` into a fresh workspace."""
    documents = read_lines(data / "cuad" / "documents.jsonl.gz")[:limit]
    if not documents:
        raise DocumentError(f"{data / 'cuad'}: holds no documents; fetch it again")
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as room:
        source = Path(room) / "documents.jsonl.gz"
        with gzip.open(source, "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(d, ensure_ascii=False) + "\n" for d in documents)
        done = command(Path(room) / "workspace", "ingest", str(source), "--json")
        report = json.loads(done.stdout)
        written = sum(f.stat().st_size for f in (Path(room) / "workspace").rglob("*") if f.is_file())
    return {
        "documents": report["added"],
        "failed": len(report["failed"]),
        "characters": sum(len(d["text"]) for d in documents),
        "passages": report["passages"],
        "seconds": round(report["seconds"], 2),
        "process_seconds": round(done.seconds, 2),
        "passages_per_second": round(report["passages"] / max(report["seconds"], 1e-9), 1),
        "peak_rss_mib": round(done.peak_mib, 1),
        "workspace_mib": round(written / 2**20, 1),
    }


def measure_startup(limit: int | None) -> dict[str, Any]:
    """From the start of the process to the first step shown and to its end, on a small ready workspace, disk warm."""
    runs = limit or RUNS
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as room:
        workspace = Path(room) / "workspace"
        command(workspace, "ingest", str(SAMPLES), "--json")
        command(workspace, "ask", QUESTION, "--json")
        finished = [command(workspace, "ask", QUESTION, "--json") for _ in range(runs)]
    firsts = [f.first_step_s for f in finished if f.first_step_s is not None]
    return {
        "runs": runs,
        "first_step_s": spread(firsts),
        "exit_s": spread([f.seconds for f in finished]),
        "peak_rss_mib": round(max(f.peak_mib for f in finished), 1),
    }


def spread(values: list[float]) -> dict[str, Any]:
    """Median and extremes; all `None` when nothing was seen."""
    if not values:
        return {"median": None, "min": None, "max": None}
    return {"median": round(quantile(values, 0.5), 3), "min": round(min(values), 3), "max": round(max(values), 3)}
