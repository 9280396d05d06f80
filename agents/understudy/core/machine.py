"""What a process takes of its machine, and may take."""

from __future__ import annotations

import os
import resource
import sys

__all__ = ["cores", "peak_mib"]


def cores() -> int:
    """That this process may use: a container has fewer than its machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_mib(usage: resource.struct_rusage | None = None) -> float:
    """The high-water mark of resident memory: of this process, or of one that ended with this usage."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return (usage or resource.getrusage(resource.RUSAGE_SELF)).ru_maxrss / unit
