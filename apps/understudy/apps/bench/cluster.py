"""Suite `cluster`: the same job with one worker and with two, one thread each."""

from __future__ import annotations

import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from understudy.agents import Agent
from understudy.apps.folder import read_lines
from understudy.core.cluster_settings import ClusterSettings
from understudy.core.errors import DocumentError
from understudy.core.jobs import Query, Result
from understudy.core.machine import cores
from understudy.core.settings import DeferralSettings, Settings, SmallModelSettings

__all__ = ["measure_cluster"]

CONTRACTS = 6
CROWDS = (1, 2)


def measure_cluster(data: Path, out: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Answers a minute of contracts with all their questions, without an expert, and how that grows with workers.

    The time until the first draft is there is told apart: a cluster is started for the job.

    Args:
        data: the folder of data sets.
        out: not written to.
        limit: contracts, six by default.
        seed: of which.
    """
    contracts = drawn(data, limit or CONTRACTS, seed)
    with TemporaryDirectory(prefix="understudy-bench-") as folder, Agent.open(folder, settings=settings()) as agent:
        queries = read_in(agent, data, contracts)
        found = [crowd(agent, queries, workers) for workers in CROWDS]
    paces = [one["answers_per_minute"] for one in found]
    same = found[0].pop("texts") == found[1].pop("texts")
    return {
        "cores": cores(),
        "documents": len(contracts),
        "questions": len(queries),
        "crowds": found,
        "ratio": round(paces[1] / paces[0], 3),
        "same_answers": same,
    }


def settings() -> Settings:
    """One thread a worker, and no expert."""
    return Settings(
        small_model=SmallModelSettings(threads=1),
        deferral=DeferralSettings(min_confidence=0.0, audit_rate=0.0),
        cluster=ClusterSettings(threads=1),
    )


def drawn(data: Path, count: int, seed: int) -> dict[str, list[str]]:
    """Contracts with their questions. Raises `DocumentError`."""
    asked: dict[str, list[str]] = {}
    for record in read_lines(data / "cuad" / "questions.all.jsonl.gz"):
        asked.setdefault(record["doc_ids"][0], []).append(record["question"])
    if not asked:
        raise DocumentError(f"{data / 'cuad'}: holds no questions; fetch it again")
    names = random.Random(seed).sample(sorted(asked), min(count, len(asked)))
    return {name: asked[name] for name in names}


def read_in(agent: Agent, data: Path, contracts: dict[str, list[str]]) -> list[Query]:
    """Put the contracts into a workspace; gives what is asked of them."""
    files, names = agent.workspace.root / "files", dict[str, str]()
    files.mkdir()
    for record in read_lines(data / "cuad" / "documents.jsonl.gz"):
        if record["id"] in contracts:
            names[record["id"]] = f"{len(names)}.txt"
            (files / names[record["id"]]).write_text(record["text"], encoding="utf-8")
    agent.ingest([files], sensitivity="open")  # it is public
    return [Query(question=q, document=names[name]) for name, asked in contracts.items() for q in asked]


def crowd(agent: Agent, queries: list[Query], workers: int) -> dict[str, Any]:
    """One run; its pace is that from the first answer on."""
    job, at = f"cluster-{workers}", list[float]()

    def note(_row: Result) -> None:
        at.append(time.monotonic())

    agent.begin_job(job, queries)
    began = time.monotonic()
    agent.run_job(job, engine="ray", workers=workers, on_row=note)
    rows = list(agent.job_results(job))
    spent = at[-1] - at[0]
    return {
        "workers": workers,
        "startup_s": round(at[0] - began, 1),
        "drafting_s": round(spent, 1),
        "answers_per_minute": round(60 * (len(at) - 1) / spent, 1),
        "failed": sum(row.answer is None for row in rows),
        "texts": [row.answer and (row.answer.text, row.answer.confidence) for row in rows],
    }
