"""A workspace belongs to one process. While that serves, it runs other commands too, through a socket of its own.

The command line goes over as it was typed, with the folder it was typed in; what the command prints comes back as it is
printed, and its exit code last. A file in the workspace says where the socket is: a socket there could not be copied
with the folder, and its path may be too long. Both are their owner's alone; on Linux the other side's user is checked.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from understudy.core.errors import WorkspaceError
from understudy.core.workspace import write_atomically

if TYPE_CHECKING:
    from understudy.agents import Agent

__all__ = ["SOCKET", "Lent", "lending", "lent", "run_by_owner"]

SOCKET = "socket.path"
"""The file that says where it is."""
LONGEST_COMMAND = 1 << 20
Run = Callable[[list[str]], int]


@dataclass(frozen=True)
class Lent:
    """What a command of another process is run with."""

    agent: Agent
    folder: Path
    """In which it was typed."""
    stdin: str
    send: Callable[[str, str], None]
    """Takes "out" or "err", and what is printed there."""

    def agent_of(self, principal: str) -> Agent:
        """The agent, as somebody uses it. It stays its owner's to close. Raises `AccessError`."""
        view = copy.copy(self.agent)
        view.principal = view.access.principal(principal)
        return view


LENT: ContextVar[Lent | None] = ContextVar("lent", default=None)


def lent() -> Lent | None:
    """What this thread runs somebody's command with, if it does."""
    return LENT.get()


class Routed(TextIOBase):
    """A standard stream that takes what a lent command prints to who asked for it."""

    encoding, errors = "utf-8", "strict"

    def __init__(self, own: IO[str], name: str) -> None:
        self.own, self._name = own, name

    def write(self, text: str) -> int:
        """Print."""
        if not isinstance(text, str):
            raise TypeError("this stream takes text")
        to = LENT.get()
        if to is None:
            return self.own.write(text)
        to.send(self._name, text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back of a lent command's."""
        if LENT.get() is None:
            self.own.flush()

    def isatty(self) -> bool:
        """Whether a terminal shows it."""
        return LENT.get() is None and self.own.isatty()

    def fileno(self) -> int:
        """Of the process's own stream."""
        return self.own.fileno()


@contextmanager
def lending(agent: Agent, run: Run | None = None) -> Iterator[None]:
    """While an agent is served, run the commands of others who own the workspace's folder.

    Args:
        agent: that they use.
        run: a command line, giving its exit code; `understudy`'s own by default.
    """
    if run is None:
        from understudy.apps.cli import run
    told = agent.workspace.root / SOCKET
    path = Path(tempfile.mkdtemp(prefix="understudy-")) / "socket"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    path.chmod(0o600)
    listening.listen()
    write_atomically(told, str(path))
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Routed(sys.stdout, "out"), Routed(sys.stderr, "err")
    threading.Thread(target=accept, args=(listening, agent, run), daemon=True, name="lending").start()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        told.unlink(missing_ok=True)
        shutil.rmtree(path.parent, ignore_errors=True)
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
        listening.close()


def accept(listening: socket.socket, agent: Agent, run: Run) -> None:
    """Run every command that comes, each in a thread of its own."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=serve_one, args=(connection, agent, run), daemon=True, name="lent").start()


def serve_one(connection: socket.socket, agent: Agent, run: Run) -> None:
    """Run one command."""
    with connection, suppress(OSError):  # who asked may go away
        if not same_user(connection):
            return
        sending = threading.Lock()

        def send(**said: Any) -> None:
            with sending:
                connection.sendall(json.dumps(said).encode() + b"\n")

        with connection.makefile("rb") as lines:
            asked = json.loads(lines.readline(LONGEST_COMMAND))
        LENT.set(Lent(agent, Path(asked["folder"]), asked["stdin"], lambda name, text: send(**{name: text})))
        send(exit=run(asked["command"]))


def same_user(connection: socket.socket) -> bool:
    """Whether the other side is of this process's user; where the system doesn't tell, the folder's mode decides."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", told)[1] == os.getuid())


def run_by_owner(workspace: Path, command: list[str], stdin: Callable[[], str]) -> int | None:
    """Let the process that serves a workspace run a command, printing what it prints; gives its exit code.

    `None` where nobody serves it. Raises `WorkspaceError`: that process ended meanwhile.

    Args:
        workspace: its folder.
        command: the command line after the program's name.
        stdin: gives what is typed or piped in, where the command reads it.
    """
    connection = socket.socket(socket.AF_UNIX)
    with connection:
        try:
            connection.connect((workspace / SOCKET).read_text(encoding="utf-8"))
        except OSError:
            return None
        asked = {"command": command, "folder": os.getcwd(), "stdin": stdin()}
        connection.sendall(json.dumps(asked).encode() + b"\n")
        with connection.makefile("rb") as lines:
            for line in lines:
                said = json.loads(line)
                if "exit" in said:
                    return int(said["exit"])
                for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
                    stream.write(said.get(name, ""))
                    stream.flush()
    raise WorkspaceError(
        f"the process that serves workspace {workspace} ended before the command did; see its messages"
    )
