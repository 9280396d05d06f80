"""Chroma's files: how they are opened, and what it leaves in them of collections that are gone, and of memory.

hnswlib writes the room that it has set aside for vectors to come as it got it from the system: with whatever the
process held there before, such as the text of documents. That room is blanked whenever an index is opened or closed.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import chromadb
from chromadb.config import Settings

from understudy.core.sqlite import scrub

__all__ = ["blank_unused", "client_of", "copied_index", "open_index", "quiet", "tidy_index"]

SEGMENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""How Chroma names the folder of a segment."""
HEADER = struct.Struct("<iQQQQ")
"""Version, offset, room for so many vectors, how many there are, bytes of each."""
BLOCK = 1 << 20


def open_index(folder: Path) -> Any:
    """A client. Raises Chroma's errors, and `ValueError`."""
    blank_unused(folder)  # a process that was killed had no time to
    return client_of(folder)


def copied_index(folder: Path, copy: Path) -> None:
    """Copy an index that nobody writes to meanwhile, for processes that read it: opening one touches its files."""
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("bm25"))


def client_of(folder: Path) -> Any:
    """A client of a folder as it is. Raises Chroma's errors, and `ValueError`."""
    try:
        return chromadb.PersistentClient(str(folder), settings=quiet())
    except AttributeError as error:
        # What Chroma raises for a broken folder from the second try in one process on: it keeps a half-open client.
        raise ValueError(f"{folder.name} can't be opened") from error


def quiet() -> Settings:
    """Nothing is told to anybody. Each client has its own: Chroma writes into them."""
    return Settings(anonymized_telemetry=False, chroma_otel_collection_endpoint="")


def blank_unused(folder: Path) -> bool:
    """Overwrite the room for vectors to come with zeros. Whether all files had the layout that is known."""
    return all([blanked(path) for path in folder.glob("*/data_level0.bin")])


def blanked(vectors: Path) -> bool:
    """One segment's, by what its header says: `HEADER` is how hnswlib's `persistHNSWHeader` begins."""
    try:
        _, _, capacity, count, width = HEADER.unpack((vectors.parent / "header.bin").read_bytes()[: HEADER.size])
    except (OSError, struct.error):
        return False
    room = capacity * width
    if vectors.stat().st_size != room or count > capacity:
        return False
    with vectors.open("r+b") as file:
        for at in range(count * width, room, BLOCK):
            size = min(BLOCK, room - at)
            file.seek(at)
            if any(file.read(size)):
                file.seek(at)
                file.write(bytes(size))
    return True


def tidy_index(folder: Path) -> None:
    """Leave nothing of what was deleted in a closed index: no segment without a collection, no row, no spare room.

    Raises `ValueError` where a segment isn't as it is known to be.
    """
    database = folder / "chroma.sqlite3"
    with closing(sqlite3.connect(database)) as db:
        used = {str(row[0]) for row in db.execute("SELECT id FROM segments")}
    for path in folder.iterdir():
        if path.is_dir() and SEGMENT.fullmatch(path.name) and path.name not in used:
            shutil.rmtree(path)
    scrub(database)
    if not blank_unused(folder):
        raise ValueError(f"the segments in {folder.name} have another layout than this version of Chroma's")
