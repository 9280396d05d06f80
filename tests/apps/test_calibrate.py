"""`understudy calibrate`: the threshold with its grounds, the reliability diagram as a table and as a picture."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from rich.console import Console

from understudy.agents.deferral.derive import derive
from understudy.agents.deferral.outcomes import Row
from understudy.agents.deferral.reliability import Calibration, calibration_of
from understudy.apps.picture import draw_reliability
from understudy.apps.present import show_calibration
from understudy.core.errors import UserError
from understudy.core.settings import DeferralSettings

LOOSE = DeferralSettings(max_quality_loss=0.1)


def found(count: int) -> Calibration:
    rng = random.Random(3)
    rows = []
    for _ in range(count):
        sure = rng.random()
        right = float(rng.random() < min(1.0, 0.3 + sure))
        rows.append(Row(rng.choice(["train", "calibrate"]), True, {"support": 8 * sure - 3}, 1.0, right))
    return calibration_of(rows, derive(rows, LOOSE, "starter@1"))


def shown(calibration: Calibration) -> str:
    console = Console(file=io.StringIO(), width=120)
    show_calibration(console, calibration)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_promise_is_shown_with_its_grounds() -> None:
    text = shown(found(3000))
    assert "loss against always asking the expert 0.1 at most, with 90% confidence" in text
    assert "of questions go to an expert" in text
    assert "ECE 0." in text
    assert "AUROC 0." in text
    assert "starter@1" in text


def test_missing_labels_are_counted_and_a_hopeless_promise_is_called_so() -> None:
    assert "22 more labels are needed at the least" in shown(found(0))
    strict = found(60).model_copy()
    hopeless = strict.derivation.model_copy(update={"threshold": None, "missing": 0})
    assert "no threshold keeps the promise" in shown(strict.model_copy(update={"derivation": hopeless}))


def test_a_picture(tmp_path: Path) -> None:
    draw_reliability(found(300), tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="nothing to draw"):
        draw_reliability(found(0), tmp_path / "none.png")
    with pytest.raises(UserError, match="can't be written"):
        draw_reliability(found(300), tmp_path / "nowhere" / "a.png")
