"""Checkpoints of a training run: written atomically, taken up again only by the same recipe on the same data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import torch
from rich.console import Console

from understudy.distillation.identity import identity_of

__all__ = ["identity_of", "load_checkpoint", "progress", "save_checkpoint"]

T = TypeVar("T")
console = Console(stderr=True)


def load_checkpoint(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The state that this very run left, or `None`; one of another recipe or on other data begins anew, and says so."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    if state.pop("identity", None) != identity:
        console.print(f"{path.name} is of another recipe or other data: training from the beginning")
        return None
    return state


def save_checkpoint(path: Path, identity: dict[str, Any], state: dict[str, Any]) -> None:
    """Replace the checkpoint in one move."""
    partial = path.with_suffix(".tmp")
    torch.save({**state, "identity": identity}, partial)
    partial.replace(path)


def progress(plan: Iterable[T], first: int, steps: int, take: Callable[[T], float], *, every: int) -> Iterator[int]:
    """Take the steps of a plan from `first` on, printing the mean loss and the time left; yields how many are done."""
    began, losses = monotonic(), 0.0
    for done, batch in enumerate(plan, 1):
        if done <= first:
            continue
        losses += take(batch)
        if done % every == 0:
            left = (monotonic() - began) / (done - first) * (steps - done) / 60
            console.print(f"step {done}/{steps} loss {losses / every:.4f} left {left:.1f} min")
            losses = 0.0
        yield done
