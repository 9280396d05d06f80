"""What is measured was never trained on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from understudy.apps.bench.data import squad_questions
from understudy.apps.folder import read_lines
from understudy.apps.starter.corpus import squad_readings


@pytest.mark.data
def test_nothing_measured_was_trained_on(real_data: Path) -> None:
    documents = list(read_lines(real_data / "squad" / "documents.jsonl.gz"))
    measured = {q.document for q in squad_questions(real_data)}
    titles = {d["title"] for d in documents if d["id"] in measured}
    assert all(hashlib.md5(t.encode()).hexdigest()[0] in "0123" for t in titles)
    texts = {d["text"] for d in documents if d["id"] in measured}
    assert len(texts) > 50
    assert texts.isdisjoint({r.passage for r in squad_readings(real_data)})
