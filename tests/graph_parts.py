"""A graph's dependencies, all fake."""

from __future__ import annotations

from typing import Any

from understudy.core.fakes import (
    FakeApprovals,
    FakeAuditLog,
    FakeBudget,
    FakeCache,
    FakeExamples,
    FakeExperts,
    FakeGuard,
    FakeJudge,
    FakeOutcomes,
    FakePlanner,
    FakeRetriever,
    FakeToolBox,
)
from understudy.core.protocols import Payload
from understudy.core.steps import Step
from understudy.core.types import Observation
from understudy.graphs.state import Deps


def fake_deps(found: Observation, *steps: Step, **changes: Any) -> Deps:
    """A planner that takes these steps, tools that find `found`, and whatever is changed."""
    given: dict[str, Any] = {
        "planner": FakePlanner(list(steps)),
        "tools": FakeToolBox(found),
        "retriever": FakeRetriever(list(found.passages)),
        "judge": FakeJudge(),
        "guard": FakeGuard(),
        "approvals": FakeApprovals(),
        "audit": FakeAuditLog(),
        "budget": FakeBudget(),
        "experts": FakeExperts(),
        "outcomes": FakeOutcomes(),
        "cache": FakeCache(),
        "examples": FakeExamples(),
        "brief": lambda question, scope, passages, draft, history: Payload(
            "system", question, tuple(passages), question, scope
        ),
        "small_model": "fake",
    }
    if isinstance(changes.get("experts"), list):
        changes["experts"] = FakeExperts(changes["experts"])
    return Deps(**(given | changes))
