"""A model of names through the whole agent: named in `understudy.toml`, loaded when needed, and nothing leaves without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_openai import completion, serving
from ner_parts import token_classifier

from understudy.agents import Agent
from understudy.core.errors import ModelFileError

NOTE = """# Shift report

The drug of bed seven was seen by amber at the harbour, and amber wrote down 500 mg twice a day.
"""
QUESTION = "Which dose did amber write down?"
TOML = """
[privacy]
ner = "models/names"
[deferral]
min_confidence = 1.0
audit_rate = 0.0
[[experts]]
name = "gpt"
model = "openai:fake"
base_url = "{url}"
retries = 0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "report.md").write_text(NOTE)
    with Agent.open(tmp_path / "w") as agent:
        agent.ingest([tmp_path / "report.md"])
    token_classifier(tmp_path / "w" / "models" / "names")
    return tmp_path / "w"


def reply(**said: Any) -> str:
    return json.dumps(completion(json.dumps({"not_in_documents": False, "citations": []} | said, ensure_ascii=False)))


def test_what_it_finds_stays_and_comes_back(folder: Path) -> None:
    quote = "⟦PERSON_1⟧ wrote down 500 mg twice a day"
    with serving(reply(answer="⟦PERSON_1⟧’s dose: 500 mg", citations=[{"passage": 1, "quote": quote}])) as server:
        (folder / "understudy.toml").write_text(TOML.format(url=server.url))
        with Agent.open(folder) as agent:
            answer = agent.ask(QUESTION)
            status = agent.status()
    sent = json.dumps(server.requests, ensure_ascii=False)
    assert "500 mg twice a day" in sent
    assert "⟦PERSON_1⟧" in sent
    assert "⟦PLACE_1⟧" in sent
    assert "amber" not in sent
    assert "harbour" not in sent
    assert (answer.route, answer.text) == ("expert", "amber’s dose: 500 mg")
    assert [c.quote for c in answer.citations] == ["amber wrote down 500 mg twice a day"]
    assert status["ner"] == str(folder / "models" / "names")


def test_without_one_the_lists_alone_are_used(folder: Path) -> None:
    with serving(reply(answer="500 mg")) as server:
        (folder / "understudy.toml").write_text(TOML.format(url=server.url).replace("ner =", "# ner ="))
        with Agent.open(folder) as agent:
            agent.ask(QUESTION)
            assert agent.status()["ner"] is None
    assert "amber" in json.dumps(server.requests)


def test_a_model_that_cant_be_loaded_lets_nothing_out(folder: Path) -> None:
    (folder / "models" / "names" / "tokenizer.json").write_text("{}")
    with serving(reply(answer="500 mg")) as server:
        (folder / "understudy.toml").write_text(TOML.format(url=server.url))
        with Agent.open(folder) as agent:
            answer = agent.ask(QUESTION)
    assert server.requests == []
    assert "can't be loaded" in answer.reason
    assert answer.route in ("local", "declined")


def test_a_wrong_folder_is_said_at_opening(folder: Path) -> None:
    (folder / "understudy.toml").write_text('[privacy]\nner = "modles"')
    with pytest.raises(ModelFileError, match=r"privacy\.ner: there is no folder .*modles"):
        Agent.open(folder)
    done = subprocess.run(
        [sys.executable, "-m", "understudy.apps.cli", "--workspace", str(folder), "status"],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": ":".join(sys.path), "COLUMNS": "400"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "there is no folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_opening_loads_nothing(folder: Path) -> None:
    (folder / "understudy.toml").write_text('[privacy]\nner = "models/names"')
    code = (
        "import sys; from understudy.agents import Agent; agent = Agent.open(sys.argv[1]); "
        "print(agent.status()['ner'], 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stdout.split() == [str(folder / "models" / "names"), "False", "False"]
