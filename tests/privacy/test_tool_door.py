"""What leaves for an MCP server over HTTP: its client's own messages, and calls that the guard has passed."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.core.errors import EgressRefused
from understudy.privacy.tool_door import ToolDoor

URL = "https://tools.example/mcp"
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {"a": "x"}}}
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


async def checked(door: ToolDoor, body: bytes, url: str = URL) -> None:
    await door._check(httpx.Request("POST", url, content=body))


@pytest.mark.parametrize("method", ["initialize", "notifications/initialized", "tools/list", "ping"])
async def test_the_clients_own_messages_pass(method: str) -> None:
    door = ToolDoor("s", URL)
    await checked(door, json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode())
    await door._check(httpx.Request("GET", URL))
    assert door.requests == 2


async def test_a_passed_call_leaves_while_it_is_made() -> None:
    door = ToolDoor("s", URL)
    body = json.dumps(CALL).encode()
    door.allow("t", {"a": "x"})
    with pytest.raises(EgressRefused, match="did not pass this call"):
        await checked(door, body)
    with door.leaving("t", {"a": "x"}):
        await checked(door, body)
        for other in (
            {"name": "u"},
            {"arguments": {"a": "y"}},
            {"arguments": {"a": "x", "b": 1}},
            {"_meta": {"x": "Ann"}},
        ):
            changed = {**CALL, "params": {**CALL["params"], **other}}  # type: ignore[dict-item]
            with pytest.raises(EgressRefused, match="did not pass this call"):
                await checked(door, json.dumps(changed).encode())
    with pytest.raises(EgressRefused, match="did not pass this call"):
        await checked(door, body)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"not json", "no JSON"),
        (b"[]", "no single message"),
        ({"method": "resources/read", "params": {"uri": "x:Ann"}}, "no message of ours"),
        ({"method": "completion/complete"}, "no message of ours"),
        ({"id": 1, "result": {"content": "Ann"}}, "a reply is no message of ours"),
    ],
)
async def test_anything_else_is_stopped(message: Any, why: str) -> None:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    with pytest.raises(EgressRefused, match=why):
        await checked(ToolDoor("s", URL), body)


@pytest.mark.parametrize(
    "url", ["http://tools.example/mcp", "https://tools.example:444/mcp", "https://evil.example/mcp"]
)
async def test_another_origin_is_stopped(url: str) -> None:
    with pytest.raises(EgressRefused, match="it goes to"):
        await checked(ToolDoor("s", URL), b"", url)


async def test_a_program_is_reached_by_no_request() -> None:
    with pytest.raises(EgressRefused, match="it goes to"):
        await checked(ToolDoor("s", None), b"")


@given(
    st.dictionaries(st.text(max_size=3), values, max_size=3), st.dictionaries(st.text(max_size=3), values, max_size=3)
)
def test_a_call_is_told_from_every_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    door = ToolDoor("s", URL)
    door.allow("t", one)
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    if not same:
        with pytest.raises(EgressRefused), door.leaving("t", other):
            pass
    with door.leaving("t", json.loads(json.dumps(one))):
        pass
    with pytest.raises(EgressRefused), door.leaving("t", one):
        pass
