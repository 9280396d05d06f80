"""The MCP server's tools through a real client, in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import McpError
from mcp.types import CancelledNotification, CancelledNotificationParams, ClientNotification
from mcp_parts import called, in_memory, made_workspace, refused

from understudy.agents import Agent
from understudy.agents.small_model import SmallModel
from understudy.apps.mcp.reading import LONGEST, part, place
from understudy.core.errors import ScopeError, Stopped
from understudy.core.types import Document, Mark

QUESTION = "When are visitors welcome on ward seven?"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_workspace(tmp_path_factory.mktemp("mcp"))


@pytest.fixture(scope="module")
def owner(workspace: Path) -> Iterator[Agent]:
    with Agent.open(workspace) as agent:
        yield agent


async def test_what_is_offered(owner: Agent) -> None:
    async with in_memory(owner) as session:
        tools = {t.name: t for t in (await session.list_tools()).tools}
    assert list(tools) == ["ask", "search", "read_passage"]
    assert list(tools["ask"].inputSchema["properties"]) == ["question", "collection", "document", "thread"]
    for tool in tools.values():
        assert tool.outputSchema is not None
        assert tool.description
        assert all(held.get("description") for held in tool.inputSchema["properties"].values())
    assert {"text", "route", "confidence", "citations"} <= set(tools["ask"].outputSchema["properties"])


async def test_ask_tells_its_steps_and_cites(owner: Agent) -> None:
    notes: list[str | None] = []

    async def note(_progress: float, _total: float | None, message: str | None) -> None:
        notes.append(message)

    async with in_memory(owner) as session:
        result = await session.call_tool("ask", {"question": QUESTION}, progress_callback=note)
        answer = result.structuredContent
        assert answer is not None
        assert "14:00 to 19:00" in answer["text"]
        assert (answer["status"], answer["route"]) == ("done", "local")
        (cited,) = answer["citations"]
        assert cited["document"] == "ward.md"
        read = await called(session, "read_passage", document="ward.md", start=cited["start"], end=cited["end"])
        assert read["text"] == cited["quote"]
        again = await called(session, "ask", question="And on Sundays?", thread=answer["thread"])
        assert again["thread"] == answer["thread"]
    assert notes[0] == f"searched for {QUESTION!r}: 1 passages"
    assert "wrote a draft" in notes


async def test_search_and_reading_on(owner: Agent) -> None:
    async with in_memory(owner) as session:
        found = await called(session, "search", query="visits", k=3)
        (passage,) = found["passages"]
        assert passage["location"] == "Ward seven > Visits"
        by_place = await called(session, "read_passage", document="ward.md", location=passage["location"].upper())
        assert passage["text"] in by_place["text"]
        whole = await called(session, "read_passage", document="ward.md", start=0)
        assert (whole["end"], whole["next"]) == (whole["length"], None)


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("ask", {}, "ask: question: Field required"),
        ("ask", {"question": " \n"}, "the question is empty; ask something"),
        ("ask", {"question": "Why?", "colection": "hr"}, "ask takes no argument 'colection'; it takes question, coll"),
        ("ask", {"question": "Why?", "thread": "nobody's"}, 'no thread "nobody\'s"'),
        ("ask", {"question": "Why?", "collection": "nowhere"}, "(others do: default, hr)"),
        ("search", {"query": ""}, "the query is empty; say what to search for"),
        ("search", {"query": "x", "k": 21}, "search: k: Input should be less than or equal to 20"),
        ("read_passage", {"document": "ward.md"}, "give either a location"),
        ("read_passage", {"document": "ward.md", "location": "x", "start": 1}, "give either a location"),
        ("read_passage", {"document": "ward.md", "location": "page 9"}, "has no location 'page 9': it has 'Ward"),
        ("read_passage", {"document": "ward.md", "start": 10**9}, "is no part of it"),
        ("read_passage", {"document": "../ward.md", "start": 0}, "no document '../ward.md'"),
        ("nothing", {}, "Unknown tool: nothing"),
    ],
)
async def test_errors_are_one_line(owner: Agent, tool: str, arguments: dict[str, Any], words: str) -> None:
    async with in_memory(owner) as session:
        assert words in await refused(session, tool, **arguments)


async def test_what_nobody_foresaw_is_one_line_too(
    owner: Agent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a secret of the\ninside")

    monkeypatch.setattr(owner.retriever, "over", broken)
    async with in_memory(owner) as session:
        assert await refused(session, "search", query="x") == "search failed: KeyError; the server's log says more"
    assert "a secret of the" in caplog.text


def endless(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Let the small model think until it is stopped: when it began, and when it was."""
    begun, stopped = threading.Event(), threading.Event()

    def thinking(*_: object, cancel: Any, **__: object) -> None:
        begun.set()
        while not cancel():
            time.sleep(0.01)
        stopped.set()
        raise Stopped("stopped")

    monkeypatch.setattr(SmallModel, "next_step", thinking)
    return begun, stopped


async def test_cancelling_stops_inference(owner: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, stopped = endless(monkeypatch)
    async with in_memory(owner) as session:

        async def asking() -> None:
            with pytest.raises(McpError, match="cancelled"):
                await session.call_tool("ask", {"question": "Why?"})

        async with anyio.create_task_group() as group:
            group.start_soon(asking)
            assert await run_sync(begun.wait, 30)
            told = CancelledNotificationParams(requestId=session._request_id - 1)
            await session.send_notification(ClientNotification(CancelledNotification(params=told)))
        assert await run_sync(stopped.wait, 30)


async def test_a_client_that_goes_away_stops_inference(owner: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, stopped = endless(monkeypatch)
    async with in_memory(owner) as session, anyio.create_task_group() as group:
        group.start_soon(session.call_tool, "ask", {"question": "Why?"})
        assert await run_sync(begun.wait, 30)
        group.cancel_scope.cancel()
    assert await run_sync(stopped.wait, 30)


texts = st.text(max_size=60)
locations = st.lists(st.sampled_from(["page 1", "page 2", "A > B", ""]), max_size=6)


@given(texts, locations, st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_place_begins_at_its_mark_and_ends_at_another(text: str, named: list[str], data: st.DataObject) -> None:
    starts = sorted(data.draw(st.integers(0, len(text))) for _ in named)
    document = Document(
        id="d", title="D", text=text, version="v",
        marks=tuple(Mark(start=s, location=where) for s, where in zip(starts, named, strict=True)),
    )  # fmt: skip
    for where in {"page 1", "page 2", "A > B", ""}:
        if where not in named:
            with pytest.raises(ScopeError, match="has no location"):
                place(document, where)
            continue
        start, end = place(document, where)
        assert start == starts[named.index(where)]
        assert start <= end <= len(text)
        assert {n for s, n in zip(starts, named, strict=True) if start < s < end} <= {where}


def test_a_long_part_is_read_in_pieces() -> None:
    text = "".join(chr(0x61 + n % 26) for n in range(2 * LONGEST + 5))
    document = Document(id="d", title="D", text=text, version="v")
    read, at = "", 0
    while at is not None:
        piece = part(document, at, len(text))
        read, at = read + piece.text, piece.next
    assert read == text
