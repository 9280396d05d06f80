"""Audit logs to break: records of every kind, and what an attacker may do to the files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from understudy.core.audit import Approval, AuditRecord, Egress, Erasure, Refusal, Result
from understudy.core.types import Scope
from understudy.core.usage import ExpertTokens, Spend
from understudy.privacy.audit.files import AuditFiles
from understudy.privacy.audit.log import SqliteAuditLog

MILLER = Scope(collection="contracts", document="Miller v. Jones.pdf")


def files_in(folder: Path) -> AuditFiles:
    return AuditFiles(folder / "audit.sqlite", folder / "audit.key", folder / "audit.head")


def egress(thread: str = "t1", expert: str = "gpt", **changes: object) -> Egress:
    given = {
        "principal": "ann", "thread": thread, "question": "q1", "expert": expert, "collection": "contracts",
        "policy": "redacted", "host": "api.example:443", "sha256": "ab" * 32, "bytes": 1234,
        "replaced": {"PERSON": 2},
        "documents": (MILLER, Scope(collection="minutes")),
        "quoted": (MILLER,), "collections": ("contracts", "minutes"), "worst": Spend(usd=0.02, calls=3, tokens=900),
    }  # fmt: skip
    return Egress.model_validate(given | changes)


def every_kind() -> list[AuditRecord]:
    return [
        egress(),
        Result(of=1, expert="gpt", thread="t1", status="answered", spent=Spend(usd=0.01, calls=1, tokens=450),
               tokens=ExpertTokens(input=400, output=50)),
        Refusal(principal="bob", thread="t2", question="q2", expert="gpt", collection="patients", rule="protected value",
                sha256="cd" * 32, bytes=99),
        Approval(decision="approved", by="ann", principal="bob", thread="t2", expert="gpt", collection="patients",
                 sha256="ef" * 32),
        Erasure(by="ann", collection="contracts", document="Miller v. Jones.pdf", gone={"passages": 12, "examples": 1}),
        egress("t3", "other"),
        Result(of=6, expert="other", thread="t3", status="failed", error="ExpertReplyError", attempts=3),
    ]  # fmt: skip


def written(folder: Path, count: int = 7) -> AuditFiles:
    """A finished log of so many records, closed."""
    folder.mkdir(exist_ok=True)
    log = SqliteAuditLog(files_in(folder))
    kinds = every_kind()
    for number in range(count):
        log.append(kinds[number % len(kinds)])
    log.close()
    return log.files


@contextmanager
def tampering(files: AuditFiles) -> Iterator[sqlite3.Connection]:
    """The database, without what keeps the program itself from changing it."""
    with closing(sqlite3.connect(files.database)) as db, db:
        db.execute("DROP TRIGGER IF EXISTS no_update")
        db.execute("DROP TRIGGER IF EXISTS no_delete")
        yield db


def bodies(files: AuditFiles) -> list[dict[str, object]]:
    with closing(sqlite3.connect(files.database)) as db:
        return [json.loads(row[0]) for row in db.execute("SELECT body FROM records ORDER BY number")]
