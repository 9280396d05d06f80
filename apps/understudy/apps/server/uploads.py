"""Files that come in from outside: a name that leads nowhere, contents that are what the name says, and no bombs."""

from __future__ import annotations

import gzip
import re
import unicodedata
import zipfile
import zlib
from pathlib import Path

from understudy.apps.server.limits import MIB
from understudy.core.errors import DocumentError
from understudy.retrieval.load import DATA_SUFFIX, SUFFIXES

__all__ = ["check_content", "check_upload", "safe_name"]

LONGEST_NAME = 150
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows takes for devices."""
PARTS = {".docx": "word/", ".pptx": "ppt/", ".xlsx": "xl/"}
"""What a file of each kind holds inside."""
UNPACKED_MIB = 500
ENTRIES = 10_000
RATIO = 200
"""Of unpacked to packed; text in office files is packed 5 to 30 to 1."""
SMALL_MIB = 20
"""Unpacked files up to this size are harmless at any ratio: a sheet of equal cells packs 500 to 1."""
PIECE = 1 << 16
PACKED, PDF, GZIP = b"PK\x03\x04", b"%PDF-", b"\x1f\x8b"
BINARY = (
    PACKED,
    PDF,
    GZIP,
    b"\x7fELF",
    b"MZ",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"\xd0\xcf\x11\xe0",
    b"Rar!",
    b"7z\xbc\xaf",
)
"""How files begin that are no text, whatever they are called."""


def safe_name(given: str | None) -> str:
    """The name of an upload's file in a folder of ours, and its document's id. Raises `DocumentError`."""
    last = unicodedata.normalize("NFC", given or "").replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in last if c.isprintable() and c not in '<>:"|?*').strip(". ")
    if not name or name == "..":
        raise DocumentError("a file has no name; give it one")
    suffix = suffix_of(name)
    if suffix is None:
        kind = Path(name).suffix or "this kind of file"
        raise DocumentError(f"{name}: can't read {kind}; known: {', '.join(SUFFIXES)}")
    if DEVICES.fullmatch(name):
        raise DocumentError(f"{name}: is the name of a device; call it something else")
    if len(name.encode()) > LONGEST_NAME:
        raise DocumentError(f"{name[:40]}…: the name is longer than {LONGEST_NAME} bytes; shorten it")
    return name


def check_upload(path: Path) -> None:
    """Raise `DocumentError` unless a file that lies in a folder of ours may be read: by its name, and what it holds."""
    name = safe_name(path.name)
    if name != path.name:
        raise DocumentError(f"{name}: its name has signs that names here can't have; call it {name!r}")
    check_content(path)


def suffix_of(name: str) -> str | None:
    """The kind of file that a name says."""
    lower = name.lower()
    return next((s for s in (DATA_SUFFIX, *SUFFIXES) if lower.endswith(s) and lower != s), None)


def check_content(path: Path) -> None:
    """Raise `DocumentError` unless a file is what its name says, and stays of bounded size when it is unpacked."""
    suffix = suffix_of(path.name)
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        raise DocumentError(f"{path.name}: is empty")
    if suffix == ".pdf" and PDF not in head:
        raise DocumentError(f"{path.name}: is no PDF")
    if suffix in PARTS:
        check_packed(path, PARTS[suffix])
    elif suffix == DATA_SUFFIX:
        check_gzip(path)
    elif suffix != ".pdf" and head.startswith(BINARY):
        raise DocumentError(f"{path.name}: is no text, whatever its name says")


def check_packed(path: Path, part: str) -> None:
    """Look at what an office file says of its entries; when they are read, none gives more than it says here."""
    try:
        with zipfile.ZipFile(path) as packed:
            entries = packed.infolist()
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise DocumentError(f"{path.name}: is no {path.suffix} file; is it damaged or encrypted?") from error
    if not any(entry.filename.startswith(part) for entry in entries):
        raise DocumentError(f"{path.name}: is no {path.suffix} file; it holds no {part}")
    if any(entry.flag_bits & 1 for entry in entries):
        raise DocumentError(f"{path.name}: is encrypted; save it without a password")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise DocumentError(f"{path.name}: is packed in a way that office programs don't use")
    size = sum(entry.file_size for entry in entries)
    packed_size = max(1, path.stat().st_size)
    too_dense = size > SMALL_MIB * MIB and size / packed_size > RATIO
    if too_dense:
        raise DocumentError(f"{path.name}: unpacks to over {RATIO} times its size, which is too much")
    if len(entries) > ENTRIES or size > UNPACKED_MIB * MIB:
        raise DocumentError(f"{path.name}: unpacks to {size // MIB} MiB in {len(entries)} parts, which is too much")


def check_gzip(path: Path) -> None:
    """Unpack a file piece by piece, as far as it may go."""
    size = 0
    try:
        with gzip.open(path) as unpacked:
            while piece := unpacked.read(PIECE):
                size += len(piece)
                if size > UNPACKED_MIB * MIB:
                    raise DocumentError(f"{path.name}: unpacks to more than {UNPACKED_MIB} MiB, which is too much")
    except (OSError, EOFError, zlib.error) as error:
        raise DocumentError(f"{path.name}: is no gzipped file") from error
