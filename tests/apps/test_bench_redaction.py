"""Suite `redaction` on a data folder made here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from understudy.apps.bench.redaction import measure_redaction

MAIL = {"text": "Maria Lopez wrote to jo@acme.example.", "spans": [
    {"type": "EMAIL_ADDRESS", "start": 21, "end": 36}, {"type": "PERSON", "start": 0, "end": 11}, {"type": "TITLE", "start": 12, "end": 17},
]}  # fmt: skip


def written(path: Path, *records: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(r) + "\n" for r in records)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split in ("synth_v2", "generated_large"):
        written(tmp_path / "presidio_pii" / f"spans.{split}.jsonl.gz", *[MAIL] * 4)
    query = "Maria Lopez, who likes zorb, asks for a short poem."
    written(tmp_path / "pupa" / "queries.dev.jsonl.gz", {"id": "p", "query": query, "private": ["maria lopez", "zorb"]})
    for name in ("tatqa", "cuad", "agentclinic"):
        written(tmp_path / name / "documents.jsonl.gz", {"text": "Revenue was 412.6 in 2023. Call 555-123-4567."})
    return tmp_path


def test_figures_count_what_they_say(data: Path) -> None:
    figures = measure_redaction(data, 20, 17)
    labelled = figures["presidio_pii synth_v2"]
    assert labelled["identifiers with a pattern"] == {"recall": 1.0, "precision": 1.0}
    assert labelled["all types"]["recall"] == pytest.approx(2 / 3)
    assert figures["pupa"]["left"] == 0.5
    assert figures["pupa"]["kept"] == 1.0
    assert figures["restored"]["share"] == 1.0
    assert figures["tatqa"] == {"numbers": 5, "kept": 0.4, "lost to": {"PHONE": 3}}
