"""Examples as training rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from example_parts import example

from understudy.core.types import Example, Message
from understudy.distillation.curate import Curated
from understudy.distillation.export import rows, taught_step, to_jsonl

BODY = "The night train to Oslo leaves at 22:40 from platform seven."


def taught(**changes: object) -> Example:
    """An example whose transcript shows a search, and the draft's step last."""
    made = example("platform seven", "from platform seven", BODY, "Which platform?")
    talk = [("user", "Question"), ("assistant", '{"kind":"search"}'), ("user", "passages"), ("assistant", "draft")]
    transcript = tuple(Message(role=role, content=content) for role, content in talk)  # type: ignore[arg-type]
    expert = made.expert.model_copy(update=changes)
    return made.model_copy(update={"transcript": transcript, "expert": expert})


def test_the_prompt_ends_before_the_step_that_is_taught() -> None:
    (row,) = rows([Curated(taught())], ["train"])
    assert [m["content"] for m in row["prompt"]] == ["Question", '{"kind":"search"}', "passages"]
    step = json.loads(row["completion"][0]["content"])
    assert step == {
        "kind": "answer",
        "quotes": [{"passage": 1, "quote": "from platform seven"}],
        "text": "platform seven",
    }
    assert row["versions"] == [{"document": "report.md", "version": "v1"}]


def test_what_is_not_in_the_documents_teaches_to_decline() -> None:
    (row,) = rows([Curated(taught(not_in_documents=True, citations=()))], ["train"])
    assert json.loads(row["completion"][0]["content"])["kind"] == "decline"


def test_a_rejected_example_teaches_nothing_and_says_why() -> None:
    (row,) = rows([Curated(taught(), "the expert refused")], ["gate"])
    assert (row["completion"], row["rejected"], row["role"]) == ([], "the expert refused", "gate")


def test_a_model_that_never_searched_is_not_taught_to_quote() -> None:
    assert taught_step(example("platform seven", "from platform seven", BODY)) is None


def test_datasets_reads_the_lines(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets isn't installed")
    file = tmp_path / "examples.jsonl"
    file.write_text(to_jsonl(rows([Curated(taught()), Curated(taught(not_in_documents=True))], ["train", "train"])))
    read = datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(read) == 2
    assert read[0]["prompt"][0] == {"role": "user", "content": "Question"}
