"""A job on a real Ray cluster: its workspace, its processes, and what is the same however it is run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from understudy.agents import Agent
from understudy.core.jobs import Query
from understudy.core.settings import (
    ClusterSettings,
    DeferralSettings,
    ExpertSettings,
    Settings,
    SmallModelSettings,
)

QUESTIONS = ("When does the night train to {} leave?", "From which platform does it leave?", "When does it arrive?")
KEY = "a-key-of-an-expert"


def queries_of(cities: int) -> list[Query]:
    """Some questions of each document, some of all, and one that can't be asked."""
    towns = [f"town{number}" for number in range(cities)]
    asked = [Query(question=q.format(town), document=f"{town}.md") for town in towns for q in QUESTIONS]
    whole = [Query(question=QUESTIONS[0].format(town)) for town in towns[:2]]
    return [*asked, *whole, Query(question="Why?", document="no.md")]


def add_towns(agent: Agent, folder: Path, cities: int) -> None:
    (folder / "documents").mkdir(exist_ok=True)
    for n in range(cities):
        text = (
            f"# Trains\n\nThe night train to town{n} leaves at {n + 6}:40 from platform {n}. It arrives at {n + 9}:15."
        )
        (folder / "documents" / f"town{n}.md").write_text(text)
    agent.ingest([folder / "documents"])


def settings_of(url: str | None, **more: Any) -> Settings:
    """One thread, so that numbers are the same; with a URL, an expert who is asked everything."""
    expert = () if url is None else (ExpertSettings(name="gpt", model="openai:fake", base_url=url, retries=0),)
    return Settings(
        small_model=SmallModelSettings(threads=1), experts=expert, cluster=ClusterSettings(threads=1),
        deferral=DeferralSettings(min_confidence=1.0, audit_rate=0.0), **more,
    )  # fmt: skip


def twice(folder: Path) -> tuple[Path, Path]:
    """A workspace and its copy."""
    shutil.copytree(folder / "w", folder / "w2")
    return folder / "w", folder / "w2"


def results_of(agent: Agent, job: str = "j") -> list[dict[str, Any]]:
    """Without times, and without what happened to be read already when a question came."""
    found = [result.model_dump(mode="json") for result in agent.job_results(job)]
    for answer in (row["answer"] for row in found if row["answer"] is not None):
        answer["latency_s"] = None
        answer["tokens"]["small"]["evaluated"] += answer["tokens"]["small"].pop("reused")
        for step in answer["steps"]:
            step.pop("seconds", None)
    return found


def below(pid: int) -> list[psutil.Process]:
    """All processes that one has begun, and those that these have, and that live."""
    return [process for process in psutil.Process(pid).children(recursive=True) if lives(process)]


def lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def workers_below(pid: int) -> list[psutil.Process]:
    """The workers that hold the small model."""
    return [process for process in below(pid) if title(process).startswith("ray::MapWorker")]


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def listening(pid: int) -> set[str]:
    """The addresses at which all of them can be called."""
    found = set()
    for process in [psutil.Process(pid), *below(pid)]:
        try:
            found |= {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        except psutil.Error:
            continue
    return found


@contextmanager
def nothing_left() -> Iterator[None]:
    """No process and no file of a cluster stays behind."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'understudy[ray]'")
    yield
    assert not workers_below(os.getpid())
    assert not [p for p in below(os.getpid()) if "raylet" in title(p) or "gcs_server" in title(p)]
