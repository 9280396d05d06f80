"""Suite `serve`: how long people wait at a server, by how many ask and how many questions are answered at once."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from understudy.agents import Agent
from understudy.apps.bench.swapping import QUESTIONS
from understudy.apps.metrics import quantile
from understudy.core.errors import InternalError

__all__ = ["measure_serve"]

SAMPLES = Path(__file__).parents[1] / "samples" / "documents"
SLOTS, USERS = (1, 2, 4), (1, 4, 16)
ASKED = 96
"""Questions of each pair of slots and users."""
SETTINGS = """\
[deferral]
min_confidence = 0.0
audit_rate = 0
[server]
slots = {slots}
queue = 1000
rate_per_minute = 1000000
"""
LONGEST_S = 120


@dataclass(frozen=True)
class Timed:
    """One answer, in seconds since it was asked for."""

    first_byte: float
    first_step: float
    whole: float
    inside: float
    """What the agent itself says that it took."""
    reused: float
    """Share of prompt tokens that the KV cache held already."""


def measure_serve(limit: int | None) -> dict[str, Any]:
    """Streamed questions to a server of its own process; each user asks one after the other, and waits for nobody.

    What the server adds is the whole time less what the agent says that it took, which leaves out what it notes of the
    thread; beside it stands how long the same questions take from Python, without a server.
    """
    figures: dict[str, Any] = {"questions": limit or ASKED}
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as room:
        (Path(room) / "understudy.toml").write_text(SETTINGS.format(slots=1), encoding="utf-8")
        with Agent.open(room) as agent:
            agent.ingest([SAMPLES])
            figures["without_a_server_ms_p50"] = round(1000 * quantile(from_python(agent, limit or ASKED), 0.5), 1)
        for slots in SLOTS:
            (Path(room) / "understudy.toml").write_text(SETTINGS.format(slots=slots), encoding="utf-8")
            with server(Path(room)) as (url, _):
                asyncio.run(load(url, 1, len(QUESTIONS)))  # everything is loaded by then
                for users in USERS:
                    began = time.perf_counter()
                    timed = asyncio.run(load(url, users, limit or ASKED))
                    seconds = time.perf_counter() - began
                    figures[f"slots_{slots}_users_{users}"] = summed(timed, seconds)
    return figures


def from_python(agent: Agent, questions: int) -> list[float]:
    """Seconds a question, once everything is loaded."""
    took = []
    for number in range(-len(QUESTIONS), questions):
        began = time.perf_counter()
        agent.ask(QUESTIONS[number % len(QUESTIONS)])
        took.append(time.perf_counter() - began)
    return took[len(QUESTIONS) :]


def summed(timed: list[Timed], seconds: float) -> dict[str, float]:
    """Medians and 95th percentiles."""
    found = {"answers_a_second": round(len(timed) / seconds, 2)}
    for name in ("first_byte", "first_step", "whole"):
        for share in (0.5, 0.95):
            values = [getattr(t, name) for t in timed]
            found[f"{name}_ms_p{share * 100:.0f}"] = round(1000 * quantile(values, share), 1)
    found["added_ms_p50"] = round(1000 * quantile([t.whole - t.inside for t in timed], 0.5), 1)
    found["kv_reused"] = round(sum(t.reused for t in timed) / len(timed), 3)
    return found


@contextmanager
def server(workspace: Path) -> Iterator[tuple[str, int]]:
    """`understudy serve` of a workspace; its address, and the number of its process."""
    command = [sys.executable, "-m", "understudy.apps.cli", "--workspace", str(workspace), "serve", "--port", "0"]
    path = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path, "COLUMNS": "200"}
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"(http://\S+)/v1", line):
                yield found[1], process.pid
                return
        raise InternalError("the server didn't start")
    finally:
        process.terminate()
        process.wait(30)


async def load(url: str, users: int, questions: int) -> list[Timed]:
    """So many users, who share the questions."""
    numbers = itertools.count()
    timed: list[Timed] = []

    async def user(client: httpx.AsyncClient) -> None:
        while (number := next(numbers)) < questions:
            timed.append(await asked(client, QUESTIONS[number % len(QUESTIONS)]))

    limits = httpx.Limits(max_connections=users)
    async with httpx.AsyncClient(base_url=url, timeout=LONGEST_S, limits=limits) as client:
        await asyncio.gather(*(user(client) for _ in range(users)))
    return timed


async def asked(client: httpx.AsyncClient, question: str) -> Timed:
    """Ask, and listen to the end."""
    body = {"model": "default", "stream": True, "messages": [{"role": "user", "content": question}]}
    began = time.perf_counter()
    first_byte = first_step = 0.0
    said: dict[str, Any] = {}
    async with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        async for line in reply.aiter_lines():
            if not line.startswith("data: {"):
                continue
            first_byte = first_byte or time.perf_counter() - began
            told = json.loads(line[6:]).get("understudy") or {}
            if "step" in told:
                first_step = first_step or time.perf_counter() - began
            said = told if "thread" in told else said
    whole = time.perf_counter() - began
    if not said:
        raise InternalError(f"no answer came to {question!r}")
    small = said["tokens"]["small"]
    read = small["evaluated"] + small["reused"]
    return Timed(first_byte, first_step, whole, said["latency_s"], small["reused"] / max(1, read))
