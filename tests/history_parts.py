"""A workspace that was used for some weeks: filled through its own stores, by a clock that is turned back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from card_parts import making

from understudy.agents import Agent
from understudy.core.adapters import GateReport
from understudy.core.protocols import Account
from understudy.core.types import Answer, Draft, ExpertAnswer, Outcome, Route, Scope
from understudy.core.usage import Spend
from understudy.graphs.state import thread_key


@contextmanager
def turned_back(agent: Agent, moment: datetime) -> Iterator[None]:
    """While the stores take it to be another time."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("agents.access.turns", "agents.deferral.outcomes"):
            patch.setattr(f"understudy.{module}.now", lambda: moment.isoformat())
        patch.setattr(agent.ledger, "_now", lambda: moment)
        yield


def lived_through(agent: Agent, days: int = 21, seed: int = 5) -> None:
    """Weeks in which the small model learned to answer what went to the expert before."""
    rng = random.Random(seed)
    today = datetime.now(UTC)
    for day in range(days):
        with turned_back(agent, today - timedelta(days=days - day)):
            for number in range(rng.randint(4, 11)):
                skill = 0.35 + 0.55 * day / days
                asked(agent, f"question {day}.{number}", rng, skill, local=rng.random() < skill - 0.15)


def asked(agent: Agent, question: str, rng: random.Random, skill: float, *, local: bool) -> None:
    """One question, with all that is noted of it."""
    who = agent.principal
    thread, _ = agent.owners.begin(who, "default")
    route: Route = "cache" if local and rng.random() < 0.25 else "local" if local else "expert"
    turn = agent.turns.begin(thread_key(who.name, thread), question, Scope())
    answer = Answer(question=question, text="1961", route=route, reason="", confidence=skill, thread=thread)
    agent.turns.finish(turn, answer)
    if rng.random() < 0.3:
        agent.turns.judge(turn, rng.random() < 0.6 + 0.35 * skill, None)
    if route != "expert":
        return
    cost = rng.uniform(0.008, 0.016)
    booked = agent.ledger.reserve(
        Account(question=question, thread=thread, principal=who.name, job=None), "gpt", Spend(usd=0.02, calls=1)
    )
    agent.ledger.settle(booked, Spend(usd=cost, calls=1, tokens=1100))
    support = min(1.0, max(0.0, rng.gauss(skill, 0.25)))
    right = rng.random() < 0.25 + 0.7 * support
    draft = Draft(text="1961", citations=(), mean_logprob=-0.1, min_logprob=-0.2, removed_mass=0.0, support=support)
    agent.deferral.store.note(
        Outcome(
            question=question,
            scope=Scope(),
            draft=draft,
            signals={"mean_logprob": -0.1 - (1 - support), "support": support},
            small_model=agent.deferral.in_force.name("default"),
            expert=ExpertAnswer(text="1961" if right else "1987", expert="gpt"),
        ),
        in_force=1.0,
    )


def trained(agent: Agent, folder: Path) -> None:
    """Four adapters, as the gate may find them."""
    weights = folder / "reader.safetensors"
    weights.write_bytes(b"weights")
    reports = (
        GateReport(questions=12, missing=28, reason="28 more gate examples are needed; there are 12"),
        GateReport(questions=44, live=0.48, candidate=0.61, promoted=True, reason="it is better (p = 0.004)"),
        GateReport(questions=58, live=0.61, candidate=0.55, reason="it is not better than the live model (p = 0.71)"),
        GateReport(questions=71, live=0.61, candidate=0.74, promoted=True, reason="it is better (p = 0.01)"),
    )
    for number, report in enumerate(reports):
        make = making(f"run{number}", "default", "default", gate=report, base=agent.model.name)
        card = agent.registry.add({"reader.safetensors": weights}, make)
        if number == 1:
            agent.registry.promote(card)
