"""No network but loopback, nothing of the caller's environment, and a share of the cores for each worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

REAL_DATA = Path(os.environ.get("UNDERSTUDY_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_configure(config: pytest.Config) -> None:
    """Give a worker of pytest-xdist cores of its own: models that compute with more threads than cores wait in vain."""
    for name in ("COLUMNS", "LINES"):  # readline sets them in pytest, whose workers' consoles would go by them
        os.environ.pop(name, None)
    worker = getattr(config, "workerinput", None)
    if worker is None or not hasattr(os, "sched_setaffinity"):
        return
    free, number, count = sorted(os.sched_getaffinity(0)), int(worker["workerid"][2:]), worker["workercount"]
    os.sched_setaffinity(0, free[number::count] or free)


def pytest_runtest_setup(item: pytest.Item) -> None:
    from pytest_socket import socket_allow_hosts

    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
    if item.get_closest_marker("data") and not REAL_DATA.exists():
        pytest.skip(f"no real data at {REAL_DATA}; set UNDERSTUDY_DATA")


@pytest.fixture(autouse=True, scope="session")
def shared_sessions() -> Iterator[None]:
    """Load encoder and reader once a process: every agent of a test would take a second for the same weights."""
    from understudy.retrieval import onnx_models

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(onnx_models, "session", lru_cache(maxsize=4)(onnx_models.session))
        yield


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("LANGSMITH_", "LANGCHAIN_", "OPENAI_", "UNDERSTUDY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def real_data() -> Path:
    return REAL_DATA
