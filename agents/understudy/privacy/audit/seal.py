"""The key of an audit log, and the codes made with it: HMAC-SHA256 (RFC 2104), one purpose each."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from understudy.core.errors import WorkspaceError
from understudy.core.workspace import write_atomically

__all__ = ["Seal"]

KEY_BYTES = 32


@dataclass(frozen=True)
class Seal:
    """Makes codes that nobody makes without the key."""

    key: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """A random one."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key. Raises `WorkspaceError`: it is none, or others can read it."""
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            key = bytes.fromhex(path.read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise WorkspaceError(f"audit key {path} can't be read as one; restore it from a backup") from error
        if mode & 0o077:
            raise WorkspaceError(f"audit key {path} can be read by others (mode {mode:o}); run: chmod 600 {path}")
        if len(key) != KEY_BYTES:
            raise WorkspaceError(f"audit key {path} has {len(key)} bytes, not {KEY_BYTES}; restore it from a backup")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write the key, readable by its owner alone."""
        write_atomically(path, self.key.hex() + "\n")

    def record(self, body: bytes) -> bytes:
        """The code of a record."""
        return self._code(b"record", body)

    def head(self, body: bytes) -> bytes:
        """The code of a head."""
        return self._code(b"head", body)

    def document(self, collection: str, document: str | None) -> str:
        """What a document is called in the log: the same each time, and nothing can be guessed from it.

        `None` is any of the collection: nobody knows which.
        """
        name = collection if document is None else f"{collection}\0{document}"
        return self._code(b"document", name.encode("utf-8", "surrogatepass")).hex()[:32]

    def _code(self, purpose: bytes, body: bytes) -> bytes:
        return hmac.digest(self.key, purpose + b"\0" + body, hashlib.sha256)
