"""The agent: `Agent` is the way in, its results are `Answer` and `Citation`."""

import understudy.core  # noqa: F401 - first, since it turns the libraries' telemetry off
from understudy.agents.agent import Agent
from understudy.agents.erasure.erasure import ErasureReport
from understudy.core.types import Answer, Citation
from understudy.graphs.state import Event
from understudy.retrieval.ingest import IngestReport

__all__ = ["Agent", "Answer", "Citation", "ErasureReport", "Event", "IngestReport"]
