"""The demo runs, in the kinds of questions it promises."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from understudy.apps.demo import run_demo


def test_a_kept_workspace_shows_the_same_again(tmp_path: Path) -> None:
    first, second = (run_demo(Console(file=io.StringIO()), keep=tmp_path / "kept") for _ in range(2))
    assert [o.answer.text for o in first] == [o.answer.text for o in second]


def test_the_demo() -> None:
    console = Console(file=io.StringIO(), width=120)
    outcomes = run_demo(console)
    assert len(outcomes) == 12
    assert {o.kind for o in outcomes} == {
        "look-up",
        "table",
        "arithmetic",
        "price",
        "follow-up",
        "two documents",
        "unanswerable",
    }
    routes = {o.answer.route for o in outcomes}
    assert {"local", "expert"} <= routes
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "no network" in text
    assert "recorded" in text
    assert "cache" in text
    assert all(o.right for o in outcomes if o.expected is None)
    local = [o.right for o in outcomes if o.answer.route == "local"]
    assert sum(local) >= 4
    assert sum(local) > len(local) * 0.7
