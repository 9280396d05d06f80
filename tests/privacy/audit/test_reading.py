"""Selections and exports."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from audit_parts import tampering, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from understudy.core.errors import UserError, WorkspaceError
from understudy.privacy.audit.files import AuditFiles
from understudy.privacy.audit.reading import Selection, export, moment, selected, verify_export
from understudy.privacy.audit.seal import Seal

FAST = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> AuditFiles:
    return written(tmp_path_factory.mktemp("whole"))


def exported(files: AuditFiles, to: Path, selection: Selection = Selection()) -> Path:  # noqa: B008
    to.write_text("".join(line + "\n" for line in export(files, selection)))
    return to


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Selection(), [1, 2, 3, 4, 5, 6, 7]),
        (Selection(kind="egress"), [1, 6]),
        (Selection(thread="t2"), [3, 4]),
        (Selection(expert="other"), [6, 7]),
        (Selection(principal="bob", kind="refusal"), [3]),
        (Selection(collection="contracts", document="Miller v. Jones.pdf"), [1, 5, 6]),
        (Selection(document="Miller v. Jones.pdf"), []),
        (Selection(collection="minutes"), [1, 6]),
        (Selection(collection="minutes", document="any of it"), [1, 6]),
        (Selection(collection="contracts", document="another"), []),
        (Selection(since=datetime.now(UTC) + timedelta(days=1)), []),
        (Selection(until=datetime.now(UTC) + timedelta(days=1)), [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_selections(whole: AuditFiles, wanted: Selection, numbers: list[int]) -> None:
    assert [r["number"] for r in selected(whole, wanted)] == numbers


def test_days_and_moments() -> None:
    assert moment("2026-11-28") == datetime(2026, 11, 28, tzinfo=UTC)
    assert moment("2026-11-28", end=True) == datetime(2026, 11, 29, tzinfo=UTC)
    assert moment("2026-11-28T14:30", end=True) == datetime(2026, 11, 28, 14, 30, tzinfo=UTC)
    assert moment("2026-11-28T14:30+02:00") == datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
    with pytest.raises(UserError, match="no day or time"):
        moment("yesterday")


def test_an_export_is_verified_without_the_workspace(whole: AuditFiles, tmp_path: Path) -> None:
    found = verify_export(exported(whole, tmp_path / "e.jsonl"), whole.key)
    assert (found.ok, found.records, found.complete) == (True, 7, True)


def test_a_selection_says_that_it_is_one(whole: AuditFiles, tmp_path: Path) -> None:
    found = verify_export(exported(whole, tmp_path / "e.jsonl", Selection(kind="egress")), whole.key)
    assert (found.ok, found.records, found.complete) == (True, 2, False)


def test_a_few_lines_of_anybodys_code_verify_an_export(whole: AuditFiles, tmp_path: Path) -> None:
    key = bytes.fromhex(whole.key.read_text())
    for line in exported(whole, tmp_path / "e.jsonl").read_text().splitlines():
        purpose = b"head\0" if "head" in json.loads(line) else b"record\0"
        code = hmac.new(key, purpose + b"{" + line[len('{"mac":"",') + 64 :].encode(), hashlib.sha256)
        assert code.hexdigest() == json.loads(line)["mac"]


@FAST
@given(data=st.data())
def test_any_changed_byte_of_an_export_is_found(whole: AuditFiles, tmp_path: Path, data: st.DataObject) -> None:
    path = exported(whole, tmp_path / "e.jsonl")
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 127))
    path.write_bytes(raw)
    found = verify_export(path, whole.key)
    assert not found.ok


@FAST
@given(data=st.data())
def test_lines_taken_out_or_moved_are_found(whole: AuditFiles, tmp_path: Path, data: st.DataObject) -> None:
    path = exported(whole, tmp_path / "e.jsonl")
    *lines, head = path.read_text().splitlines()
    kept = data.draw(st.lists(st.sampled_from(lines), unique=True).filter(lambda k: k != lines))
    path.write_text("".join(line + "\n" for line in [*kept, head]))
    assert not verify_export(path, whole.key).ok


@FAST
@given(raw=st.binary(max_size=300))
def test_any_file_is_no_export_or_an_empty_one(whole: AuditFiles, tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(raw)
    try:
        found = verify_export(path, whole.key)
    except UserError:
        return
    assert found.records == 0
    assert found.ok == (raw == b"")


def test_what_is_not_genuine_is_neither_listed_nor_exported(whole: AuditFiles, tmp_path: Path) -> None:
    files = written(tmp_path / "copy")
    with tampering(files) as db:
        db.execute("UPDATE records SET body = ? WHERE number = 3", (b'{"number":3,"kind":"egress"}',))
    assert [r["number"] for r in selected(files, Selection())] == [1, 2, 4, 5, 6, 7]
    assert not verify_export(exported(files, tmp_path / "e.jsonl"), files.key).ok


def test_a_database_that_cannot_be_read(tmp_path: Path) -> None:
    files = written(tmp_path)
    files.database.write_bytes(b"none" * 1000)
    with pytest.raises(WorkspaceError, match="audit verify"):
        selected(files, Selection())


def test_another_key_verifies_nothing(whole: AuditFiles, tmp_path: Path) -> None:
    Seal.new().save(tmp_path / "key")
    found = verify_export(exported(whole, tmp_path / "e.jsonl"), tmp_path / "key")
    assert (found.ok, found.records) == (False, 0)
