"""Suite `soak`: eight people use a server for half an hour, and hang up at random; what is lost, and what grows.

Everybody asks, streamed or not, in threads of their own; a quarter of the streams is hung up on at some point. Lost is
a finished answer that its thread doesn't show afterwards, or shows otherwise. A slot leaked if questions still run or
wait once nobody asks any more. Memory is the server's resident set.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from understudy.agents import Agent
from understudy.apps.api.embeddings import MODEL
from understudy.apps.bench.serving import LONGEST_S, SAMPLES, SETTINGS, server
from understudy.apps.bench.swapping import QUESTIONS
from understudy.core.errors import InternalError

__all__ = ["measure_soak"]

MINUTES, USERS, SLOTS = 30, 8, 2
HANGS_UP = 0.25
"""Of streams."""
EVERY_S = 5.0
"""Between two looks at the server's memory."""
SETTLING_S = 60
ASK, EXTRAS = "/v1/chat/completions", ("/v1/models", "/v1/understudy/threads", "/v1/understudy/status", "/metrics")


@dataclass
class User:
    """Somebody with threads of their own, and what they were answered in them."""

    client: httpx.AsyncClient
    rng: random.Random
    said: dict[str, list[str]] = field(default_factory=dict)
    """By thread, the answers that came to their end."""
    did: Counter[str] = field(default_factory=Counter)

    async def go_on(self, until: float) -> None:
        """Use the server until a moment."""
        while time.monotonic() < until:
            chosen = self.rng.random()
            if chosen < 0.1:
                (await self.client.get(self.rng.choice(EXTRAS))).raise_for_status()
                self.did["looked"] += 1
            elif chosen < 0.15:
                asked = {"model": MODEL, "input": ["a text", "another"]}
                (await self.client.post("/v1/embeddings", json=asked)).raise_for_status()
                self.did["embedded"] += 1
            else:
                await self.ask()

    async def ask(self) -> None:
        """One question, in a thread of before or a new one."""
        thread = self.rng.choice([None, *self.said]) if self.rng.random() < 0.6 else None
        streamed = self.rng.random() < 0.7
        body: dict[str, Any] = {
            "model": "default",
            "stream": streamed,
            "messages": [{"role": "user", "content": self.rng.choice(QUESTIONS)}],
        }
        if thread is not None:
            body["understudy"] = {"thread": thread}
        if streamed:
            await self.stream(body, hang_up=self.rng.random() < HANGS_UP)
            return
        reply = await self.client.post(ASK, json=body)
        if reply.status_code in (409, 503):  # the thread is still being stopped, or the queue is full
            self.did["told to wait"] += 1
            return
        reply.raise_for_status()
        found = reply.json()
        self.note(found["understudy"]["thread"], found["choices"][0]["message"]["content"])

    async def stream(self, body: dict[str, Any], *, hang_up: bool) -> None:
        """Listen to the end, or for a while."""
        patience = self.rng.uniform(0, 0.8) if hang_up else LONGEST_S
        text, thread = "", ""
        try:
            async with asyncio.timeout(patience), self.client.stream("POST", ASK, json=body) as reply:
                if reply.status_code in (409, 503):
                    self.did["told to wait"] += 1
                    return
                reply.raise_for_status()
                async for line in reply.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    chunk = json.loads(line[6:])
                    thread = (chunk.get("understudy") or {}).get("thread") or thread
                    text += "".join(c["delta"].get("content") or "" for c in chunk["choices"])
        except TimeoutError:
            if not hang_up:
                raise
            self.did["hung up"] += 1
            return
        self.note(thread, text)

    def note(self, thread: str, text: str) -> None:
        """An answer came to its end."""
        self.said.setdefault(thread, []).append(text)
        self.did["answered"] += 1

    async def lost(self) -> int:
        """Answers that their threads don't show, each as often as it was given."""
        missing = 0
        for thread, texts in self.said.items():
            reply = await self.client.get(f"/v1/understudy/threads/{thread}")
            shown = Counter(t["answer"]["text"] for t in reply.json().get("turns", ()) if t["answer"] is not None)
            missing += sum((Counter(texts) - shown).values())
        return missing


def measure_soak(limit: int | None, seed: int) -> dict[str, Any]:
    """Use a server of its own process, and count afterwards.

    Args:
        limit: minutes, 30 by default.
        seed: of what everybody does.
    """
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as room:
        with Agent.open(room) as agent:
            agent.ingest([SAMPLES])
        (Path(room) / "understudy.toml").write_text(SETTINGS.format(slots=SLOTS), encoding="utf-8")
        with server(Path(room)) as (url, process):
            return asyncio.run(soaked(url, process, 60.0 * (limit or MINUTES), seed))


async def soaked(url: str, process: int, seconds: float, seed: int) -> dict[str, Any]:
    """What became of it."""
    async with httpx.AsyncClient(base_url=url, timeout=LONGEST_S, limits=httpx.Limits(max_connections=64)) as client:
        users = [User(client, random.Random(f"{seed} {n}")) for n in range(USERS)]
        sizes: list[float] = []
        until = time.monotonic() + seconds
        watching = asyncio.create_task(watch(process, sizes))
        await asyncio.gather(*(user.go_on(until) for user in users))
        watching.cancel()
        leaked = await left_running(client)
        lost = sum([await user.lost() for user in users])
    did = sum((user.did for user in users), Counter[str]())
    quarter = max(1, len(sizes) // 4)
    second, last = mean(sizes[quarter : 2 * quarter] or sizes), mean(sizes[-quarter:])
    return {
        "minutes": round(seconds / 60, 1),
        "users": USERS,
        "slots": SLOTS,
        **{name.replace(" ", "_"): count for name, count in sorted(did.items())},
        "threads": sum(len(user.said) for user in users),
        "answers_lost": lost,
        "slots_leaked": leaked,
        "memory_mib_second_quarter": round(second, 1),
        "memory_mib_last_quarter": round(last, 1),
        "memory_growth": round(last / second - 1, 4),
    }


async def watch(process: int, sizes: list[float]) -> None:
    """Look at a process's memory again and again."""
    while True:
        sizes.append(resident_mib(process))
        await asyncio.sleep(EVERY_S)


def resident_mib(process: int) -> float:
    """The resident set of a process. Raises `InternalError` where the system doesn't tell."""
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except OSError as error:
        raise InternalError(f"the memory of process {process} can't be read: it ended, or this is no Linux") from error
    assert found is not None
    return int(found[1]) / 1024


async def left_running(client: httpx.AsyncClient) -> int:
    """Questions that still run or wait a minute after the last was asked."""
    busy = 0
    for _ in range(SETTLING_S):
        page = (await client.get("/metrics")).text
        found = re.findall(r"^understudy_questions_(?:running|waiting) (\S+)$", page, re.MULTILINE)
        busy = int(sum(map(float, found)))
        if found and not busy:
            return 0
        await asyncio.sleep(1)
    return busy


def mean(values: list[float]) -> float:
    """Of at least one."""
    return sum(values) / len(values)
