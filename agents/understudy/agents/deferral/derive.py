"""The threshold in force: derived from outcomes, kept as a file that people can read, derived anew as labels come."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from understudy.agents.deferral.agreement import NAME
from understudy.agents.deferral.calibration import Calibrator, fit
from understudy.agents.deferral.outcomes import Row
from understudy.agents.deferral.promise import Label, Promise, promise
from understudy.core.errors import WorkspaceError
from understudy.core.settings import DeferralSettings
from understudy.core.workspace import write_atomically

__all__ = ["GRID", "Derivation", "derive", "load", "save", "stale", "uncalibrated"]

GRID = tuple(i / 100 for i in range(100, -1, -1))
"""Thresholds that are tried, highest first; fixed beforehand."""
GROWTH = 1.25
"""A threshold is derived anew when the labels have grown by so much."""


class Derivation(BaseModel):
    """A threshold with all that it was derived from and for."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    small_model: str
    adapter: str | None = None
    experts: tuple[str, ...] = ()
    """Against which it is promised."""
    max_quality_loss: float
    confidence: float
    threshold: float | None = None
    """`None` defers everything."""
    labels: int = 0
    """Drafts compared with an expert, in all roles."""
    tested: int = 0
    """Questions that the threshold was tested on."""
    missing: int = 0
    """Labels that are missing at the least before any threshold can pass."""
    consults: float = 1.0
    """Expected share of questions that go to an expert, audits aside."""
    derived: str
    """When, in UTC."""
    measure: str = NAME
    """What quality is compared by."""
    calibrator: Calibrator | None = None


def uncalibrated(signals: dict[str, float]) -> float:
    """A ranking for want of a calibrator: the mean token probability times the support of what is pointed at."""
    odds = signals.get("support", 0.0)
    return min(1.0, math.exp(min(0.0, signals.get("mean_logprob", 0.0)))) / (1 + math.exp(-odds))


def derive(
    rows: Sequence[Row],
    settings: DeferralSettings,
    small_model: str,
    experts: Sequence[str] = (),
    now: datetime | None = None,
    adapter: str | None = None,
) -> Derivation:
    """Fit the calibrator on the train and gate roles and on what people said; test thresholds on the calibrate role.

    Args:
        rows: outcomes of this small model.
        settings: what to promise.
        small_model: whose drafts they were.
        experts: that they were compared with.
        now: the present time.
        adapter: those that they were made in.
    """
    fitted = [r for r in rows if r.role != "calibrate" and r.drafted and r.quality is not None]
    calibrator = fit(
        [r.signals for r in fitted],
        [bool(r.quality and r.quality >= 1.0) for r in fitted],
        weights=[1 / r.probability for r in fitted],
    )
    tested = [r for r in rows if r.role == "calibrate"]
    found: Promise = promise(
        [label_of(r, calibrator) for r in tested],
        GRID,
        max_loss=settings.max_quality_loss,
        confidence=settings.confidence,
    )
    return Derivation(
        small_model=small_model,
        adapter=adapter,
        experts=tuple(sorted(experts)),
        max_quality_loss=settings.max_quality_loss,
        confidence=settings.confidence,
        threshold=found.threshold,
        labels=sum(r.quality is not None for r in rows),
        tested=len(tested),
        missing=found.missing,
        consults=1.0 - found.accepted,
        derived=(now or datetime.now(UTC)).isoformat(timespec="seconds"),
        calibrator=calibrator,
    )


def label_of(row: Row, calibrator: Calibrator | None) -> Label:
    """A row as the promise wants it: what had no draft is below every threshold, and loses nothing."""
    if not row.drafted:
        return Label(confidence=-1.0, loss=0.0, in_force=row.in_force or 1.0)
    confidence = calibrator.probability(row.signals) if calibrator else uncalibrated(row.signals)
    if row.failed:
        return Label(confidence, 1.0, row.probability, row.in_force or row.probability)
    loss = None if row.quality is None else 1.0 - row.quality
    return Label(confidence, loss, row.probability, row.in_force or row.probability)


def stale(
    held: Derivation | None,
    settings: DeferralSettings,
    small_model: str,
    experts: Sequence[str],
    labels: int,
    adapter: str | None = None,
) -> bool:
    """Whether a derivation is of other models, experts, another promise or measure, or many labels old."""
    if (
        held is None
        or (held.small_model, held.adapter, held.measure) != (small_model, adapter, NAME)
        or held.experts != tuple(sorted(experts))
    ):
        return True
    if (held.max_quality_loss, held.confidence) != (settings.max_quality_loss, settings.confidence):
        return True
    return labels >= max(held.labels + 10, held.labels * GROWTH)


def load(path: Path) -> Derivation | None:
    """The one in force; none where the file is absent, damaged, or of another version. Raises `WorkspaceError`."""
    try:
        return Derivation.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, ValidationError):
        return None
    except OSError as error:
        raise WorkspaceError(f"{path} can't be read: {error.strerror}") from error


def save(derivation: Derivation, path: Path) -> None:
    """Keep it, whole or not at all. Raises `WorkspaceError`."""
    try:
        write_atomically(path, json.dumps(derivation.model_dump(mode="json"), indent=2) + "\n")
    except OSError as error:
        raise WorkspaceError(f"{path} can't be written: {error.strerror}") from error
