"""Pictures of results, by matplotlib (extra `bench`)."""

from __future__ import annotations

from pathlib import Path

from understudy.agents.deferral.reliability import Calibration
from understudy.core.errors import MissingExtraError, UserError

__all__ = ["draw_reliability"]


def draw_reliability(found: Calibration, path: Path) -> None:
    """The reliability diagram: confidence against the share that is right, with the diagonal of a perfect one.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        UserError: there is nothing to draw, or the file can't be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "bench") from error
    if not found.bins:
        raise UserError("there is nothing to draw: no draft of the calibrate role has a label yet")
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
    axes.plot([b.confidence for b in found.bins], [b.right for b in found.bins], marker="o", label="measured")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share as good as the expert's answer")
    axes.legend(frameon=False)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: the picture can't be written: {error}") from error
