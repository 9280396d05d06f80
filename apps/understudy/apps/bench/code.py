"""How long our files and functions are."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from understudy.apps.metrics import quantile

__all__ = ["functions", "measure_code", "portions", "spread"]


def portions() -> list[Path]:
    """The folders that make up the namespace `understudy`: five in a checkout, one where it was installed."""
    found = {Path(p).resolve(): None for p in importlib.import_module("understudy").__path__}
    return sorted(p for p in found if p.is_dir())


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Name and lines of every function and method, nested ones too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def spread(values: Sequence[int]) -> dict[str, float | int]:
    """Count, median, 90th percentile and maximum."""
    return {
        "count": len(values),
        "median": quantile(values, 0.5),
        "p90": round(quantile(values, 0.9), 1),
        "max": max(values, default=0),
    }


def measure_code() -> dict[str, Any]:
    """Lines per file and per function, for each portion and over all of them."""
    figures: dict[str, Any] = {}
    files: list[tuple[int, str]] = []
    bodies: list[tuple[int, str]] = []
    for portion in portions():
        own_files, own_bodies = measure_portion(portion)
        figures[portion.parent.name] = {
            "lines": sum(n for n, _ in own_files),
            "file": spread([n for n, _ in own_files]),
            "function": spread([n for n, _ in own_bodies]),
        }
        files += own_files
        bodies += own_bodies
    figures["all"] = {
        "lines": sum(n for n, _ in files),
        "file": spread([n for n, _ in files]),
        "function": spread([n for n, _ in bodies]),
        "longest_file": max(files, default=(0, ""))[1],
        "longest_function": max(bodies, default=(0, ""))[1],
    }
    return figures


def measure_portion(portion: Path) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Lines and name of the files, and of the functions, of one portion."""
    files, bodies = [], []
    for path in sorted(portion.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        place = path.relative_to(portion).as_posix()
        files.append((len(source.splitlines()), place))
        bodies += [(n, f"{place}:{name}") for name, n in functions(source)]
    return files, bodies
