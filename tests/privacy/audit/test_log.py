"""The audit log as it is written: on the disk before it returns, one chain for all threads, whole after a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from audit_parts import bodies, egress, every_kind, files_in, tampering, written

from understudy.core.audit import Erasure
from understudy.core.errors import WorkspaceError
from understudy.core.settings import AuditSettings
from understudy.core.workspace import Workspace
from understudy.privacy.audit.files import AuditFiles, Head
from understudy.privacy.audit.log import Glance, SqliteAuditLog
from understudy.privacy.audit.seal import Seal
from understudy.privacy.audit.verify import verify


def test_records_are_numbered_and_read_back_as_they_were_told(tmp_path: Path) -> None:
    log = SqliteAuditLog(files_in(tmp_path))
    assert [log.append(record) for record in every_kind()] == [1, 2, 3, 4, 5, 6, 7]
    held = log.records()
    assert [r["kind"] for r in held] == ["egress", "result", "refusal", "approval", "erasure", "egress", "result"]
    assert held[0]["replaced"] == {"PERSON": 2}
    assert held[1]["spent"] == {"usd": 0.01, "calls": 1, "tokens": 450}
    assert log.verify().ok


def test_a_documents_name_is_not_in_it_but_can_be_looked_for(tmp_path: Path) -> None:
    files = written(tmp_path)
    for file in tmp_path.iterdir():
        assert b"Miller" not in file.read_bytes()
    seal = Seal.load(files.key)
    name = seal.document("contracts", "Miller v. Jones.pdf")
    held = bodies(files)
    assert held[0]["documents"] == sorted([name, seal.document("minutes", None)]), "each by its own collection"
    assert held[0]["quoted"] == [name]
    assert held[4]["document"] == name
    assert name != seal.document("other", "Miller v. Jones.pdf")


def test_all_its_files_are_the_owners_alone(tmp_path: Path) -> None:
    log = SqliteAuditLog(files_in(tmp_path))
    log.append(egress())
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert set(modes) >= {"audit.sqlite", "audit.key", "audit.head"}
    assert set(modes.values()) == {0o600}


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    files = written(tmp_path)
    files.key.chmod(0o640)
    with pytest.raises(WorkspaceError, match="chmod 600"):
        SqliteAuditLog(files).append(egress())


def test_nothing_is_made_before_the_first_record(tmp_path: Path) -> None:
    log = SqliteAuditLog(files_in(tmp_path))
    assert log.records() == []
    assert log.verify().ok
    assert not list(tmp_path.iterdir())


def test_threads_append_at_once(tmp_path: Path) -> None:
    log = SqliteAuditLog(files_in(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda n: log.append(egress(thread=f"t{n}")), range(64)))
    assert sorted(numbers) == list(range(1, 65))
    found = log.verify()
    assert (found.ok, found.records) == (True, 64)
    assert {r["thread"] for r in log.records()} == {f"t{n}" for n in range(64)}


def test_key_and_head_may_lie_outside_the_workspace(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "w")
    files = AuditFiles.of(workspace, AuditSettings(key_directory=tmp_path / "keys"))
    SqliteAuditLog(files).append(egress())
    assert {f.suffix for f in (tmp_path / "keys").iterdir()} == {".key", ".head"}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert verify(files).ok
    # Another workspace may use the same directory.
    other = AuditFiles.of(Workspace.open(tmp_path / "v"), AuditSettings(key_directory=tmp_path / "keys"))
    assert SqliteAuditLog(other).append(egress()) == 1


def test_a_reopened_log_goes_on(tmp_path: Path) -> None:
    files = written(tmp_path, 3)
    assert SqliteAuditLog(files).append(egress()) == 4
    assert verify(files).records == 4


def test_the_database_itself_lets_nothing_be_changed(tmp_path: Path) -> None:
    files = written(tmp_path)
    with closing(sqlite3.connect(files.database)) as db:
        for statement in ("DELETE FROM records", "UPDATE records SET mac = x'00'"):
            with pytest.raises(sqlite3.IntegrityError, match="only grows"):
                db.execute(statement)


@pytest.mark.parametrize("gone", ["audit.key", "audit.head", "audit.sqlite"])
def test_without_one_of_its_parts_nothing_is_written(tmp_path: Path, gone: str) -> None:
    files = written(tmp_path)
    for file in tmp_path.glob(f"{gone}*"):
        file.unlink()
    with pytest.raises(WorkspaceError, match="nothing is sent"):
        SqliteAuditLog(files).append(egress())
    assert not verify(files).ok


@pytest.mark.parametrize(
    "break_it",
    ["DELETE FROM records WHERE number = 7", "UPDATE records SET mac = x'00' WHERE number = 7", "DELETE FROM records"],
)
def test_a_log_that_does_not_end_as_its_head_says_takes_no_more(tmp_path: Path, break_it: str) -> None:
    files = written(tmp_path)
    with tampering(files) as db:
        db.execute(break_it)
    with pytest.raises(WorkspaceError, match="nothing is sent"):
        SqliteAuditLog(files).append(egress())


def test_a_database_that_swallows_records_takes_none(tmp_path: Path) -> None:
    files = written(tmp_path)
    with tampering(files) as db:
        db.execute("CREATE TRIGGER swallow BEFORE INSERT ON records BEGIN SELECT RAISE(IGNORE); END")
    with pytest.raises(WorkspaceError, match="nothing is sent"):
        SqliteAuditLog(files).append(egress())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    files = AuditFiles(tmp_path / "absent" / "audit.sqlite", tmp_path / "k", tmp_path / "h")
    with pytest.raises(WorkspaceError, match="nothing is sent"):
        SqliteAuditLog(files).append(egress())


def test_a_glance_says_how_far_it_goes_and_makes_nothing(tmp_path: Path) -> None:
    log = SqliteAuditLog(files_in(tmp_path))
    assert log.glance() == Glance(head=str(log.files.head))
    assert not list(tmp_path.iterdir())
    for record in every_kind():
        log.append(record)
    before = log.files.head.read_bytes()
    assert log.glance() == SqliteAuditLog(log.files).glance() == Glance(records=7, head=str(log.files.head))
    assert log.files.head.read_bytes() == before
    announced = head_of(log.files).model_copy(update={"pending": "ab" * 32})
    log.files.write_head(announced, Seal.load(log.files.key))
    assert log.glance().trouble is None, "an interrupted write is put right by the next"


@pytest.mark.parametrize("gone", ["audit.key", "audit.head", "audit.sqlite"])
def test_a_glance_tells_that_nothing_is_sent(tmp_path: Path, gone: str) -> None:
    files = written(tmp_path)
    for file in tmp_path.glob(f"{gone}*"):
        file.unlink()
    assert "nothing is sent" in (SqliteAuditLog(files).glance().trouble or "")


def head_of(files: AuditFiles) -> Head:
    return files.read_head(Seal.load(files.key))


def test_an_announced_record_that_never_came_is_withdrawn_and_noted(tmp_path: Path) -> None:
    files = written(tmp_path, 3)
    head = head_of(files)
    files.write_head(head.model_copy(update={"pending": "ab" * 32}), Seal.load(files.key))
    (finding,) = verify(files).findings
    assert (finding.kind, finding.record) == ("interrupted", 4)
    assert SqliteAuditLog(files).append(egress()) == 5
    assert verify(files).ok
    assert bodies(files)[3] | {"time": ""} == {
        "number": 4, "previous": head.last, "time": "", "kind": "interruption", "announced": "ab" * 32, "stored": False,
    }  # fmt: skip


def test_a_stored_record_that_was_not_counted_is_counted_and_noted(tmp_path: Path) -> None:
    files = written(tmp_path, 4)
    seal, last = Seal.load(files.key), head_of(files).last
    before = bodies(files)[3]["previous"]
    files.write_head(Head(count=3, last=str(before), pending=last), seal)
    (finding,) = verify(files).findings
    assert (finding.kind, finding.record) == ("interrupted", 4)
    assert SqliteAuditLog(files).append(egress()) == 6
    assert verify(files).ok
    assert (bodies(files)[4]["announced"], bodies(files)[4]["stored"]) == (last, True)


def test_a_log_whose_making_was_cut_short_begins_anew(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.write_head(Head(), Seal.new())  # and then the key was to be written
    assert SqliteAuditLog(files).append(egress()) == 1
    assert verify(files).ok


APPENDING = """
import sys
from pathlib import Path
from audit_parts import egress, files_in
from understudy.privacy.audit.log import SqliteAuditLog
log = SqliteAuditLog(files_in(Path(sys.argv[1])))
while True:
    print(log.append(egress()), flush=True)
"""


@pytest.mark.parametrize("round_", range(8))
def test_a_kill_at_any_moment_leaves_a_log_that_goes_on(tmp_path: Path, round_: int) -> None:
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, "-c", APPENDING, str(tmp_path)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05 + 0.0137 * round_)
        process.send_signal(signal.SIGKILL)
        said = process.stdout.read().split()
    told = int(said[-1]) if said else 1  # its record had been written when it was told
    files = files_in(tmp_path)
    found = verify(files)
    assert {f.kind for f in found.findings} <= {"interrupted"}
    assert found.records >= told
    log = SqliteAuditLog(files)
    log.append(egress())
    assert log.verify().ok
    notes = [r for r in log.records() if r["kind"] == "interruption"]
    assert len(notes) == len(found.findings)


@pytest.mark.parametrize("step", range(6))
def test_every_step_of_a_write_may_be_the_last(tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between any two writes: of the announcement, of the record, of the head, of the files' renames."""
    files = written(tmp_path, 3)
    calls = 0

    def trap(name: str, real: object) -> object:
        def call(*arguments: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls > step:
                raise KeyboardInterrupt
            return real(*arguments, **named)  # type: ignore[operator]

        return call

    monkeypatch.setattr(os, "fsync", trap("fsync", os.fsync))
    with pytest.raises(KeyboardInterrupt) if step < 4 else pytest.MonkeyPatch.context():
        SqliteAuditLog(files).append(egress())
    monkeypatch.undo()
    found = verify(files)
    assert {f.kind for f in found.findings} <= {"interrupted"}
    assert SqliteAuditLog(files).append(egress()) >= 4
    assert verify(files).ok


def test_the_note_of_an_interruption_survives_one_more(tmp_path: Path) -> None:
    files = written(tmp_path, 2)
    seal, head = Seal.load(files.key), head_of(files)
    files.write_head(head.model_copy(update={"pending": "ab" * 32}), seal)
    log = SqliteAuditLog(files)
    log.append(Erasure(by="ann", collection="c", document="d", gone={}))
    assert [r["kind"] for r in log.records()][-2:] == ["interruption", "erasure"]
