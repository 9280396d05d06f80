"""Pictures of results, by matplotlib (extra `bench`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.agents.deferral.reliability import Calibration
from understudy.core.errors import MissingExtraError, UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_learning", "draw_reliability", "draw_routes", "draw_strategies", "require_matplotlib"]

STRATEGIES = {
    "oracle": ("oracle", "0.75", ":"),
    "ours": ("calibrated confidence", "tab:blue", "-"),
    "plain_threshold": ("log-probability alone", "tab:orange", "--"),
    "random_mix": ("random mix", "0.6", "-"),
}
"""Label, colour and line of each."""


def require_matplotlib() -> None:
    """Raises `MissingExtraError` where it isn't installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "bench")


def draw_reliability(found: Calibration, path: Path) -> None:
    """The reliability diagram: confidence against the share that is right, with the diagonal of a perfect one.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UserError: there is nothing to draw, or the file can't be written.
    """
    figure = blank(4.5, 4.5)
    if not found.bins:
        raise UserError("there is nothing to draw: no draft of the calibrate role has a label yet")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
    axes.plot([b.confidence for b in found.bins], [b.right for b in found.bins], marker="o", label="measured")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share as good as the expert's answer")
    axes.legend(frameon=False)
    save(figure, path)


def draw_strategies(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Quality by the share of questions that go to an expert, a panel for every domain.

    Args:
        rows: `domain`, `consulted`, and the quality of every strategy.
        path: of the picture.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UserError: the file can't be written.
    """
    names = list(dict.fromkeys(str(row["domain"]) for row in rows))
    figure = blank(3 * len(names), 3.2)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        here = [row for row in rows if row["domain"] == name]
        for strategy, (label, colour, line) in STRATEGIES.items():
            axes.plot([r["consulted"] for r in here], [r[strategy] for r in here], line, color=colour, label=label)
        axes.set(title=name, xlim=(0, 1), ylim=(0, 1.02), xlabel="share of questions to the expert")
    panels[0].set_ylabel("share answered right")
    panels[0].legend(frameon=False, fontsize="small", loc="lower right")
    save(figure, path)


def draw_learning(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The learning curve: consults, quality and dollars over a stream, as running means of a hundred questions.

    Args:
        rows: a question each: `consulted`, `quality`, `usd`.
        path: of the picture.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UserError: the file can't be written.
    """
    figure = blank(7, 5)
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(running(rows, "consulted"), label="share that went to the expert")
    upper.plot(running(rows, "quality"), label="quality against the expert's")
    upper.set(ylim=(0, 1.02))
    upper.legend(frameon=False, fontsize="small", loc="lower left")
    total = [0.0]
    for row in rows:
        total.append(total[-1] + float(row["usd"]))
    always = [total[-1] and at * mean_price(rows) for at in range(len(total))]
    lower.plot(total, label="spent on the expert, dollars")
    lower.plot(always, ":", color="0.6", label="always asking")
    lower.set(xlabel="questions asked")
    lower.legend(frameon=False, fontsize="small", loc="upper left")
    save(figure, path)


def draw_routes(confidence: Mapping[tuple[str, int], int], bins: int, path: Path) -> None:
    """Answers by confidence and route.

    Args:
        confidence: how many, by route and bin.
        bins: of equal width, from 0 to 1.
        path: of the picture.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UserError: the file can't be written.
    """
    figure = blank(7, 3.2)
    axes, below = figure.subplots(), [0] * bins
    for route in sorted({route for route, _ in confidence}):
        counts = [confidence.get((route, at), 0) for at in range(bins)]
        axes.bar([(at + 0.5) / bins for at in range(bins)], counts, 0.9 / bins, bottom=below, label=route)
        below = [a + b for a, b in zip(below, counts, strict=True)]
    axes.set(xlabel="confidence", ylabel="answers", xlim=(0, 1))
    axes.legend(frameon=False)
    save(figure, path)


def running(rows: Sequence[Mapping[str, Any]], name: str, width: int = 100) -> list[float]:
    """The mean of the latest `width` values at every row."""
    values = [float(row[name]) for row in rows]
    return [sum(values[max(0, at - width) : at]) / min(at, width) for at in range(1, len(values) + 1)]


def mean_price(rows: Sequence[Mapping[str, Any]]) -> float:
    """Dollars a consultation."""
    paid = [float(row["usd"]) for row in rows if row["consulted"]]
    return sum(paid) / len(paid) if paid else 0.0


def blank(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches."""
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write it in the form of its file's ending."""
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: the picture can't be written: {error}") from error
