"""Suite `access`: random principals, labels, collections, documents and questions, against a reference.

In every epoch labels and documents change, and the workspace is opened anew. Then whole questions are asked of the
agent, and its stores are asked directly, mixed; what each gives is compared with what the reference opens.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from understudy.agents import Agent
from understudy.agents.demonstrations import Demonstrations
from understudy.apps.bench.access_asks import AskChecks, Watched
from understudy.apps.bench.access_stores import KINDS, StoreChecks, Stores, named
from understudy.apps.bench.access_truth import OWNER, Tally, Truth, planted
from understudy.apps.bench.swapping import noisy_adapter
from understudy.apps.bench.workspaces import bar
from understudy.core.access import Ground
from understudy.core.settings import Settings

__all__ = ["measure_access"]

CHECKS = 10_000
EPOCH = 1_000
"""Checks, after which labels and documents change."""
ASKS = 0.03
"""The share of whole questions among them."""
LABELS = ("red", "green", "blue", "gold")
COLLECTIONS = ("amber", "birch", "cedar", "dahlia", "elder", "fern")
PEOPLE = ("ann", "bob", "cleo", "dan", "eve")
DOCUMENTS = 6
DOMAIN = "plants"


def measure_access(limit: int | None, seed: int) -> dict[str, Any]:
    """Checks on what is given, by kind: how many, in how many something was given or withheld, leaks and losses.

    Args:
        limit: checks, 10,000 by default.
        seed: of everything that is drawn.
    """
    rng, tally = random.Random(seed), Tally()
    truth = Truth({who: set() for who in PEOPLE}, {c: rng.choice(LABELS) for c in COLLECTIONS})
    secrets: dict[str, str] = {}
    state: dict[str, Any] = {}
    wanted = limit or CHECKS
    with TemporaryDirectory(prefix="understudy-bench-") as room, bar("checking", wanted) as advance:
        epoch = 0
        while tally.total < wanted:
            change(truth, rng, secrets, epoch)
            with Agent.open(Path(room) / "w", settings=settings_of(truth, secrets, Path(room))) as agent:
                world = opened(agent, truth, tally, rng, state)
                settle(world, agent, secrets, Path(room), epoch)
                asks = AskChecks(agent, world, secrets)
                run_epoch(world, asks, min(wanted, (epoch + 1) * min(EPOCH, wanted // 2)), advance)
                state.update(keys=world.keys, asked=world.asked, number=world.number, turns=asks.turns)
            epoch += 1
    return figures(tally, epoch)


def change(truth: Truth, rng: random.Random, secrets: dict[str, str], epoch: int) -> None:
    """Labels of some collections and people, and the words of some documents."""
    for collection in COLLECTIONS:
        if epoch and rng.random() < 0.25:
            truth.labels[collection] = rng.choice(LABELS)
    for who in PEOPLE:
        if not epoch or rng.random() < 0.25:
            truth.holds[who] = set(rng.sample(LABELS, rng.randint(0 if who == "eve" else 1, 3)))
    for collection in COLLECTIONS:
        for number in range(DOCUMENTS):
            document = f"{collection}-{number}"
            if document not in secrets or rng.random() < 0.1:
                secrets[document] = f"{rng.choice(WORDS)}{rng.randrange(10**6)}"


WORDS = ("quartz", "velvet", "harbour", "lantern", "meadow", "orchid", "pebble", "saddle", "timber", "walnut")


def settings_of(truth: Truth, secrets: dict[str, str], room: Path) -> Settings:
    """What the owner writes into `understudy.toml` now, and an expert who knows every keyword."""
    said = [
        {"question": f"What is the keyword of {document}?", "text": secret,
         "citations": [{"document": document, "quote": secret}]}
        for document, secret in secrets.items()
    ]  # fmt: skip
    (room / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said), encoding="utf-8")
    return Settings.parse(
        {
            "deferral": {"min_confidence": 1.0},
            "experts": [{"name": "replay", "model": f"recorded:{room / 'answers.jsonl'}"}],
            "collections": {
                c: {"label": label, "domain": DOMAIN, "sensitivity": "open"} for c, label in truth.labels.items()
            },
            "principals": {who: {"labels": sorted(held)} for who, held in truth.holds.items()},
        }
    )


def opened(agent: Agent, truth: Truth, tally: Tally, rng: random.Random, state: dict[str, Any]) -> StoreChecks:
    """The checks on an agent's stores, going on where the epoch before ended."""
    agent.demonstrations = Watched(agent.demonstrations)
    embed = agent.encoder.embed_documents
    stores = Stores(
        agent.store,
        agent.cache,
        agent.example_store,
        Demonstrations(embed, agent.example_store.later, planted, 10_000),
        agent.deferral.store,
        agent.registry,
        agent.owners,
    )
    world = StoreChecks(stores, truth, tally, rng, embed)
    world.keys, world.asked, world.number = state.get("keys", {}), state.get("asked", {}), state.get("number", 0)
    return world


def settle(world: StoreChecks, agent: Agent, secrets: dict[str, str], room: Path, epoch: int) -> None:
    """Ingest what changed; at first, put an adapter in force for every label."""
    for document, secret in secrets.items():
        collection = document.partition("-")[0]
        if world.truth.documents.get(collection, {}).get(document) != secret:
            world.put(collection, document, secret)
    if epoch:
        return
    for number, label in enumerate(LABELS):
        grounds = tuple(Ground(collection=c, label=held) for c, held in world.truth.labels.items() if held == label)
        if grounds:
            card = noisy_adapter(agent, room, number, domain=DOMAIN, label=label, grounds=grounds)
            agent.registry.promote(card)
            world.truth.keep("adapter", named(card), OWNER, more=((g.collection, label) for g in grounds))
            world.truth.keep("live adapter", label, OWNER, more=((g.collection, label) for g in grounds))


def run_epoch(world: StoreChecks, asks: AskChecks, until: int, advance: Any) -> None:
    """Asks, direct checks, and what both leave behind, in random order."""
    tally, rng = world.tally, world.rng
    while tally.total < until:
        who = rng.choice((*PEOPLE, *PEOPLE, OWNER))
        drawn = rng.random()
        if drawn < ASKS:
            asks.ask(who)
        elif drawn < 2 * ASKS:
            plant(world, who)
        elif drawn < 0.2:
            asks.look(who)
        else:
            world.check(rng.choice(KINDS), who)
        advance(tally.total, None)


def plant(world: StoreChecks, who: str) -> None:
    """Something is kept, in a thread that is theirs or in a new one; or an adapter is made."""
    rng, truth = world.rng, world.truth
    if rng.random() < 0.15:
        some = rng.sample(COLLECTIONS, rng.randint(1, 2))
        world.train(rng.choice(LABELS), {c: rng.choice((truth.labels[c], *LABELS)) for c in some})
        return
    readable = [c for c in COLLECTIONS if truth.reads(who, c)]
    if readable:
        mine = [t.name.partition("/")[2] for t in truth.of("thread") if truth.mine(who, t)]
        world.ask(who, rng.choice(readable), rng.choice(mine) if mine and rng.random() < 0.4 else None)


def figures(tally: Tally, epochs: int) -> dict[str, Any]:
    """The tally as a result."""
    return {
        "checks": tally.total,
        "leaks": len(tally.leaks),
        "lost": len(tally.lost),
        "given": sum(tally.given.values()),
        "withheld": sum(tally.withheld.values()),
        "epochs": epochs,
        "asks": tally.checks["ask"],
        "rows": rows_of(tally.checks, tally),
        "first_leaks": tally.leaks[:5],
        "first_lost": tally.lost[:5],
    }


def rows_of(kinds: Counter[str], tally: Tally) -> Sequence[dict[str, Any]]:
    """A row for every kind of check."""
    return [
        {
            "check": kind,
            "checks": count,
            "given": tally.given[kind],
            "withheld": tally.withheld[kind],
            "leaks": sum(leak.startswith(f"{kind}:") for leak in tally.leaks),
            "lost": sum(lost.startswith(f"{kind}:") for lost in tally.lost),
        }
        for kind, count in sorted(kinds.items())
    ]
