"""Benchmarks on real data: `run` measures one suite, and writes a dated result file and a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from understudy.apps.bench.report import result_of, write_result
from understudy.core.errors import UserError
from understudy.core.settings import Settings

__all__ = ["SUITES", "run"]

SUITES = (
    "retrieval",
    "reader",
    "agent",
    "starter",
    "health",
    "steps",
    "deferral",
    "cache",
    "ingest",
    "startup",
    "code",
)


def run(suite: str, data: Path, out: Path, limit: int | None, seed: int, compare: Sequence[str] = ()) -> dict[str, Any]:
    """Measure a suite, write `out/<suite>.json` and `out/<suite>.md`, and give what was written.

    Args:
        suite: one of `SUITES`.
        data: the folder of data sets; `startup` and `code` don't need it.
        out: where results go; workspaces are kept in `workspaces` under it, ignored by git.
        limit: at most so many questions of each set (documents of `ingest`, runs of `startup`).
        seed: of samples, bootstrap and random weights.
        compare: other small models that suite `starter` measures too, each as NAME=PATH.

    Raises:
        UserError: no such suite, a limit below 1, models to compare with where none are compared or that are no
            files, or data that is missing (`DocumentError`).
    """
    if suite not in SUITES:
        raise UserError(f"there is no suite {suite!r}; name one of {', '.join(SUITES)}")
    if limit is not None and limit < 1:
        raise UserError(f"limit {limit} is below 1; give at least 1, or none")
    if compare and suite != "starter":
        raise UserError(f"--compare is for suite starter; suite {suite} measures the shipped model alone")
    figures = measure(suite, data, out, limit, seed, compare)
    settings = Settings().model_dump(mode="json") | {"data": str(data), "limit": limit}
    result = result_of(suite, seed, settings, figures)
    write_result(result, out)
    return result


def measure(suite: str, data: Path, out: Path, limit: int | None, seed: int, compare: Sequence[str]) -> dict[str, Any]:
    """The figures of a suite; its module is imported only now, so that timing processes stay small."""
    match suite:
        case "retrieval":
            from understudy.apps.bench.ranking import measure_retrieval

            return measure_retrieval(data, out, limit, seed)
        case "reader":
            from understudy.apps.bench.reading import measure_reader

            return measure_reader(data, limit, seed)
        case "agent":
            from understudy.apps.bench.answering import measure_agent

            return measure_agent(data, out, limit, seed)
        case "starter":
            from understudy.apps.bench.systems import measure_starter

            return measure_starter(data, out, limit, seed, compare)
        case "health":
            from understudy.apps.bench.health import measure_health

            return measure_health(data, out, limit, seed)
        case "steps":
            from understudy.apps.bench.stepping import measure_steps

            return measure_steps(data, out, limit, seed)
        case "deferral":
            from understudy.apps.bench.deferral import measure_deferral

            return measure_deferral(data, out, limit, seed)
        case "cache":
            from understudy.apps.bench.cache import measure_cache

            return measure_cache(data, limit, seed)
        case "ingest":
            from understudy.apps.bench.process import measure_ingest

            return measure_ingest(data, limit)
        case "startup":
            from understudy.apps.bench.process import measure_startup

            return measure_startup(limit)
        case _:
            from understudy.apps.bench.code import measure_code

            return measure_code()
