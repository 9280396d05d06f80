"""The layout and the direction of imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PORTIONS = ("agents", "graphs", "tools", "retrieval", "apps")
MAY_IMPORT = {
    "core": set(),
    "retrieval": {"core"},
    "tools": {"core", "retrieval"},
    "graphs": {"core"},
    "privacy": {"core", "retrieval"},
    "distillation": {"core", "retrieval"},
    "agents": {"core", "retrieval", "tools", "graphs", "privacy", "distillation"},
    "apps": {"core", "retrieval", "tools", "graphs", "privacy", "distillation", "agents"},
}
HEAVY = ("torch", "transformers", "llama_cpp", "chromadb")


def sources() -> Iterator[tuple[Path, str]]:
    for portion in PORTIONS:
        for file in (ROOT / portion / "understudy").rglob("*.py"):
            yield file, file.relative_to(ROOT / portion / "understudy").parts[0]


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_imports_point_one_way() -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file, package in sources()
        for module in imported(file)
        if module.startswith("understudy.") and module.split(".")[1] not in MAY_IMPORT[package] | {package}
    ]
    assert not wrong


def test_understudy_is_a_namespace() -> None:
    for portion in PORTIONS:
        assert not (ROOT / portion / "understudy" / "__init__.py").exists()


def test_every_package_is_typed() -> None:
    for portion in PORTIONS:
        for package in (ROOT / portion / "understudy").iterdir():
            if package.is_dir() and package.name != "__pycache__":
                assert (package / "py.typed").exists(), package


def test_every_error_is_in_the_tree() -> None:
    from understudy.core import errors

    tree = errors.__doc__ or ""
    missing = [name for name in errors.__all__ if name not in tree]
    assert not missing
