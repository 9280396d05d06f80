"""Requests made up from the OpenAPI description: none is answered by a server error, or by what isn't described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from server_parts import SAMPLES, running

from understudy.agents import Agent
from understudy.core.settings import DeferralSettings, Settings

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def api_schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    settings = Settings(deferral=DeferralSettings(min_confidence=0.0, audit_rate=0.0))
    with Agent.open(tmp_path_factory.mktemp("openapi"), settings=settings) as agent:
        agent.ingest([SAMPLES])
        with running(agent, rate_per_minute=1e6) as server:
            yield schemathesis.openapi.from_url(f"{server.url}/openapi.json")


def try_all(api: Any, examples: int, *, derandomize: bool) -> None:
    """So many requests to every operation; fails with the first that is answered wrongly."""
    found = [result.ok() for result in api.get_all_operations()]
    assert len(found) > 15
    for operation in found:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=examples,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),
            derandomize=derandomize,
            database=None,
        )
        def no_request_breaks_it(case: Any) -> None:
            case.call_and_validate(checks=CHECKS, timeout=60)

        no_request_breaks_it()


def test_no_request_breaks_the_server(api_schema: Any) -> None:
    try_all(api_schema, 6, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_request_breaks_the_server_however_many(api_schema: Any) -> None:
    try_all(api_schema, 150, derandomize=False)
