"""Plots of the learning page: SVG by matplotlib, in the page's own colours and letters, so that dark and light both do.

They stand in the page as they are, with a name for screen readers; nothing is run in the browser to draw them.
"""

from __future__ import annotations

import html
import io
import math
import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from understudy.agents.deferral.reliability import Bin
from understudy.core.errors import MissingExtraError
from understudy.core.history import Period
from understudy.core.types import Route

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LATEST", "ROUTES", "draw_cost", "draw_gates", "draw_quality", "draw_reliability", "draw_routes"]

COLOURS = {
    "ink": "#010101",
    "dim": "#010102",
    "line": "#010103",
    "local": "#010104",
    "cache": "#010105",
    "expert": "#010106",
    "declined": "#010107",
    "ground": "#010108",
}
"""Stand-ins that matplotlib draws with; in the page they become variables of its style sheet."""
ROUTES: dict[Route, str] = {
    "local": "small model",
    "cache": "given again",
    "expert": "expert",
    "declined": "declined",
}
WIDTH, HEIGHT = 5.0, 2.7
"""Inches, at 72 dots: a plot's own size, which the page stretches."""
FEWEST = 8
"""Periods that an axis spans at least: one bar alone must not fill the plot."""
LATEST = 20
"""Drafts or answers that a point of the quality is the mean of, at least where there are so many."""
LONGEST_NAME = 18
"""Letters of an adapter's name beside a plot; its card has it whole."""
SETTINGS = {"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "understudy"}
drawing = threading.Lock()  # matplotlib's settings are the process's


def draw_routes(rows: Sequence[Period]) -> str:
    """How answers came about over time, as stacked bars. Raises `MissingExtraError`."""
    figure, axes = blank()
    from matplotlib.ticker import MaxNLocator

    at, width = times(rows), bar_width(rows)
    below = [0] * len(rows)
    for route, label in ROUTES.items():
        counts = [row.routes.get(route, 0) for row in rows]
        if any(counts):
            axes.bar(at, counts, width, bottom=below, color=COLOURS[route], label=label)
        below = [b + c for b, c in zip(below, counts, strict=True)]
    over_time(axes, rows)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axes)
    return svg(figure, "Bars: how many questions were answered in each way, over time")


def draw_quality(rows: Sequence[Period]) -> str:
    """The share of drafts that was as good as the expert's answer, and of answers that people found right."""
    figure, axes = blank()
    compared = [row for row in rows if row.quality is not None]
    if compared:
        axes.plot(
            times(compared),
            running([((row.quality or 0.0) * row.compared, row.compared) for row in compared]),
            marker="o",
            markersize=4.5,
            color=COLOURS["local"],
            label="as good as the expert",
        )
    judged = [row for row in rows if row.good + row.bad]
    if judged:
        shares = running([(row.good, row.good + row.bad) for row in judged])
        axes.plot(
            times(judged), shares, "--", marker="s", markersize=4, color=COLOURS["cache"], label="found right by people"
        )
    over_time(axes, rows)
    axes.set_ylim(-0.04, 1.06)
    percent(axes.yaxis)
    legend(axes)
    return svg(figure, "Lines: the share of drafts that was as good as the expert's answer, over time")


def draw_cost(rows: Sequence[Period]) -> str:
    """What experts took so far, in dollars, or calls where none has a price, beside what always asking would take."""
    figure, axes = blank()
    priced = any(row.spend.usd for row in rows)
    took = [row.spend.usd if priced else float(row.spend.calls) for row in rows]
    calls = sum(row.spend.calls for row in rows)
    each = sum(took) / calls if calls else 0.0
    always = list(accumulate(row.asked * each for row in rows))
    at, spent = times(rows), list(accumulate(took))
    axes.plot(at, always, "--", marker="o", markersize=3, color=COLOURS["dim"], label="always asking the expert")
    axes.plot(at, spent, marker="o", markersize=4.5, color=COLOURS["expert"], label="spent" if priced else "calls")
    axes.fill_between(at, spent, color=COLOURS["expert"], alpha=0.15, linewidth=0)
    over_time(axes, rows)
    axes.set_ylim(0, max([*spent, *always, 1e-9]) * 1.12)
    if priced:
        axes.yaxis.set_major_formatter(lambda value, _: f"\\${value:.4g}" if value else "0")
    legend(axes)
    unit = "dollars" if priced else "calls"
    return svg(figure, f"Lines: {unit} that experts took so far, and what always asking would take")


def draw_reliability(bins: Sequence[Bin]) -> str:
    """Confidence against the share that was as good as the expert's answer, with the diagonal of a perfect one."""
    figure, axes = blank()
    axes.plot([0, 1], [0, 1], ":", color=COLOURS["dim"], label="as it should be")
    axes.errorbar(
        [b.confidence for b in bins],
        [b.right for b in bins],
        yerr=list(zip(*map(chance, bins), strict=True)),
        fmt="o",
        markersize=5.5,
        elinewidth=1.2,
        color=COLOURS["local"],
        label="as measured",
    )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.04, 1.06))
    axes.set_xlabel("confidence", color=COLOURS["dim"])
    percent(axes.xaxis)
    percent(axes.yaxis)
    legend(axes)
    return svg(figure, "Reliability diagram: confidence against the share of drafts as good as the expert's answer")


def draw_gates(rows: Sequence[dict[str, Any]]) -> str:
    """Each adapter on the gate's questions, beside the model that was live then.

    Args:
        rows: of `Agent.adapters`, first at the top.
    """
    figure, axes = blank(height=0.9 + 0.36 * len(rows))
    for at, row in enumerate(rows):
        live, candidate = row["gate"]["live"], row["gate"]["candidate"]
        colour = COLOURS["local" if row["gate"]["promoted"] else "declined"]
        axes.plot([live, candidate], [at, at], color=colour, linewidth=2, zorder=1)
        axes.scatter([live], [at], s=34, facecolor=COLOURS["ground"], edgecolor=COLOURS["dim"], zorder=2)
        axes.scatter([candidate], [at], s=40, color=colour, zorder=3)
    axes.scatter([], [], s=34, facecolor=COLOURS["ground"], edgecolor=COLOURS["dim"], label="model before")
    axes.scatter([], [], s=40, color=COLOURS["local"], label="passed")
    axes.scatter([], [], s=40, color=COLOURS["declined"], label="turned down")
    axes.set(xlim=(-0.03, 1.03), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [adapter_name(row) for row in rows])
    for name in axes.get_yticklabels():
        name.set_parse_math(False)
    axes.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
    legend(axes)
    return svg(
        figure, "Dots: agreement with the expert of each adapter on the gate's questions, and of the model before"
    )


def running(sums: Sequence[tuple[float, int]]) -> list[float]:
    """At every place the mean of the latest `LATEST` values or more, of sums and counts of each period."""
    means = []
    for at in range(len(sums)):
        total, count = 0.0, 0
        for value, number in reversed(sums[: at + 1]):
            total, count = total + value, count + number
            if count >= LATEST:
                break
        means.append(total / count)
    return means


def chance(found: Bin) -> tuple[float, float]:
    """How far below and above a share the true one may well be: Wilson's interval (1927), 95%."""
    z, n, p = 1.96, found.n, found.right
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, p - (centre - reach)), max(0.0, centre + reach - p)


def adapter_name(row: dict[str, Any]) -> str:
    """An adapter as plots call it."""
    where = row["domain"] if row["label"] == row["domain"] else f"{row['domain']}, {row['label']}"
    short = where if len(where) <= LONGEST_NAME else f"{where[: LONGEST_NAME - 1]}…"
    return f"{short} {row['version']}"


def times(rows: Sequence[Period]) -> list[float]:
    """When each period began, in days as matplotlib counts them."""
    from matplotlib.dates import date2num

    return [float(date2num(datetime.fromisoformat(row.begun).replace(tzinfo=UTC))) for row in rows]


def bar_width(rows: Sequence[Period]) -> float:
    """Most of a period, in days."""
    return 0.83 / (1 if len(rows[0].begun) == len("2026-11-28") else 24)


def over_time(axes: Axes, rows: Sequence[Period]) -> None:
    """An axis of days or hours that isn't shorter than it looks well."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    at, width = times(rows), bar_width(rows)
    last = at[-1] + width * 0.75
    axes.set_xlim(min(at[0] - width * 0.75, last - width * FEWEST), last)
    locator = AutoDateLocator(tz=UTC, minticks=2, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    axes.set_ylim(bottom=0)


def percent(axis: Any) -> None:
    """Ticks at quarters, as people say shares."""
    axis.set_ticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])


def legend(axes: Axes) -> None:
    """What is what, above the plot."""
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(
        frameon=False,
        loc="outside upper left",
        ncols=4,
        borderaxespad=0.1,
        handlelength=1.1,
        handletextpad=0.5,
        columnspacing=1.1,
        labelcolor=COLOURS["ink"],
    )


def blank(height: float = HEIGHT) -> tuple[Figure, Axes]:
    """An empty plot."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "chat") from error
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(COLOURS["line"])
    axes.grid(axis="both", color=COLOURS["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=COLOURS["dim"], length=0)
    return figure, axes


def svg(figure: Figure, name: str) -> str:
    """A figure as a piece of a page."""
    import matplotlib

    out = io.StringIO()
    with drawing, matplotlib.rc_context(SETTINGS):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = out.getvalue()
    drawn = re.sub(r"<(metadata|style)\b.*?</\1>", "", drawn[drawn.index("<svg") :], flags=re.DOTALL)
    drawn = re.sub(r"(<svg [^>]*?) ?width=\"[^\"]*\"", r"\1", drawn, count=1)
    drawn = re.sub(r"(<svg [^>]*?) ?height=\"[^\"]*\"", r"\1", drawn, count=1)
    for colour, stands_for in COLOURS.items():
        drawn = drawn.replace(stands_for, f"var(--plot-{colour})")
    named = f'<svg role="img" aria-label="{html.escape(name)}" class="u-plot"'
    return drawn.replace("<svg", named, 1)
