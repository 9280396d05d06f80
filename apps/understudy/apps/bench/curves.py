"""Strategies compared on the same outcomes: how much quality every share of consults buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["area", "areas", "curve", "group_draws", "quality_by_share", "saved_at"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def curve(score: Floats, local: Floats, expert: Floats) -> Floats:
    """Mean quality by the number of questions consulted, `[questions + 1]`: those of the least score go first.

    Questions of equal score go together on average: each takes the mean gain of its tie.
    """
    order = np.argsort(score, kind="stable")
    gains = (expert - local)[order]
    _, first, counts = np.unique(score[order], return_index=True, return_counts=True)
    for at, count in zip(first, counts, strict=True):
        gains[at : at + count] = gains[at : at + count].mean()
    return np.asarray((local.sum() + np.concatenate([[0.0], np.cumsum(gains)])) / len(local), dtype=np.float64)


def area(score: Floats, local: Floats, expert: Floats) -> float:
    """The area under the curve, consults from none to all as 0 to 1."""
    return float(np.trapezoid(curve(score, local, expert), dx=1 / len(local)))


def quality_by_share(
    scores: Mapping[str, Floats], local: Floats, expert: Floats, steps: int = 20
) -> list[dict[str, float]]:
    """What every strategy makes of a share of consults, from always local to always the expert."""
    everything = {**scores, "oracle": local - expert}
    curves = {name: curve(score, local, expert) for name, score in everything.items()}
    shares = np.linspace(0, 1, len(local) + 1)
    rows = []
    for share in np.linspace(0, 1, steps + 1):
        mix = (1 - share) * local.mean() + share * expert.mean()
        row = {"consulted": round(float(share), 4), "random_mix": round(float(mix), 4)}
        rows.append(row | {name: round(float(np.interp(share, shares, c)), 4) for name, c in curves.items()})
    return rows


def group_draws(groups: Sequence[str], resamples: int, seed: int) -> list[Indices]:
    """Bootstrap samples of whole groups."""
    names, inverse = np.unique(np.array(groups), return_inverse=True)
    members = [np.flatnonzero(inverse == at) for at in range(len(names))]
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([members[at] for at in rng.integers(0, len(names), size=len(names))]) for _ in range(resamples)
    ]


def areas(
    scores: Mapping[str, Floats], local: Floats, expert: Floats, groups: Sequence[str], seed: int, resamples: int = 500
) -> dict[str, Any]:
    """Areas of some strategies, of a random mix and of one that knows, and paired differences of the first.

    Args:
        scores: of strategies, ours first: who has least is consulted about first.
        local: quality of the local answers, 0 to 1.
        expert: quality of the expert's.
        groups: what answers cluster by; whole groups are drawn.
        seed: of the draws.
        resamples: how many.
    """
    ours, *others = scores
    mix = float((local.mean() + expert.mean()) / 2)
    found: dict[str, Any] = {name: round(area(score, local, expert), 4) for name, score in scores.items()}
    found |= {"random_mix": round(mix, 4), "oracle": round(area(local - expert, local, expert), 4)}
    gains: dict[str, list[float]] = {name: [] for name in [*others, "random_mix"]}
    for drawn in group_draws(groups, resamples, seed):
        best = area(scores[ours][drawn], local[drawn], expert[drawn])
        for name in others:
            gains[name].append(best - area(scores[name][drawn], local[drawn], expert[drawn]))
        gains["random_mix"].append(best - float((local[drawn].mean() + expert[drawn].mean()) / 2))
    for name, values in gains.items():
        whole = found[ours] - found[name]
        low, high = np.quantile(values, [0.025, 0.975])
        found[f"{ours}_minus_{name}"] = {
            "value": round(whole, 4), "low": round(float(low), 4), "high": round(float(high), 4), "n": len(local),
        }  # fmt: skip
    return found


def saved_at(score: Floats, local: Floats, expert: Floats, share: float) -> float:
    """The least share of consults that closes a share of the gap between local and expert, by this order of asking."""
    qualities = curve(score, local, expert)
    wanted = local.mean() + share * (expert.mean() - local.mean())
    reached = np.flatnonzero(qualities >= wanted - 1e-12)
    return float(reached[0] / len(local)) if len(reached) else 1.0
