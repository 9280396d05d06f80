"""Result files: what was measured, when, on which machine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from understudy.core.errors import UserError
from understudy.core.workspace import write_atomically

__all__ = ["as_markdown", "flattened", "machine", "result_of", "write_result"]


def machine() -> dict[str, Any]:
    """Platform, processor, cores and memory."""
    names = {"platform": platform.platform(), "python": platform.python_version(), "cpu": cpu_model()}
    return {**names, "cores": os.cpu_count() or 1, "memory_gib": round(memory_bytes() / 2**30, 1)}


def version() -> str:
    """The installed version; a checkout that isn't installed has none."""
    try:
        return importlib.metadata.version("understudy")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def cpu_model() -> str:
    """The processor's name, as far as the system tells it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", listing.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def memory_bytes() -> int:
    """Physical memory, 0 where the system doesn't tell."""
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    if "SC_PHYS_PAGES" not in names:
        return 0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def result_of(suite: str, seed: int, settings: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    """The result document of a suite."""
    return {
        "suite": suite,
        "version": version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "seed": seed,
        "settings": dict(settings),
        "figures": dict(figures),
    }


def write_result(result: Mapping[str, Any], out: Path) -> None:
    """Write `out/<suite>.json` and `out/<suite>.md`. Raises `UserError` when they can't be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / f"{result['suite']}.json", json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        write_atomically(out / f"{result['suite']}.md", as_markdown(result))
    except OSError as error:
        raise UserError(f"{out}: results can't be written: {error.strerror}; name another folder by --out") from error


def as_markdown(result: Mapping[str, Any]) -> str:
    """A result as a heading, where it was measured, and a table."""
    where = result["machine"]
    lines = [
        f"# {result['suite']}",
        "",
        f"understudy {result['version']}, {result['date']}, {where['cpu']}, {where['cores']} cores,"
        f" {where['memory_gib']} GiB, seed {result['seed']}",
        "",
        "| measure | value |",
        "|---|---|",
        *(f"| {name} | {shown} |" for name, shown in flattened(result["figures"])),
    ]
    return "\n".join(lines) + "\n"


def flattened(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values as people read them; a mean with its interval is one value."""
    for key, value in figures.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping) and {"value", "low", "high"} <= set(value):
            yield name, f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f}), n = {value['n']}"
        elif isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key} · ")
        else:
            yield name, f"{value:,.4g}" if isinstance(value, float) else f"{value}"
