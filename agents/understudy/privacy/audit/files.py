"""Where the parts of an audit log lie: database, key, and the head that says how far the log goes.

A head is one line of JSON with its code, replaced as a whole. While a record is being written the head *announces* it:

1. the head is written with the code of the new record as `pending`;
2. the record is committed to the database;
3. the head is written with the record counted, and nothing pending.

Each step is on the disk before the next begins, so a kill leaves one of three states, which `log` tells apart.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from understudy.core.data import Data
from understudy.core.errors import WorkspaceError
from understudy.core.settings import AuditSettings
from understudy.core.workspace import Workspace, write_atomically
from understudy.privacy.audit.seal import Seal

__all__ = ["AuditFiles", "Head", "sealed_line", "unsealed"]

CODE_HEX = 64
START, MIDDLE = '{"mac":"', '",'


class Head(Data):
    """How far a log goes."""

    version: int = 1
    count: int = 0
    """Records in it."""
    last: str = ""
    """The code of the last one, in hex."""
    pending: str | None = None
    """The code of the record that is being written."""

    def body(self) -> bytes:
        """What its code is made of."""
        return json.dumps({"head": self.model_dump()}, separators=(",", ":")).encode()


@dataclass(frozen=True)
class AuditFiles:
    """The three files of a log."""

    database: Path
    key: Path
    head: Path

    @classmethod
    def of(cls, workspace: Workspace, settings: AuditSettings) -> Self:
        """Those of a workspace. In a directory of their own, key and head bear the workspace's id."""
        if settings.key_directory is None:
            return cls(workspace.audit, workspace.root / "audit.key", workspace.root / "audit.head")
        folder, name = workspace.root / settings.key_directory.expanduser(), workspace.identity()
        return cls(workspace.audit, folder / f"{name}.key", folder / f"{name}.head")

    def write_head(self, head: Head, seal: Seal) -> None:
        """Replace the head. Raises `OSError`."""
        write_atomically(self.head, sealed_line(head.body(), seal.head(head.body())) + "\n")

    def read_head(self, seal: Seal) -> Head:
        """The head. Raises `WorkspaceError`: it is gone, or not as it was written."""
        try:
            line = self.head.read_text(encoding="ascii")
        except FileNotFoundError as error:
            raise WorkspaceError(f"the head of the audit log, {self.head}, is gone") from error
        except (OSError, UnicodeDecodeError) as error:
            raise WorkspaceError(f"the head of the audit log, {self.head}, can't be read") from error
        head = opened_head(line.removesuffix("\n"), seal)
        if head is None:
            raise WorkspaceError(f"the head of the audit log, {self.head}, is not as it was written")
        return head


def opened_head(line: str, seal: Seal) -> Head | None:
    """The head in a line; `None` where its code is wrong."""
    found = unsealed(line)
    if found is None or not hmac.compare_digest(found[1], seal.head(found[0])):
        return None
    try:
        return Head.model_validate(json.loads(found[0])["head"])
    except (ValueError, KeyError, TypeError, ValidationError):
        return None


def sealed_line(body: bytes, code: bytes) -> str:
    """A JSON object with its code before its other keys, so that the bytes under the code can be cut out again."""
    return START + code.hex() + MIDDLE + body.decode("ascii")[1:]


def unsealed(line: str) -> tuple[bytes, bytes] | None:
    """The body and the code of a line; `None` where it has no such form."""
    at = len(START) + CODE_HEX
    if not line.isascii() or not line.startswith(START) or line[at : at + len(MIDDLE)] != MIDDLE:
        return None
    code = line[len(START) : at]
    if code != code.lower() or any(c not in "0123456789abcdef" for c in code):
        return None
    return b"{" + line[at + len(MIDDLE) :].encode("ascii"), bytes.fromhex(code)
