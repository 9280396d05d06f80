"""Two principals ask the same at the same time: nothing of the one's reaches the other."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from server_parts import Running, running

from understudy.agents import Agent
from understudy.apps.server.database import open_database
from understudy.apps.server.keys import Keys
from understudy.core.settings import (
    CollectionSettings,
    DeferralSettings,
    ExpertSettings,
    PrincipalSettings,
    Settings,
)

TIMES = {"ann": "noon", "bob": "midnight"}
ASKED = [f"When does ferry number {number} leave?" for number in range(10)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("tenants")
    lines = []
    for name, time in TIMES.items():
        text = "\n\n".join(f"Ferry number {n} leaves at {time}, says {name}." for n in range(10))
        (folder / f"{name}.md").write_text(f"# Ferries\n\n{text}\n")
        for number, question in enumerate(ASKED):
            cited = [{"document": f"{name}.md", "quote": f"number {number} leaves at {time}"}]
            said = {"question": question, "document": f"{name}.md", "text": f"At {time}", "citations": cited}
            lines.append(json.dumps(said))
    (folder / "answers.jsonl").write_text("\n".join(lines))
    settings = Settings(
        deferral=DeferralSettings(min_confidence=1.0),
        experts=(ExpertSettings(name="replay", model=f"recorded:{folder / 'answers.jsonl'}"),),
        collections={name: CollectionSettings(label=name, domain="ferries", sensitivity="open") for name in TIMES},
        principals={name: PrincipalSettings(labels=(name,)) for name in TIMES},
    )
    with Agent.open(folder / "workspace", settings=settings) as agent:
        for name in TIMES:
            agent.ingest([folder / f"{name}.md"], collection=name)
        with running(agent, queue=1000, rate_per_minute=1e6) as found:
            yield found


async def ask(client: httpx.AsyncClient, key: str, model: str, question: str, **more: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": question}]} | more
    return await client.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"})


async def interleaved(server: Running, requests: int, seed: int) -> Counter[str]:
    """Both ask, and try for what is the other's; gives how often which route was taken."""
    chance = random.Random(seed)
    held = Keys(open_database(server.served.agent.workspace.server))
    keys = {name: held.create(name)[1] for name in TIMES}
    threads: dict[str, set[str]] = {name: set() for name in TIMES}
    routes: Counter[str] = Counter()
    limits = httpx.Limits(max_connections=16, keepalive_expiry=1)  # sooner than the server hangs up

    async def one(client: httpx.AsyncClient) -> None:
        name = chance.choice(list(TIMES))
        other = next(n for n in TIMES if n != name)
        question = chance.choice(ASKED)
        kind = chance.random()
        if kind < 0.1:
            refused = await ask(client, keys[name], f"{other}/{other}.md", question)
            assert refused.status_code == 404
            assert other not in refused.json()["error"]["message"].partition("; a collection is one: ")[2]
            routes["refused"] += 1
            return
        if kind < 0.2 and threads[other]:
            theirs = {"thread": chance.choice(sorted(threads[other]))}
            refused = await ask(client, keys[name], f"{name}/{name}.md", question, understudy=theirs)
            assert refused.status_code in (404, 409)  # 409 where they try for it twice at once
            routes["refused"] += 1
            return
        reply = await ask(client, keys[name], f"{name}/{name}.md", question)
        assert reply.status_code == 200, reply.text
        told = reply.json()["understudy"]
        assert TIMES[other] not in reply.text
        assert f"{other}.md" not in reply.text
        threads[name].add(told["thread"])
        routes[told["route"]] += 1

    async with httpx.AsyncClient(base_url=server.url, timeout=300, limits=limits) as client:
        for _ in range(0, requests, 20):
            await asyncio.gather(*(one(client) for _ in range(20)))
    assert not threads["ann"] & threads["bob"]
    for name in TIMES:
        shown = {t.id for t in server.served.agent.threads(principal=name)}
        assert threads[name] <= shown
        assert not shown & threads[next(n for n in TIMES if n != name)]
    return routes


async def test_nothing_crosses(server: Running) -> None:
    routes = await interleaved(server, 80, 17)
    assert routes["cache"] > 10
    assert routes["expert"] >= 10
    assert routes["refused"] > 2
    assert (server.served.queue.running, server.served.queue.waiting) == (0, 0)


@pytest.mark.slow
@pytest.mark.timeout(1500)
async def test_nothing_crosses_in_a_thousand_requests(server: Running) -> None:
    routes = await interleaved(server, 1000, 18)
    assert sum(routes.values()) == 1000
