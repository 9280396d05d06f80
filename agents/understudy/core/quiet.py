"""The libraries' own telemetry and tracing is off, whatever the environment says: text must not leave by a side door.

`hush` runs when `understudy.core` is imported, before any library that reads these variables. Whoever embeds Understudy
in a program that is traced may turn tracing on again afterwards (`langsmith.configure(enabled=True)`): what runs inside
Understudy stays untraced, since graphs and experts run with tracing off, and in a context of their own.

OpenTelemetry's own variables are left alone: nothing is exported unless a program sets an exporter up, and Understudy
sets up none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

__all__ = ["GONE", "OFF", "hush"]

OFF: Mapping[str, str] = {
    "LANGSMITH_TRACING": "false",
    "LANGSMITH_TRACING_V2": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_OTEL_ENABLED": "false",
    "ANONYMIZED_TELEMETRY": "False",  # Chroma
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, transformers, datasets
    "GRADIO_ANALYTICS_ENABLED": "False",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DO_NOT_TRACK": "1",
    "WANDB_MODE": "disabled",  # these two would have the trainers report
    "COMET_MODE": "DISABLED",
}
"""Variables, and the value that turns what they govern off."""

GONE = (
    "LANGCHAIN_TRACING",  # set at all, it makes every call fail
    "LANGCHAIN_HANDLER",
    "LANGSMITH_RUNS_ENDPOINTS",
    "LANGCHAIN_COMET_TRACING",
    "LANGCHAIN_WANDB_TRACING",
    "CHROMA_OTEL_COLLECTION_ENDPOINT",  # Chroma would export a trace of every query
    "CHROMA_OTEL_GRANULARITY",
    "OTEL_ENABLED",  # LangSmith's older names
    "OTEL_ONLY",
    "LANGSMITH_OTEL_ONLY",
)
"""Variables that are off where they aren't set."""


def hush(environment: MutableMapping[str, str] = os.environ) -> None:
    """Turn telemetry and tracing off, for this process and those that it starts."""
    environment.update(OFF)
    for name in GONE:
        environment.pop(name, None)
