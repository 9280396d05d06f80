"""Whatever was done to a log is found, and said."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from audit_parts import egress, files_in, tampering, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from understudy.privacy.audit.files import AuditFiles
from understudy.privacy.audit.log import SqliteAuditLog
from understudy.privacy.audit.verify import Anchor, Verification, verify

COUNT = 7
KEEP = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> AuditFiles:
    return written(tmp_path_factory.mktemp("whole"), COUNT)


def copied(whole: AuditFiles, folder: Path) -> AuditFiles:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole.database.parent, folder)
    return files_in(folder)


def kinds(found: Verification) -> set[str]:
    return {f.kind for f in found.findings}


def said(found: Verification) -> str:
    return "; ".join(f.what for f in found.findings)


def test_a_whole_log(whole: AuditFiles) -> None:
    found = verify(whole)
    assert (found.ok, found.records, found.complete) == (True, COUNT, True)


@KEEP
@given(record=st.integers(1, COUNT), column=st.sampled_from(["body", "mac"]), data=st.data())
def test_any_changed_byte_is_found(
    whole: AuditFiles, tmp_path: Path, record: int, column: str, data: st.DataObject
) -> None:
    files = copied(whole, tmp_path / "copy")
    with tampering(files) as db:
        (old,) = db.execute(f"SELECT {column} FROM records WHERE number = ?", (record,)).fetchone()
        at, flip = data.draw(st.integers(0, len(old) - 1)), data.draw(st.integers(1, 255))
        new = old[:at] + bytes([old[at] ^ flip]) + old[at + 1 :]
        db.execute(f"UPDATE records SET {column} = ? WHERE number = ?", (new, record))
    found = verify(files)
    assert ("changed", record) in {(f.kind, f.record) for f in found.findings}
    assert f"record {record} is not as it was written" in said(found)


@KEEP
@given(data=st.data())
def test_any_changed_byte_of_a_records_cell_in_the_file_is_found(
    whole: AuditFiles, tmp_path: Path, data: st.DataObject
) -> None:
    """Below SQL: lengths, types and numbers of rows are bytes too."""
    files = copied(whole, tmp_path / "copy")
    raw = bytearray(files.database.read_bytes())
    cells = cells_of(files.database, bytes(raw))
    at = data.draw(st.sampled_from([n for start, end in cells for n in range(start, end)]))
    raw[at] ^= data.draw(st.integers(1, 255))
    files.database.write_bytes(raw)
    assert not verify(files).ok


def cells_of(database: Path, raw: bytes) -> list[tuple[int, int]]:
    """Where records lie in the file, by their body and code, with the header before them."""
    with sqlite3.connect(database) as db:
        rows = db.execute("SELECT body, mac FROM records").fetchall()
    places = []
    for body, mac in rows:
        at = raw.index(body + mac)
        places.append((at - 7, at + len(body) + len(mac)))  # payload length (2), number, header: size, NULL, 2 types
    return places


@pytest.mark.parametrize("record", range(1, COUNT + 1))
def test_a_removed_record_is_named(whole: AuditFiles, tmp_path: Path, record: int) -> None:
    files = copied(whole, tmp_path / "copy")
    with tampering(files) as db:
        db.execute("DELETE FROM records WHERE number = ?", (record,))
    found = verify(files)
    expected = "cut off" if record == COUNT else "removed"
    assert (expected, record) in {(f.kind, f.record) for f in found.findings}


@pytest.mark.parametrize("record", range(1, COUNT))
def test_a_removed_record_whose_gap_was_closed(whole: AuditFiles, tmp_path: Path, record: int) -> None:
    files = copied(whole, tmp_path / "copy")
    with tampering(files) as db:
        db.execute("DELETE FROM records WHERE number = ?", (record,))
        db.execute("UPDATE records SET number = number - 1 WHERE number > ?", (record,))
    found = verify(files)
    assert ("removed", record) in {(f.kind, f.record) for f in found.findings}
    assert "moved" in kinds(found)


@pytest.mark.parametrize("left", range(COUNT))
def test_a_cut_off_tail(whole: AuditFiles, tmp_path: Path, left: int) -> None:
    files = copied(whole, tmp_path / "copy")
    with tampering(files) as db:
        db.execute("DELETE FROM records WHERE number > ?", (left,))
    assert ("cut off", left + 1) in {(f.kind, f.record) for f in verify(files).findings}


@KEEP
@given(pair=st.lists(st.integers(1, COUNT), min_size=2, max_size=2, unique=True))
def test_swapped_records(whole: AuditFiles, tmp_path: Path, pair: list[int]) -> None:
    files = copied(whole, tmp_path / "copy")
    one, other = pair
    with tampering(files) as db:
        for old, new in ((one, -1), (other, one), (-1, other)):
            db.execute("UPDATE records SET number = ? WHERE number = ?", (new, old))
    found = verify(files)
    assert {(f.kind, f.record) for f in found.findings} == {("moved", one), ("moved", other)}


@pytest.mark.parametrize("where", [0, 8, 99, -3])
def test_an_inserted_record(whole: AuditFiles, tmp_path: Path, where: int) -> None:
    files = copied(whole, tmp_path / "copy")
    with tampering(files) as db:
        db.execute("INSERT INTO records VALUES (?, ?, ?)", (where, b'{"number":8}', b"\0" * 32))
        db.execute("INSERT INTO records SELECT 100, body, mac FROM records WHERE number = 2")
    found = verify(files)
    assert kinds(found) == {"inserted"}
    assert "record 2 stands there twice" in said(found)
    assert f"place {where} is no record" in said(found)


@pytest.mark.parametrize("value", [None, "text", 17])
def test_what_is_not_even_bytes(whole: AuditFiles, tmp_path: Path, value: object) -> None:
    files = copied(whole, tmp_path / "copy")
    with tampering(files) as db:
        db.execute("CREATE TABLE loose AS SELECT * FROM records")
        db.execute("DROP TABLE records")
        db.execute("ALTER TABLE loose RENAME TO records")
        db.execute("UPDATE records SET body = ? WHERE number = 3", (value,))
    assert ("changed", 3) in {(f.kind, f.record) for f in verify(files).findings}


def states(folder: Path, count: int) -> tuple[AuditFiles, list[str]]:
    """A log, and its head as it was after every record."""
    log = SqliteAuditLog(files_in(folder))
    heads = []
    for _ in range(count):
        log.append(egress())
        heads.append(log.files.head.read_text())
    log.close()
    return log.files, heads


@pytest.mark.parametrize("state", range(5))
def test_a_head_of_an_older_state(tmp_path: Path, state: int) -> None:
    files, heads = states(tmp_path, 6)
    files.head.write_text(heads[state])
    found = verify(files)
    assert kinds(found) == {"head"}
    assert f"the head counts {state + 1} records, and the log goes on to 6" in said(found)


@KEEP
@given(data=st.data())
def test_any_changed_byte_of_the_head_is_found(whole: AuditFiles, tmp_path: Path, data: st.DataObject) -> None:
    files = copied(whole, tmp_path / "copy")
    raw = bytearray(files.head.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 2))] ^= data.draw(st.integers(1, 255))
    files.head.write_bytes(raw)
    assert kinds(verify(files)) == {"head"}


def test_two_states_mixed(whole: AuditFiles, tmp_path: Path) -> None:
    """An older copy of everything is put back, goes on, and then gets the newer records back."""
    old, new = copied(whole, tmp_path / "old"), copied(whole, tmp_path / "new")
    for files, name in ((old, "old"), (new, "new")):
        log = SqliteAuditLog(files)
        log.append(egress(name))
        log.append(egress(name))
        log.close()
    with tampering(new) as db, sqlite3.connect(old.database) as source:
        row = source.execute("SELECT * FROM records WHERE number = 8").fetchone()
        db.execute("DELETE FROM records WHERE number = 8")
        db.execute("INSERT INTO records VALUES (?, ?, ?)", row)
    found = verify(new)
    assert "replaced" in kinds(found)
    assert "record 9 doesn't continue record 8" in said(found)


def test_an_older_copy_of_everything_is_found_by_an_anchor_alone(tmp_path: Path) -> None:
    files = written(tmp_path / "now", 4)
    shutil.copytree(tmp_path / "now", tmp_path / "then")
    SqliteAuditLog(files).append(egress())
    noted = verify(files).head
    assert noted is not None
    number, _, code = noted.partition(":")
    anchor = Anchor(int(number), code)
    assert verify(files, anchor).ok
    older = files_in(tmp_path / "then")
    assert verify(older).ok  # nothing in it contradicts itself
    assert kinds(verify(older, anchor)) == {"anchor"}


def test_another_key(whole: AuditFiles, tmp_path: Path) -> None:
    files = copied(whole, tmp_path / "copy")
    files.key.write_text("00" * 32)
    found = verify(files)
    assert found.records == 0
    assert "head" in kinds(found)


def test_a_database_that_is_none(whole: AuditFiles, tmp_path: Path) -> None:
    files = copied(whole, tmp_path / "copy")
    files.database.write_bytes(b"nothing of the kind" * 300)
    assert {"unreadable", "cut off"} <= kinds(verify(files))
