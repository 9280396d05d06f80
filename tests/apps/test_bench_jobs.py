"""Suite `batch` asks the same by a loop and by a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.apps.bench import jobs
from understudy.core.errors import DocumentError

CONTRACT = {
    "id": "lease",
    "text": "\n\n".join(f"Section {n}. The tenant pays {n}00 dollars in month {n}." for n in range(1, 30)),
}
QUESTIONS = ["What does the tenant pay in month 3?", "Who pays in month 7?", "What is Section 9 about?"]


def test_a_loop_and_a_job_are_measured_on_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "drawn", lambda *_: ([CONTRACT], QUESTIONS))
    monkeypatch.setattr(jobs, "CONTEXTS", (4096,))
    found = jobs.measure_jobs(Path("nowhere"), 1, 0)
    assert (found["contracts"], found["questions_each"]) == (1, 3)
    starter, shown = found["starter"], found["shown_passages_4096"]
    for part in (starter, shown):
        assert part["questions"] == 3
        for side in (part["loop"], part["job"]):
            assert side["answers_a_minute"] > 0
            assert 0 < side["inside_llama_cpp"] < 1
            assert side["prompt_tokens_evaluated"] > 0
        assert part["times_faster"] > 0
    assert starter["same_answers"] == 1.0, "nothing that is asked beside a question changes its answer"
    assert starter["questions_whose_documents_passages_fit_together"] is None
    assert shown["questions_whose_documents_passages_fit_together"] == 1.0
    assert shown["fewer_prompt_tokens"] > 0


def test_without_data_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(DocumentError):
        jobs.measure_jobs(tmp_path, 1, 0)
