"""Which placeholder stands for which value, kept so that a restart changes nothing."""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, TextClause, event, text

from understudy.core.errors import WorkspaceError
from understudy.core.sqlite import open_sqlite, workspace_errors
from understudy.privacy.redaction.placeholders import Slot, written

__all__ = ["Vault", "Vaults"]

SCHEMA = """CREATE TABLE IF NOT EXISTS placeholders (
    thread TEXT NOT NULL, type TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT, value BLOB,
    PRIMARY KEY (thread, type, number), UNIQUE (thread, digest))"""
"""A row without a digest is a number that isn't given out: a text had it as its own words, or its value was erased."""
SELECT = text(
    "SELECT rowid, type, number, digest, value FROM placeholders WHERE thread = :thread AND rowid > :seen"
    " ORDER BY rowid"
)
INSERT = text(
    "INSERT INTO placeholders (thread, type, number, digest, value) VALUES (:thread, :type, :number, :digest, :value)"
)
DROP = text("DELETE FROM placeholders WHERE thread = :thread")
EMPTY = text("UPDATE placeholders SET digest = NULL, value = NULL WHERE thread = :thread")
ERASE = text("UPDATE placeholders SET digest = NULL, value = NULL WHERE value = :value")


class Vaults:
    """All placeholders of a workspace, in one SQLite file that only its owner may read.

    Tenants and threads stand in it as HMACs under keys of their own, and so does what a value is looked up by: no row
    tells that two tenants hold the same value. The values themselves are there to be put back, so the file is as
    private as the documents.

    Args:
        path: of the file; made with mode 0600 where it isn't there.
        key: of the workspace, from which the tenants' keys are derived; 16 bytes at least.

    Raises:
        WorkspaceError: the file can't be made, or is no database.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError(f"a key of {len(key)} bytes is too short; give at least 16")
        self._path, self._key, self._lock = path, key, threading.RLock()
        self._open: dict[str, Vault] = {}
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            path.chmod(0o600)  # an older file, or a copy of one; SQLite's own files beside it follow
        except OSError as error:
            raise WorkspaceError(f"{path} can't be written: {error.strerror}") from error
        self._engine = open_sqlite(path)
        event.listen(self._engine, "connect", overwrite_deleted)
        with workspace_errors(path), self._engine.begin() as connection:
            connection.execute(text(SCHEMA))

    def of(self, tenant: str, thread: str) -> Vault:
        """The placeholders of one thread of one tenant; always the same object for the same thread."""
        key, name = self._thread_key(tenant, thread), self._name(tenant, thread)
        with self._lock:
            if name not in self._open:
                self._open[name] = Vault(self._engine, self._path, key, name)
            return self._open[name]

    def _thread_key(self, tenant: str, thread: str) -> bytes:
        return keyed(keyed(self._key, tenant), thread)

    def _name(self, tenant: str, thread: str) -> str:
        return keyed(self._thread_key(tenant, thread), "thread").hex()

    def values(self) -> set[str]:
        """Every value of every thread, so that an erasure can find those of a document."""
        with workspace_errors(self._path), self._engine.connect() as connection:
            rows = connection.execute(text("SELECT DISTINCT value FROM placeholders WHERE value IS NOT NULL"))
            return {decoded(value) for (value,) in rows}

    def forget(self, values: Iterable[str]) -> int:
        """Erase values from every thread, on the disk too; gives how many rows held one.

        Their placeholders are never given out again, and stay as they are in what an expert still answers.
        """
        with self._lock:
            with workspace_errors(self._path), self._engine.begin() as connection:
                erased = sum(connection.execute(ERASE, {"value": encoded(value)}).rowcount for value in set(values))
            for vault in self._open.values():
                vault.reload()
            if erased:
                with workspace_errors(self._path), self._engine.connect() as connection:
                    connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
            return erased

    def drop(self, tenant: str, thread: str) -> None:
        """Erase a thread that is gone, values and numbers, on the disk too."""
        self._erase(DROP, tenant, thread)

    def empty(self, tenant: str, thread: str) -> None:
        """Erase the values of a thread that goes on: its placeholders are never given out again."""
        self._erase(EMPTY, tenant, thread)

    def _erase(self, statement: TextClause, tenant: str, thread: str) -> None:
        name = self._name(tenant, thread)
        with self._lock, workspace_errors(self._path):
            with self._engine.begin() as connection:
                erased = connection.execute(statement, {"thread": name}).rowcount
            if erased:
                with self._engine.connect() as connection:
                    connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
            held = self._open.pop(name, None)
            if held is not None:
                held.reload()

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()


class Vault:
    """The placeholders of one thread. Made by `Vaults.of`."""

    def __init__(self, engine: Engine, path: Path, key: bytes, name: str) -> None:
        self._engine, self._path, self._key, self._name = engine, path, key, name
        self._lock = threading.RLock()
        self._values: dict[Slot, str] = {}
        self._slots: dict[str, Slot] = {}
        self._taken: dict[str, set[int]] = defaultdict(set)
        self._next: dict[str, int] = defaultdict(lambda: 1)
        self._seen = 0
        self.reload()

    def reload(self) -> None:
        """Read again what the file holds."""
        with self._lock, workspace_errors(self._path), self._engine.connect() as connection:
            self._seen = 0
            self._values.clear()
            self._slots.clear()
            self._taken.clear()
            self.read(connection)

    def value_of(self, slot: Slot) -> str | None:
        """What a placeholder stands for; `None` where it stands for nothing."""
        return self._values.get(slot)

    @property
    def types(self) -> frozenset[str]:
        """Of the placeholders given out so far."""
        return frozenset(kind for kind, _ in self._values)

    def reserve(self, slots: Iterable[Slot]) -> None:
        """Never give these out: a text of the thread has them as words of its own."""
        wanted = {s for s in slots if s[1] not in self._taken[s[0]]}
        if wanted:
            with self._lock, workspace_errors(self._path), self._engine.begin() as connection:
                self.claim(connection)
                for slot in sorted(wanted):
                    if slot[1] not in self._taken[slot[0]]:
                        self.write(connection, slot, None, None)

    def assign(self, values: Sequence[tuple[str, str]]) -> list[str]:
        """The placeholder of each value, given as its type and text.

        A value keeps its first placeholder, under whatever type it is found later. Values differ where their texts
        do: what is restored is exactly what was there.
        """
        with self._lock:
            if any(value not in self._slots for _, value in values):
                with workspace_errors(self._path), self._engine.begin() as connection:
                    self.claim(connection)
                    for kind, value in values:
                        if value not in self._slots:
                            self.write(connection, self.free(kind), self.digest(value), value)
            return [written(self._slots[value]) for _, value in values]

    def free(self, kind: str) -> Slot:
        """The next placeholder of a type."""
        while self._next[kind] in self._taken[kind]:
            self._next[kind] += 1
        return kind, self._next[kind]

    def claim(self, connection: Connection) -> None:
        """Take SQLite's one writer's place, then see what other processes wrote before."""
        connection.execute(text("UPDATE placeholders SET number = number WHERE thread IS NULL"))
        self.read(connection)

    def read(self, connection: Connection) -> None:
        """Take in the rows of the thread that are new: none is ever changed but by `forget`."""
        for row, kind, number, digest, value in connection.execute(SELECT, {"thread": self._name, "seen": self._seen}):
            self._seen = row
            self._taken[kind].add(number)
            if digest is not None:
                if not hmac.compare_digest(digest, self.digest(decoded(value))):
                    raise ValueError("a placeholder's value is not the one that was kept under this key")
                self.remember((kind, number), decoded(value))

    def write(self, connection: Connection, slot: Slot, digest: str | None, value: str | None) -> None:
        """Add a row."""
        row: dict[str, Any] = {"thread": self._name, "type": slot[0], "number": slot[1], "digest": digest}
        self._seen = connection.execute(INSERT, row | {"value": None if value is None else encoded(value)}).lastrowid
        self._taken[slot[0]].add(slot[1])
        if value is not None:
            self.remember(slot, value)

    def remember(self, slot: Slot, value: str) -> None:
        """Hold a pair in memory."""
        self._values[slot] = value
        self._slots[value] = slot

    def digest(self, value: str) -> str:
        """What a value is looked up by: it says nothing without the thread's key."""
        return keyed(self._key, value).hex()


def keyed(key: bytes, text: str) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(key, encoded(text), hashlib.sha256)


def encoded(text: str) -> bytes:
    """A text as bytes; halves of surrogate pairs, which some PDF readers leave, too."""
    return text.encode("utf-8", "surrogatepass")


def decoded(value: bytes) -> str:
    """Back again."""
    return value.decode("utf-8", "surrogatepass")


def overwrite_deleted(connection: Any, _record: Any) -> None:
    """What is erased leaves no bytes in free pages; a commit waits for the system, not for the disk."""
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA synchronous=NORMAL")
