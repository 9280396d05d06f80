"""The folder that holds everything: where each part lies, who owns it, which version it is."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from understudy.core.errors import WorkspaceBusyError, WorkspaceError

__all__ = ["VERSION", "Workspace", "write_atomically"]

VERSION = 1


@dataclass(frozen=True)
class Workspace:
    """Paths inside a workspace. Opening one creates it (mode 0700) or checks its version."""

    root: Path

    @classmethod
    def open(cls, root: Path | str) -> Workspace:
        """Create or check. Raises `WorkspaceError` when it is corrupt, newer than this program, or unwritable."""
        workspace = cls(Path(root).expanduser().absolute())
        try:
            workspace.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not workspace.stamp.exists():
                write_atomically(workspace.stamp, json.dumps({"version": VERSION}))
        except (NotADirectoryError, FileExistsError) as error:
            raise WorkspaceError(f"workspace {root} is a file; name a folder") from error
        except OSError as error:
            raise WorkspaceError(f"workspace {root} can't be written: {error.strerror}") from error
        workspace.check_version()
        return workspace

    @classmethod
    def existing(cls, root: Path | str) -> Workspace:
        """`open`, for what only reads: a mistyped name is no empty workspace. Raises `WorkspaceError`."""
        if not cls(Path(root).expanduser().absolute()).stamp.is_file():
            raise WorkspaceError(f"{root} is no workspace; name the folder of one by --workspace")
        return cls.open(root)

    def check_version(self) -> None:
        """Raise `WorkspaceError` unless this program can use the workspace."""
        try:
            version = int(json.loads(self.stamp.read_text())["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise WorkspaceError(
                f"workspace {self.root} is corrupt: {self.stamp.name} holds no version; restore it from a backup"
            ) from error
        if version > VERSION:
            raise WorkspaceError(
                f"workspace {self.root} has version {version}; this program knows {VERSION}: update it"
            )

    def identity(self) -> str:
        """An id of the workspace's own, made when it is first asked for; it moves with the folder."""
        stamped = json.loads(self.stamp.read_text())
        if "id" not in stamped:
            stamped["id"] = uuid.uuid4().hex
            write_atomically(self.stamp, json.dumps(stamped))
        return str(stamped["id"])

    @property
    def stamp(self) -> Path:
        """The file of the version, and of the workspace's id."""
        return self.root / "workspace.json"

    @property
    def settings(self) -> Path:
        """`understudy.toml`."""
        return self.root / "understudy.toml"

    @property
    def index(self) -> Path:
        """Chroma's folder."""
        return self.root / "index"

    @property
    def documents(self) -> Path:
        """SQLite: stored texts, passages and tables."""
        return self.root / "documents.sqlite"

    @property
    def records(self) -> Path:
        """SQLite: answer cache, and examples unless the settings name another database."""
        return self.root / "records.sqlite"

    @property
    def ledger(self) -> Path:
        """SQLite: what experts cost."""
        return self.root / "ledger.sqlite"

    @property
    def audit(self) -> Path:
        """SQLite: what left, what was refused, what was decided."""
        return self.root / "audit.sqlite"

    @property
    def placeholders(self) -> Path:
        """SQLite: which placeholder stands for which value, by thread."""
        return self.root / "privacy.sqlite"

    @property
    def privacy_key(self) -> Path:
        """The key that placeholders are kept under."""
        return self.root / "privacy.key"

    @property
    def approvals(self) -> Path:
        """SQLite: which requests wait for a person, without what would leave."""
        return self.root / "approvals.sqlite"

    @property
    def server(self) -> Path:
        """SQLite: API keys and sessions of the server, as hashes."""
        return self.root / "server.sqlite"

    @property
    def outcomes(self) -> Path:
        """SQLite: what became of questions, without their words."""
        return self.root / "outcomes.sqlite"

    @property
    def privacy(self) -> Path:
        """SQLite: which placeholder stands for which value."""
        return self.root / "privacy.sqlite"

    @property
    def deferral(self) -> Path:
        """The threshold in force, and what it was derived from."""
        return self.root / "deferral.json"

    @property
    def adapters(self) -> Path:
        """Folder of adapters, and of refinements in progress."""
        return self.root / "adapters"

    @property
    def refinements(self) -> Path:
        """SQLite: LangGraph's checkpoints of refinements."""
        return self.root / "refinements.sqlite"

    @property
    def jobs(self) -> Path:
        """SQLite: questions of jobs, with what became of each."""
        return self.root / "jobs.sqlite"

    @property
    def threads(self) -> Path:
        """SQLite: LangGraph's checkpoints."""
        return self.root / "threads.sqlite"

    @contextmanager
    def owned(self, wait_s: float = 10.0) -> Iterator[None]:
        """Hold the workspace's lock. Raises `WorkspaceBusyError`, naming the holder, after `wait_s` seconds."""
        lock = FileLock(self.root / "lock")
        holder = self.root / "lock.holder"
        try:
            lock.acquire(timeout=wait_s)
        except Timeout as error:
            who = holder.read_text() if holder.exists() else "another process"
            raise WorkspaceBusyError(
                f"workspace {self.root} is in use by {who}; wait for it to end, or use another --workspace"
            ) from error
        try:
            write_atomically(holder, f"process {os.getpid()}")
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file or nothing, readable by its owner alone; once it returns, a power cut changes nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
