"""A folder of data sets: how it is read, and which side of it may be trained on."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from understudy.core.errors import DocumentError

__all__ = ["may_train", "read_lines"]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a `.jsonl.gz` file. Raises `DocumentError`."""
    if not path.is_file():
        raise DocumentError(f"{path}: no such file; give the folder of the data sets by --data")
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.strip()]
    except (OSError, EOFError, ValueError) as error:
        raise DocumentError(f"{path}: is no gzipped JSON lines ({error}); fetch it again") from error


def may_train(key: str) -> bool:
    """Whether an md5-split key (a squad title, a medquad id) is on the training side; the other one is measured."""
    return hashlib.md5(key.encode()).hexdigest()[0] in "456789abcdef"
