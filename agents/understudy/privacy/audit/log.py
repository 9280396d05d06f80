"""The audit log of a workspace: SQLite that only grows, each record under a code, its head in a file of its own.

A record's body is JSON: its number, the code of the record before it, the time, and what happened. The code is HMAC
over exactly those bytes. So each record is proof of itself and of its place, and the head is proof of the last one.

What a killed process leaves (see `files`), and how the next write puts it right:

- the head announces a record that isn't in the database: it never got there, and what it was to precede was never sent.
  The announcement is withdrawn.
- the head announces the record that the database ends with: it is counted.

Either way the log notes the interruption in a record of its own. Whatever else doesn't fit is no accident that the
program knows of: nothing is appended, so nothing leaves, until a person has looked (`verify`).
"""

from __future__ import annotations

import hmac
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Column, Connection, Engine, Integer, LargeBinary, MetaData, Table, insert

from understudy.core.audit import AuditRecord, Egress, Erasure, Interruption
from understudy.core.data import Data
from understudy.core.errors import WorkspaceError
from understudy.core.sqlite import now, open_sqlite, workspace_errors
from understudy.core.types import Scope
from understudy.privacy.audit.files import AuditFiles, Head
from understudy.privacy.audit.reading import Selection, export, selected
from understudy.privacy.audit.seal import Seal
from understudy.privacy.audit.verify import Anchor, Verification, verify

__all__ = ["Glance", "SqliteAuditLog"]

metadata = MetaData()
records = Table(
    "records",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)
ONLY_GROWS = "CREATE TRIGGER IF NOT EXISTS no_{} BEFORE {} ON records BEGIN SELECT RAISE(ABORT, '{}'); END"
"""Against our own mistakes; against others there are the codes."""

EVERYTHING = Selection()
Row = tuple[int, bytes, bytes]
"""Number, body, code."""


class Glance(Data):
    """A log in short; only `verify` looks at every record."""

    records: int = 0
    head: str
    """The file that says how far it goes."""
    trouble: str | None = None
    """Why nothing is sent: it doesn't end as its head says."""


class SqliteAuditLog:
    """An `AuditLog` on SQLite. Threads may append at once; processes take turns by the workspace's lock.

    Nothing is opened or made before the first record, so a log that can't be used keeps nobody from asking what
    doesn't leave.

    Args:
        files: where its parts lie.
    """

    def __init__(self, files: AuditFiles) -> None:
        self.files = files
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._seal: Seal | None = None

    def close(self) -> None:
        """Close the database."""
        if self._engine is not None:
            self._engine.dispose()

    def append(self, record: AuditRecord) -> int:
        """Write a record to the disk, and give its number. Raises `WorkspaceError`; then nothing may leave."""
        with self._lock, unwritable(self.files):
            engine, seal = self._opened()
            head = self._settled(engine, seal)
            return self._add(engine, seal, head, record).count

    def verify(self, anchor: Anchor | None = None) -> Verification:
        """Check every record; see `understudy.privacy.audit.verify`."""
        with self._lock:
            return verify(self.files, anchor)

    def records(self, selection: Selection = EVERYTHING) -> list[dict[str, Any]]:
        """The records that are wanted, oldest first, as plain data. Raises `WorkspaceError`."""
        with self._lock:
            return selected(self.files, selection)

    def export(self, selection: Selection = EVERYTHING) -> list[str]:
        """JSON Lines that can be verified elsewhere with the key. Raises `WorkspaceError`."""
        with self._lock:
            return list(export(self.files, selection))

    def glance(self) -> Glance:
        """How far the log goes, and whether it ends as its head says. Nothing is made or put right."""
        where = str(self.files.head)
        with self._lock:
            try:
                with unwritable(self.files):
                    row = self._last()
                    if row is None and not self.files.key.exists():
                        return Glance(head=where)
                    seal = Seal.load(self.files.key)
                    number, _ = fitting(row, self.files.read_head(seal), seal)
            except WorkspaceError as error:
                return Glance(head=where, trouble=str(error))
        return Glance(records=number, head=where)

    def _last(self) -> Row | None:
        if not self.files.database.exists():
            return None
        self._engine = self._engine or opened_database(self.files)
        with self._engine.connect() as db:
            return last_row(db)

    def _opened(self) -> tuple[Engine, Seal]:
        """The database and the key, made if there are none."""
        if self._engine is None:
            self._engine = opened_database(self.files)
        if self._seal is None:
            self._seal = Seal.load(self.files.key) if self.files.key.exists() else self._begun(self._engine)
        return self._engine, self._seal

    def _begun(self, engine: Engine) -> Seal:
        """A new log's key. The head comes first: where there is a key, a head that is missing was taken away."""
        with engine.connect() as db:
            if last_row(db) is not None:
                raise WorkspaceError(
                    f"the key of the audit log, {self.files.key}, is gone; restore it, or see [audit] key_directory"
                )
        seal = Seal.new()
        self.files.key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.files.write_head(Head(), seal)
        seal.save(self.files.key)
        return seal

    def _settled(self, engine: Engine, seal: Seal) -> Head:
        """The head, if the log ends where it says; an interrupted write is put right. Raises `WorkspaceError`."""
        head = self.files.read_head(seal)
        with engine.connect() as db:
            number, code = fitting(last_row(db), head, seal)
        if head.pending is None:
            return head
        note = Interruption(announced=head.pending, stored=number > head.count)
        return self._add(engine, seal, Head(count=number, last=code), note)

    def _add(self, engine: Engine, seal: Seal, head: Head, record: AuditRecord) -> Head:
        """Announce, store, count."""
        number = head.count + 1
        body = body_of(number, head.last, fields_of(record, seal))
        code = seal.record(body)
        self.files.write_head(head.model_copy(update={"pending": code.hex()}), seal)
        with engine.begin() as db:
            db.execute(insert(records).values(number=number, body=body, mac=code))
            if last_row(db) != (number, body, code):
                raise WorkspaceError(f"record {number} doesn't stay in the audit log")
        counted = Head(count=number, last=code.hex())
        self.files.write_head(counted, seal)
        return counted


def opened_database(files: AuditFiles) -> Engine:
    """The database, made readable by its owner alone, the files that SQLite puts beside it too."""
    os.close(os.open(files.database, os.O_RDWR | os.O_CREAT, 0o600))
    files.database.chmod(0o600)
    engine = open_sqlite(files.database)
    metadata.create_all(engine)
    with engine.begin() as db:
        for verb in ("UPDATE", "DELETE"):
            db.exec_driver_sql(ONLY_GROWS.format(verb.lower(), verb, "the audit log only grows"))
    return engine


@contextmanager
def unwritable(files: AuditFiles) -> Iterator[None]:
    """Whatever keeps the log from being written, as `WorkspaceError` that says what follows."""
    try:
        with workspace_errors(files.database):
            yield
    except OSError as error:
        raise WorkspaceError(f"the audit log can't be written ({error}), so nothing is sent") from error
    except WorkspaceError as error:
        raise WorkspaceError(f"{error}; nothing is sent meanwhile: understudy audit verify") from error


def last_row(db: Connection) -> Row | None:
    """The last record. Raises `ValueError`: what is there is none."""
    found = db.exec_driver_sql("SELECT number, body, mac FROM records ORDER BY number DESC LIMIT 1").one_or_none()
    if found is None:
        return None
    number, body, code = found
    if not (isinstance(body, bytes) and isinstance(code, bytes)):
        raise ValueError(f"record {number} is no record")
    return number, body, code


def fitting(row: Row | None, head: Head, seal: Seal) -> tuple[int, str]:
    """Number and code of the last record, where it is the one that the head counts or announces.

    Raises `WorkspaceError`: it is neither, or not as it was written.
    """
    if row is not None and not hmac.compare_digest(row[2], seal.record(row[1])):
        raise WorkspaceError(f"record {row[0]}, the last of the audit log, is not as it was written")
    end = (0, "") if row is None else (row[0], row[2].hex())
    if end not in ((head.count, head.last), (head.count + 1, head.pending)):
        raise WorkspaceError(f"the audit log ends with record {end[0]}, and its head says {head.count}")
    return end


def body_of(number: int, previous: str, fields: Mapping[str, Any]) -> bytes:
    """The bytes that are kept of a record. They are ASCII, on one line, and no key comes before the number."""
    written = {"number": number, "previous": previous, "time": now(), **fields}
    return json.dumps(written, separators=(",", ":")).encode("ascii")


def fields_of(record: AuditRecord, seal: Seal) -> dict[str, Any]:
    """What is kept of a record: all but the names of documents."""
    fields = record.model_dump()
    match record:
        case Egress():
            return fields | {"documents": hashed(record.documents, seal), "quoted": hashed(record.quoted, seal)}
        case Erasure():
            return fields | {"document": seal.document(record.collection, record.document)}
        case _:
            return fields


def hashed(documents: Iterable[Scope], seal: Seal) -> list[str]:
    """Documents as the log calls them, each by its own collection."""
    return sorted({seal.document(d.collection, d.document) for d in documents})
