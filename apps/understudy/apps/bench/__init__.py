"""Benchmarks on real data: `run` measures one suite, and writes a dated result file and a table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.apps.bench.report import result_of, write_result
from understudy.core.errors import UserError
from understudy.core.settings import Settings

__all__ = ["SUITES", "run"]


@dataclass(frozen=True)
class Wanted:
    """What a suite is asked for; see `run`."""

    data: Path
    out: Path
    limit: int | None
    seed: int
    compare: Sequence[str]


def suite(module: str, *arguments: str, **fixed: str) -> Callable[[Wanted], dict[str, Any]]:
    """A suite by its module, which is imported only when it is run, so that timing processes stay small.

    Args:
        module: and its function `measure_…`, as `module.…`.
        arguments: the fields of `Wanted` that the function takes.
        fixed: further arguments.
    """
    name, _, what = module.partition(".")

    def measure(wanted: Wanted) -> dict[str, Any]:
        function = getattr(importlib.import_module(f"{__name__}.{name}"), f"measure_{what}")
        figures: dict[str, Any] = function(**{a: getattr(wanted, a) for a in arguments}, **fixed)
        return figures

    return measure


SUITES: Mapping[str, Callable[[Wanted], dict[str, Any]]] = {
    "retrieval": suite("ranking.retrieval", "data", "out", "limit", "seed"),
    "reader": suite("reading.reader", "data", "limit", "seed"),
    "agent": suite("answering.agent", "data", "out", "limit", "seed"),
    "starter": suite("systems.starter", "data", "out", "limit", "seed", "compare"),
    "health": suite("health.health", "data", "out", "limit", "seed"),
    "steps": suite("stepping.steps", "data", "out", "limit", "seed"),
    "deferral": suite("deferral.deferral", "data", "out", "limit", "seed"),
    "learn-cuad": suite("learning.learning", "data", "out", "limit", "seed", name="cuad"),
    "learn-tatqa": suite("learning.learning", "data", "out", "limit", "seed", name="tatqa"),
    "shuffled": suite("shuffled.shuffled", "data", "out", "limit", "seed"),
    "cache": suite("cache.cache", "data", "limit", "seed"),
    "ingest": suite("process.ingest", "data", "limit"),
    "batch": suite("jobs.jobs", "data", "limit", "seed"),
    "startup": suite("process.startup", "limit"),
    "memory": suite("memory.memory", "limit", "seed"),
    "memory-gpu": suite("memory_gpu.gpu", "limit", "seed"),
    "access": suite("access.access", "limit", "seed"),
    "swap": suite("swapping.swap", "limit", "seed"),
    "serve": suite("serving.serve", "limit"),
    "cluster": suite("cluster.cluster", "data", "out", "limit", "seed"),
    "soak": suite("soaking.soak", "limit", "seed"),
    "egress": suite("egress.egress", "data", "limit", "seed"),
    "redaction": suite("redaction.redaction", "data", "limit", "seed"),
    "attacks": suite("attacks.attacks", "limit"),
    "sensitivity": suite("sensitivity.sensitivity", "data", "limit", "seed"),
    "audit": suite("audit.audit", "limit", "seed"),
    "code": suite("code.code"),
}


def run(name: str, data: Path, out: Path, limit: int | None, seed: int, compare: Sequence[str] = ()) -> dict[str, Any]:
    """Measure a suite, write `out/<suite>.json` and `out/<suite>.md`, and give what was written.

    Args:
        name: one of `SUITES`.
        data: the folder of data sets; `startup`, `memory`, `memory-gpu`, `swap`, `serve`, `soak`, `access`, `attacks`,
            `audit` and `code` don't need it.
        out: where results go; workspaces are kept in `workspaces` under it, ignored by git.
        limit: at most so many questions of each set (documents of `ingest` and `batch`, runs of `startup`, steps of
            `memory` and `memory-gpu`, candidates of `shuffled`, questions of each load of `serve`, minutes of `soak`,
            contracts of `cluster`, checks of `access`, planted values of `egress`, attacks of `attacks`, records of
            `audit`).
        seed: of samples, bootstrap and random weights.
        compare: other small models that suite `starter` measures too, each as NAME=PATH.

    Raises:
        UserError: no such suite, a limit below 1, models to compare with where none are compared or that are no
            files, or data that is missing (`DocumentError`).
    """
    if name not in SUITES:
        raise UserError(f"there is no suite {name!r}; name one of {', '.join(SUITES)}")
    if limit is not None and limit < 1:
        raise UserError(f"limit {limit} is below 1; give at least 1, or none")
    if compare and name != "starter":
        raise UserError(f"--compare is for suite starter; suite {name} measures the shipped model alone")
    figures = SUITES[name](Wanted(data, out, limit, seed, compare))
    settings = Settings().model_dump(mode="json") | {"data": str(data), "limit": limit}
    result = result_of(name, seed, settings, figures)
    write_result(result, out)
    return result
