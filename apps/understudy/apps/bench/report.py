"""Result files: what was measured, when, on which machine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
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
    """A result as a heading, where it was measured, and a table; a list of rows is a table of its own after it."""
    where = result["machine"]
    lines = [
        f"# {result['suite']}",
        "",
        f"understudy {result['version']}, {result['date']}, {where['cpu']}, {where['cores']} cores,"
        f" {where['memory_gib']} GiB, seed {result['seed']}",
        "",
        "| measure | value |",
        "|---|---|",
        *(row([name, shown]) for name, shown in flattened(result["figures"])),
    ]
    for name, rows in tables(result["figures"]):
        columns = list(dict.fromkeys(key for r in rows for key in r))
        lines += ["", f"## {name}", "", row([c.replace("_", " ") for c in columns]), "|" + "---|" * len(columns)]
        lines += [row([cell(r.get(c)) for c in columns]) for r in rows]
    return "\n".join(lines) + "\n"


def row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(c.replace('|', chr(92) + '|') for c in cells)} |"


def is_table(value: object) -> bool:
    """Whether a figure is a list of rows, each with the same named figures."""
    return isinstance(value, Sequence) and bool(value) and all(isinstance(r, Mapping) for r in value)


def tables(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    """Dotted names and rows of the figures that are tables."""
    for key, value in figures.items():
        if is_table(value):
            yield f"{prefix}{key}".replace("_", " "), value
        elif isinstance(value, Mapping):
            yield from tables(value, f"{prefix}{key} · ")


def flattened(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values as people read them, tables left out."""
    for key, value in figures.items():
        if isinstance(value, Mapping) and not is_estimate(value):
            yield from flattened(value, f"{prefix}{key} · ")
        elif not is_table(value):
            yield f"{prefix}{key}".replace("_", " "), cell(value)


def is_estimate(value: Mapping[str, Any]) -> bool:
    """Whether a figure is an estimate with its interval."""
    return {"value", "low", "high"} <= set(value)


def cell(value: Any) -> str:
    """One value as people read it: an estimate with its interval, a dash for what could not be measured."""
    if value is None or (isinstance(value, Mapping) and value.get("n") == 0):
        return "–"
    if isinstance(value, Mapping):
        return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f}), n = {value['n']}"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value}"
