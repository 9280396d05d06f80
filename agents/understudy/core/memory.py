"""How much memory a process took."""

from __future__ import annotations

import resource
import sys

__all__ = ["peak_mib"]


def peak_mib(usage: resource.struct_rusage | None = None) -> float:
    """The high-water mark of resident memory: of this process, or of one that ended with this usage."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return (usage or resource.getrusage(resource.RUSAGE_SELF)).ru_maxrss / unit
