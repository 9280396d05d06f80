"""Suite `audit`: whatever is done to an audit log is found. Every byte, every record, every cut, every old head."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from understudy.apps.metrics import quantile
from understudy.core.audit import AuditRecord, Egress, Erasure, Refusal, Result
from understudy.core.types import Scope
from understudy.core.usage import ExpertTokens, Spend
from understudy.privacy.audit.files import AuditFiles
from understudy.privacy.audit.log import SqliteAuditLog
from understudy.privacy.audit.seal import Seal
from understudy.privacy.audit.verify import Row, checked, rows_of, verify

__all__ = ["measure_audit"]

RECORDS = 20


def measure_audit(limit: int | None, seed: int) -> dict[str, Any]:
    """Write a log, break it in every way once, and count what `verify` finds.

    Every byte of every record's body and code gets another random value, in the rows as they are read; so does every
    byte of the database file where records lie, and of the head. Records are removed, swapped, cut off and put in.

    Args:
        limit: records at most.
        seed: of the bytes.
    """
    rng = Random(seed)
    count = min(limit or RECORDS, RECORDS)
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as room:
        files = AuditFiles(Path(room) / "audit.sqlite", Path(room) / "audit.key", Path(room) / "audit.head")
        heads, seconds = log_of(files, count, rng)
        began = time.perf_counter()
        found = verify(files)
        verified = time.perf_counter() - began
        assert found.ok, found.findings
        attacks = {name: tally(broken) for name, broken in every_attack(files, heads, rng).items()}
    return {
        "records": count,
        "attacks": [{"attack": name, "tried": tried, "found": hits} for name, (tried, hits) in attacks.items()],
        "missed": sum(tried - hits for tried, hits in attacks.values()),
        "append_ms_median": round(1000 * quantile(seconds, 0.5), 2),
        "verify_records_per_second": round(count / verified),
    }


def log_of(files: AuditFiles, count: int, rng: Random) -> tuple[list[bytes], list[float]]:
    """Write a log; gives its head after every record, and the seconds each took."""
    log, heads, seconds = SqliteAuditLog(files), [], []
    for number in range(count):
        began = time.perf_counter()
        log.append(record(number, rng))
        seconds.append(time.perf_counter() - began)
        heads.append(files.head.read_bytes())
    log.close()
    return heads, seconds


def record(number: int, rng: Random) -> AuditRecord:
    """One of the kinds by turns."""
    party: dict[str, Any] = {"principal": f"p{number % 3}", "thread": f"t{number // 4}", "expert": "gpt"}
    party["collection"] = "contracts"
    digest = rng.randbytes(32).hex()
    if number % 4 == 1:
        spent = Spend(usd=0.01, calls=1, tokens=500)
        tokens = ExpertTokens(input=450, output=50)
        return Result(of=number, expert="gpt", thread=party["thread"], status="answered", spent=spent, tokens=tokens)
    if number % 4 == 2:
        return Refusal(**party, question=f"q{number}", rule="policy", sha256=digest, bytes=rng.randrange(9000))
    if number % 4 == 3:
        return Erasure(by="owner", collection="contracts", document=f"d{number}", gone={"passages": rng.randrange(99)})
    return Egress(
        **party, question=f"q{number}", policy="redacted", host="api.example:443", sha256=digest,
        bytes=rng.randrange(9000), replaced={"PERSON": rng.randrange(9)}, 
        documents=(Scope(collection="contracts", document=f"d{number}"), Scope(collection="minutes")),
        worst=Spend(usd=0.05, calls=3, tokens=4000),
    )  # fmt: skip


def every_attack(files: AuditFiles, heads: list[bytes], rng: Random) -> dict[str, Iterator[bool]]:
    """By name, whether each try was found."""
    seal = Seal.load(files.key)
    head = files.read_head(seal)
    rows = rows_of(files.database)

    def seen(changed: list[Row]) -> bool:
        return not checked(changed, seal, head).ok

    def placed(changed: list[Row]) -> list[Row]:
        return [row._replace(place=place) for place, row in enumerate(changed, 1)]

    n = len(rows)
    return {
        "a byte of a record changed": (
            seen([*rows[:i], broken, *rows[i + 1 :]])
            for i, row in enumerate(rows)
            for broken in bytes_changed(row, rng)
        ),
        "a record removed": (seen(rows[:i] + rows[i + 1 :]) for i in range(n)),
        "a record removed, the rest renumbered": (seen(placed(rows[:i] + rows[i + 1 :])) for i in range(n)),
        "the tail cut off": (seen(rows[:i]) for i in range(n)),
        "two records swapped": (seen(swapped(rows, i, j)) for i in range(n) for j in range(i)),
        "a record put in again": (
            seen(placed([*rows[:j], rows[i], *rows[j:]])) for i in range(n) for j in range(n + 1)
        ),
        "the head of an older state": in_place(files.head, iter(heads[:-1]), files),
        "a byte of the head changed": in_place(files.head, byte_changes(files.head.read_bytes(), rng), files),
        "a byte of the database file, where records lie": in_place(files.database, cell_changes(files, rng), files),
    }


def bytes_changed(row: Row, rng: Random) -> Iterator[Row]:
    """A row with each of its bytes changed once."""
    for at in range(len(row.body)):
        yield row._replace(body=flipped(row.body, at, rng))
    for at in range(len(row.code)):
        yield row._replace(code=flipped(row.code, at, rng))


def swapped(rows: list[Row], one: int, other: int) -> list[Row]:
    """The rows with the contents of two exchanged."""
    changed = list(rows)
    changed[one] = rows[other]._replace(place=rows[one].place)
    changed[other] = rows[one]._replace(place=rows[other].place)
    return changed


def byte_changes(raw: bytes, rng: Random) -> Iterator[bytes]:
    """A file with each of its bytes but the line end changed once."""
    return (flipped(raw, at, rng) for at in range(len(raw) - 1))


def cell_changes(files: AuditFiles, rng: Random) -> Iterator[bytes]:
    """The database file with every byte changed once at which a record lies, its length, number and types too.

    But for the type of the number: that column is the row's key, and SQLite reads the key in its place whatever the
    type says, so the record stays as it was.
    """
    raw = files.database.read_bytes()
    with closing(sqlite3.connect(files.database)) as db:
        stored = [body + code for body, code in db.execute("SELECT body, mac FROM records")]
    starts = [(raw.index(cell), len(cell)) for cell in stored]
    places = [at for start, length in starts for at in range(start - 7, start + length) if at != start - 4]
    return (flipped(raw, at, rng) for at in places)


def in_place(path: Path, changes: Iterator[bytes], files: AuditFiles) -> Iterator[bool]:
    """Whether each change of a file is found; the file is put back after each."""
    whole = path.read_bytes()
    for change in changes:
        path.write_bytes(change)
        yield not verify(files).ok
    path.write_bytes(whole)


def flipped(raw: bytes, at: int, rng: Random) -> bytes:
    """The bytes with one changed to any other value."""
    return raw[:at] + bytes([raw[at] ^ rng.randrange(1, 256)]) + raw[at + 1 :]


def tally(tries: Iterator[bool]) -> tuple[int, int]:
    """How many tries there were, and how many were found."""
    found = list(tries)
    return len(found), sum(found)
