"""The Python file of a schema: found, run where it is named, and its errors in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from understudy.apps.batch.schema import load_again, load_schema
from understudy.core.errors import UserError
from understudy.core.jobs import SchemaSource

GOOD = """from __future__ import annotations
from datetime import date
from pydantic import BaseModel, Field
ran = []

class Clauses(BaseModel):
    signed: date | None = Field(None, description="When was it signed?")

class Other(BaseModel):
    pass

NUMBER = 5
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contract.py").write_text(GOOD)
    return tmp_path / "contract.py"


def test_a_class_of_a_file_by_its_whole_path(path: Path) -> None:
    found = load_schema("contract.py:Clauses")
    assert found.source.name == f"{path}:Clauses"
    assert [f.question for f in found.extraction.fields] == ["When was it signed?"]
    assert [p.name for p in path.parent.iterdir()] == ["contract.py"], "nothing is left beside it"


def test_a_changed_file_is_another_and_is_not_run_again_unnamed(path: Path) -> None:
    first = load_schema("contract.py:Clauses")
    assert load_again(first.source).source == first.source
    path.write_text(GOOD.replace("When was it signed?", "When?") + f"open({str(path.parent / 'ran')!r}, 'w')")
    with pytest.raises(UserError, match="has changed since the job was begun"):
        load_again(first.source)
    assert not (path.parent / "ran").exists()
    assert [f.question for f in load_schema("contract.py:Clauses").extraction.fields] == ["When?"]
    assert (path.parent / "ran").exists()


def test_a_class_of_a_module(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    path.rename(path.with_name("schema_of_a_test.py"))
    found = load_schema("schema_of_a_test:Clauses")
    assert found.source.name == "schema_of_a_test:Clauses"
    assert load_again(found.source).extraction.schema is found.extraction.schema


@pytest.mark.parametrize(
    ("named", "source", "why"),
    [
        ("contract.py", GOOD, "name a file and a class in it, such as contract.py:Clauses"),
        ("contract.py:", GOOD, "name a file and a class"),
        ("contract.py:No", GOOD, "holds no class 'No'; its models are Clauses, Other"),
        ("contract.py:NUMBER", GOOD, "'NUMBER' is no pydantic model"),
        ("contract.py:BaseModel", GOOD, "'BaseModel' is no pydantic model"),
        ("contract.py:Other", GOOD, "Other has no fields"),
        ("gone.py:Clauses", GOOD, "gone.py: can't be read (No such file or directory)"),
        ("contract:Clauses", GOOD, "there is no such module; a file is named with its ending .py"),
        ("no.such:Clauses", GOOD, "ModuleNotFoundError: No module named 'no'"),
        ("contract.py:Clauses", "class Clauses(\n", "contract.py: line 1: SyntaxError"),
        ("contract.py:Clauses", "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("contract.py:Clauses", "1 / 0", "ZeroDivisionError: division by zero"),
        ("contract.py:Clauses", "raise SystemExit('bye')", "SystemExit: bye"),
        ("contract.py:Clauses", "\0", "SyntaxError"),
        ("contract.py:Clauses", "from pydantic import BaseModel\nclass Clauses(BaseModel):\n  x: No", "x"),
    ],
)
def test_what_is_wrong_is_one_line(path: Path, named: str, source: str, why: str) -> None:
    path.write_text(source)
    with pytest.raises(UserError) as error:
        load_schema(named)
    assert why in str(error.value)
    assert "\n" not in str(error.value)


def test_what_was_refused_leaves_no_module(path: Path) -> None:
    path.write_text("1 / 0")
    with pytest.raises(UserError):
        load_schema("contract.py:Clauses")
    held = [m for m in sys.modules.values() if getattr(m, "__file__", None) == str(path)]
    assert held == []


def test_a_file_that_went_away_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        load_again(SchemaSource(name=f"{tmp_path / 'gone.py'}:Clauses", sha256=""))
