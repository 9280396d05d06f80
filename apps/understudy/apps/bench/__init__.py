"""Measurements: every figure that the documentation states comes from one of these suites."""

from understudy.apps.bench.runner import SUITES, run

__all__ = ["SUITES", "run"]
