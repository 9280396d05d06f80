"""Nothing leaves by a side door: with every library's telemetry switched on, and with every other way out shut."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_openai import serving

from understudy.core.quiet import GONE, OFF, hush

CHILD = """
import json, sys

folder, url, shut = sys.argv[1], sys.argv[2], sys.argv[3] == "shut"
server = ("127.0.0.1", int(url.split(":")[2].split("/")[0]))
elsewhere = []

def hook(event, arguments):
    if event not in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"):
        return
    where = tuple(arguments[:2]) if event == "socket.getaddrinfo" else arguments[-1]
    if isinstance(where, tuple) and (str(where[0]), where[1]) == server:
        return
    elsewhere.append([event, repr(where)])
    if shut:
        raise OSError(f"{event} {where!r} is shut")

sys.addaudithook(hook)
from understudy.agents import Agent
from understudy.core.settings import CollectionSettings, DeferralSettings, ExpertSettings, Settings

settings = Settings(
    deferral=DeferralSettings(min_confidence=1.0),
    experts=(ExpertSettings(name="gpt", model="openai:fake", base_url=url, retries=0),),
    collections={"default": CollectionSettings(sensitivity="open")},
)
with Agent.open(folder + "/w", settings=settings) as agent:
    agent.ingest([folder + "/docs"])
    answer = agent.ask("Who is treated on ward seven?")
from langchain_core.tracers.langchain import wait_for_all_tracers

wait_for_all_tracers()
print(json.dumps({"route": answer.route, "elsewhere": elsewhere}))
"""


@contextmanager
def listening() -> Iterator[tuple[str, list[bytes]]]:
    """A server that anybody may talk to, and what it was told."""
    told: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(1)
                    try:
                        told.append(connection.recv(4096))
                    except OSError:
                        told.append(b"")

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", told
        server.shutdown(socket.SHUT_RDWR)


def switched_on(address: str) -> dict[str, str]:
    """An environment in which every library may talk, to a listener where it can be told whom."""
    return {
        **{name: "true" for name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING")},
        **{name: f"http://{address}" for name in ("LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT", "POSTHOG_HOST")},
        **{name: "key" for name in ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY", "POSTHOG_API_KEY", "WANDB_API_KEY")},
        "LANGSMITH_OTEL_ENABLED": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}",
        "OTEL_TRACES_EXPORTER": "otlp",
        "CHROMA_OTEL_COLLECTION_ENDPOINT": f"http://{address}",
        "CHROMA_OTEL_GRANULARITY": "all",
        "ANONYMIZED_TELEMETRY": "True",
        "GRADIO_ANALYTICS_ENABLED": "True",
        "HF_HUB_DISABLE_TELEMETRY": "0",
        "HF_ENDPOINT": f"http://{address}",
        "HF_HUB_OFFLINE": "0",
        "RAY_USAGE_STATS_ENABLED": "1",
        "RAY_USAGE_STATS_REPORT_URL": f"http://{address}",
        "WANDB_MODE": "online",
        "WANDB_BASE_URL": f"http://{address}",
    }  # fmt: skip


def child(folder: Path, url: str, how: str, environment: dict[str, str]) -> dict[str, Any]:
    (folder / "docs").mkdir()
    (folder / "docs" / "ward.md").write_text("Ann Miller is treated on ward seven.")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), url, how],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_with_all_telemetry_on_nothing_but_the_experts_request_leaves(tmp_path: Path) -> None:
    with serving("ok") as server, listening() as (address, told):
        found = child(tmp_path, server.url, "watched", switched_on(address))
        assert (found["route"], found["elsewhere"], told) == ("expert", [], [])
        assert len(server.requests) == 1


def test_with_every_other_way_out_shut_a_question_is_answered(tmp_path: Path) -> None:
    with serving("ok") as server:
        found = child(tmp_path, server.url, "shut", {})
    assert (found["route"], found["elsewhere"]) == ("expert", [])


def test_the_listener_hears_a_library_that_is_not_hushed() -> None:
    """The control: the same environment, LangSmith, and no Understudy."""
    script = (
        "from langchain_core.runnables import RunnableLambda\n"
        "from langchain_core.tracers.langchain import wait_for_all_tracers\n"
        "RunnableLambda(lambda x: x).invoke('Ann Miller')\n"
        "wait_for_all_tracers()\n"
    )
    with listening() as (address, told):
        on = {
            k: v for k, v in switched_on(address).items() if k.startswith(("LANGSMITH_T", "LANGSMITH_A", "LANGSMITH_E"))
        }
        subprocess.run([sys.executable, "-c", script], env=os.environ | on, capture_output=True, check=True)
        assert told


def test_hushing() -> None:
    environment = {"LANGSMITH_TRACING": "true", "PATH": "/bin"} | dict.fromkeys(GONE, "x")
    hush(environment)
    assert environment == {"PATH": "/bin"} | dict(OFF)


def test_the_agent_is_untraced_inside_a_traced_program() -> None:
    """A LangChain program hands its tracers down by context; the agent's loop takes none."""
    from langchain_core.runnables import RunnableLambda
    from langchain_core.runnables.config import var_child_runnable_config

    from understudy.agents.loop import Loop

    async def inherited() -> Any:
        return var_child_runnable_config.get()

    loop = Loop()
    try:
        assert RunnableLambda(lambda _: var_child_runnable_config.get()).invoke(1) is not None
        assert RunnableLambda(lambda _: {"inherited": loop.run(inherited())}).invoke(1) == {"inherited": None}
    finally:
        loop.close()


@pytest.mark.parametrize("name", ["understudy.agents", "understudy.apps.cli", "understudy.retrieval.store"])
def test_it_is_hushed_by_any_import(name: str) -> None:
    script = f"import os, {name}; print(os.environ['LANGSMITH_TRACING'], os.environ.get('CHROMA_OTEL_GRANULARITY'))"
    environment = {
        "LANGSMITH_TRACING": "true",
        "CHROMA_OTEL_GRANULARITY": "all",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["false", "None"]
