"""A Chroma server of the tests' own on loopback, and a Postgres database beside it: what `[stores]` names."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from postgres_parts import command, running_postgres
from pydantic import SecretStr

from understudy.core.cluster_settings import StoresSettings


@contextmanager
def running_chroma(folder: Path) -> Iterator[str]:
    """The URL of a server that keeps its files in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    process = subprocess.Popen(
        [program, "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, "ANONYMIZED_TELEMETRY": "False"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def await_port(port: int, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


@contextmanager
def served_stores(folder: Path) -> Iterator[StoresSettings]:
    """Settings of an empty database and of a server of vectors. Skips the test where no Postgres runs."""
    with running_postgres() as url, running_chroma(folder) as chroma:
        name = f"stores_{uuid.uuid4().hex}"
        command(url, f"CREATE DATABASE {name}")
        shown = url.set(database=name).render_as_string(hide_password=False)
        yield StoresSettings(documents=SecretStr(shown), chroma=chroma)
