"""The order in which examples are trained on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["batches_of_like_length"]

T = TypeVar("T")


def batches_of_like_length(
    items: Sequence[T], length: Callable[[T], int], *, batch: int, pool: int, steps: int, seed: int
) -> list[list[T]]:
    """`steps` batches of `batch` items: shuffled, then sorted by length in pools of `pool` batches to save padding."""
    rng = random.Random(seed)
    plan: list[list[T]] = []
    while len(plan) < steps:
        order = list(items)
        rng.shuffle(order)
        epoch = []
        for at in range(0, len(order), batch * pool):
            alike = sorted(order[at : at + batch * pool], key=length)
            epoch += [alike[i : i + batch] for i in range(0, len(alike), batch)]
        rng.shuffle(epoch)
        plan += epoch
    return plan[:steps]
