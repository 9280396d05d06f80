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


def sources() -> Iterator[tuple[Path, str]]:
    for portion in PORTIONS:
        for file in (ROOT / portion / "understudy").rglob("*.py"):
            yield file, file.relative_to(ROOT / portion / "understudy").parts[0]


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from absolute(node, file)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def absolute(node: ast.ImportFrom, file: Path) -> Iterator[str]:
    """`from understudy import x`, and relative imports, name the module they reach."""
    parts = file.parts[file.parts.index("understudy") :][: -node.level] if node.level else ()
    module = ".".join([*parts, *([node.module] if node.module else [])])
    if module == "understudy":
        yield from (f"understudy.{alias.name}" for alias in node.names)
    else:
        yield module


def test_imports_are_seen_in_every_form() -> None:
    file = Path("graphs/understudy/graphs/x.py")
    forms = {
        "from understudy.agents.agent import Agent": "understudy.agents.agent",
        "from understudy import agents": "understudy.agents",
        "from ..agents import Agent": "understudy.agents",
        "from .. import agents": "understudy.agents",
        "from . import state": "understudy.graphs",
    }
    for source, module in forms.items():
        (node,) = ast.parse(source).body
        assert isinstance(node, ast.ImportFrom)
        assert list(absolute(node, file)) == [module]


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
