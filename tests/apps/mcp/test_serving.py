"""`understudy mcp` as other programs meet it: over stdin and stdout, and over HTTP."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from mcp_parts import called, child_environment, made_workspace, over_http, over_stdio, refused, serving_http
from server_parts import Running, eventually, running

from understudy.agents import Agent
from understudy.apps.mcp.serving import http_app, loopback
from understudy.apps.server.database import open_database
from understudy.apps.server.keys import Keys
from understudy.apps.server.sessions import COOKIE
from understudy.core.errors import SettingsError
from understudy.core.settings import ServerSettings, Settings

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_workspace(tmp_path_factory.mktemp("mcp"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def test_over_stdio_a_principal_reads_what_they_may(workspace: Path, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        async with over_stdio(workspace, "--principal", "ann", errlog=log) as session:
            answer = await called(session, "ask", question="When are visitors welcome on ward seven?")
            assert "14:00" in answer["text"]
            closed = await refused(session, "search", query="pay", collection="hr")
            assert closed == (await refused(session, "search", query="pay", collection="hs")).replace("'hs'", "'hr'")
            for arguments in ({"start": 0}, {"location": "Pay"}):
                told = await refused(session, "read_passage", document="pay.md", collection="hr", **arguments)
                assert told == closed
            assert await refused(session, "ask", question="What is the pay?", collection="hr") == closed


def test_stdout_is_the_protocols_alone(workspace: Path) -> None:
    command = [sys.executable, "-m", "understudy.apps.cli", "--workspace", str(workspace), "mcp"]
    asked = {"jsonrpc": "2.0", "id": 2, "method": "tools/call"}
    asked["params"] = {"name": "search", "arguments": {"query": "visits"}}  # type: ignore[assignment]
    messages = [HELLO, {"jsonrpc": "2.0", "method": "notifications/initialized"}, asked]
    process = subprocess.Popen(
        command, env=child_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(json.dumps(m) + "\n" for m in messages))
    process.stdin.flush()
    lines = [json.loads(process.stdout.readline()) for _ in range(2)]
    rest, _ = process.communicate(timeout=60)
    assert ([line["id"] for line in lines], rest, process.returncode) == ([1, 2], "", 0)


def test_what_else_writes_to_stdout_goes_to_stderr() -> None:
    script = (
        "import os\n"
        "from understudy.apps.mcp.serving import protocol_stdout\n"
        "with protocol_stdout() as stdout:\n"
        "    print('printed'); os.write(1, b'by a library'); stdout.write('said')\n"
        "print(' after')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=child_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "said after\n"
    assert "printed" in done.stderr
    assert "by a library" in done.stderr


async def test_over_http(workspace: Path) -> None:
    port = free_port()
    with serving_http(workspace, port, "--principal", "ann") as url:
        async with over_http(url) as session, over_http(url) as other:
            answer = await called(session, "ask", question="When are visitors welcome on ward seven?")
            assert "14:00" in answer["text"]
            assert "holds no documents" in await refused(other, "search", query="pay", collection="hr")
        accepts = {"Accept": "application/json, text/event-stream"}
        for header in ({"Host": "evil.example"}, {"Host": f"evil.example:{port}"}, {"Origin": "http://evil.example"}):
            assert httpx.post(url, json=HELLO, headers=accepts | header).status_code in (403, 421), header
        assert httpx.post(url, json=HELLO, headers=accepts).status_code == 200


async def test_keys_stand_for_principals_and_a_session_is_its_keys_own(workspace: Path, tmp_path: Path) -> None:
    private = tmp_path / "workspace"
    shutil.copytree(workspace, private)
    with serving_http(private, free_port()) as url:
        async with over_http(url) as session:  # no key yet, and loopback: the owner
            await called(session, "search", query="pay", collection="hr")
            keys = Keys(open_database(private / "server.sqlite"))
            (ann, hers), (owner, everything) = keys.create("ann"), keys.create("owner")
        accepts = {"Accept": "application/json, text/event-stream"}
        for header in ({}, {"Authorization": "Bearer us_no_key"}, {"Authorization": f"Basic {hers}"}):
            assert httpx.post(url, json=HELLO, headers=accepts | header).status_code == 401, header
        async with over_http(url, Authorization=f"Bearer {hers}") as session:
            await called(session, "search", query="visits")
            assert "holds no documents" in await refused(session, "search", query="pay", collection="hr")
        async with over_http(url, Authorization=f"Bearer {everything}") as session:
            await called(session, "search", query="pay", collection="hr")
        opened = httpx.post(url, json=HELLO, headers=accepts | {"Authorization": f"Bearer {everything}"})
        taken = accepts | {"Authorization": f"Bearer {hers}", "mcp-session-id": opened.headers["mcp-session-id"]}
        assert httpx.post(url, json={**HELLO, "method": "ping"}, headers=taken).status_code == 404
        keys.revoke(ann.id)
        assert httpx.post(url, json=HELLO, headers=accepts | {"Authorization": f"Bearer {hers}"}).status_code == 401
        assert keys.good(owner)


def test_another_address_takes_a_key_and_names(workspace: Path, tmp_path: Path) -> None:
    from understudy.apps.mcp.serving import checked

    keys = Keys(open_database(tmp_path / "server.sqlite"))
    with pytest.raises(SettingsError, match="without a key"):
        checked("0.0.0.0", keys, ("documents.example",))
    key, _ = keys.create("ann")
    with pytest.raises(SettingsError, match="allowed_hosts"):
        checked("0.0.0.0", keys, ())
    checked("0.0.0.0", keys, ("documents.example",))
    keys.revoke(key.id)
    with pytest.raises(SettingsError, match="without a key"):
        checked("0.0.0.0", keys, ("documents.example",))
    checked("127.0.0.1", keys, ())


async def test_a_server_is_called_by_its_names(workspace: Path) -> None:
    server = ServerSettings(allowed_hosts=("documents.example",))
    with Agent.open(workspace, settings=Settings(server=server)) as agent:
        app = http_app(agent, Keys(open_database(agent.workspace.server)))
        inner = app._app  # type: ignore[attr-defined]
        async with (
            inner.router.lifespan_context(inner),
            httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client,
        ):
            for url, status in (("https://documents.example/mcp", 200), ("http://evil.example/mcp", 421)):
                accepts = {"Accept": "application/json, text/event-stream"}
                assert (await client.post(url, json=HELLO, headers=accepts)).status_code == status
            through = {"X-Forwarded-For": "203.0.113.9"}  # a proxy's clients are not the owner
            assert (
                await client.post("https://documents.example/mcp", json=HELLO, headers=accepts | through)
            ).status_code == 401


def loop_of(server: Running) -> asyncio.AbstractEventLoop:
    assert server.server._loop is not None
    return server.server._loop


async def held(server: Running, free: asyncio.Event) -> None:
    """Somebody else is being answered."""
    async with server.served.queue.place("owner"):
        await free.wait()


async def test_a_server_of_other_things_answers_at_the_same_path_in_its_queue(workspace: Path, tmp_path: Path) -> None:
    private = tmp_path / "workspace"
    shutil.copytree(workspace, private)
    with (
        Agent.open(private, settings=Settings.load(private / "understudy.toml")) as agent,
        running(agent, slots=1) as server,
    ):
        url, accepts = f"{server.url}/mcp", {"Accept": "application/json, text/event-stream"}
        async with over_http(url) as session:  # no key yet, and loopback: the owner
            await called(session, "search", query="pay", collection="hr")
        keys = Keys(open_database(private / "server.sqlite"))
        (_, hers), (_, everything) = keys.create("ann"), keys.create("owner")
        assert httpx.post(url, json=HELLO, headers=accepts).status_code == 401
        async with over_http(url, Authorization=f"Bearer {hers}") as session:
            told: list[str] = []

            async def note(_progress: float, _total: float | None, message: str | None) -> None:
                told.append(message or "")

            free = asyncio.Event()
            asyncio.run_coroutine_threadsafe(held(server, free), loop_of(server))
            eventually(lambda: server.served.queue.running)
            async with asyncio.TaskGroup() as tasks:
                asked = {"question": "When are visitors welcome on ward seven?"}
                answer = tasks.create_task(session.call_tool("ask", asked, progress_callback=note))
                while not told:
                    await asyncio.sleep(0.01)
                loop_of(server).call_soon_threadsafe(free.set)
            assert told[0] == "waits, number 1 in line"
            assert "14:00" in answer.result().structuredContent["text"]
            assert "holds no documents" in await refused(session, "search", query="pay", collection="hr")
        opened = httpx.post(url, json=HELLO, headers=accepts | {"Authorization": f"Bearer {everything}"})
        taken = accepts | {"Authorization": f"Bearer {hers}", "mcp-session-id": opened.headers["mcp-session-id"]}
        assert httpx.post(url, json={**HELLO, "method": "ping"}, headers=taken).status_code == 404
        for header in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            mine = accepts | header | {"Authorization": f"Bearer {everything}"}
            assert httpx.post(url, json=HELLO, headers=mine).status_code == 403, header
        session = server.served.sessions.begin(keys.listing()[1])
        by_cookie = httpx.post(url, json=HELLO, headers=accepts, cookies={COOKIE: session})
        assert (by_cookie.status_code, by_cookie.json()["error"]["code"]) == (403, "csrf")
        begun = [httpx.post(url, json=HELLO, headers=accepts | {"Authorization": f"Bearer {hers}"}) for _ in range(31)]
        assert begun[-1].status_code == 429


def test_other_machines_are_not_served(workspace: Path) -> None:
    command = [sys.executable, "-m", "understudy.apps.cli", "--workspace", str(workspace), "mcp", "--http"]
    done = subprocess.run(
        [*command, "--host", "0.0.0.0"], env=child_environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("understudy: --host 0.0.0.0: other machines could read")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.0.2", "localhost.evil.example", "", "127.0.0.1.evil.example"]
)
def test_not_loopback(host: str) -> None:
    assert not loopback(host)


def test_a_port_that_is_taken_is_one_line(workspace: Path) -> None:
    command = [sys.executable, "-m", "understudy.apps.cli", "--workspace", str(workspace), "mcp", "--http", "--port"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*command, port], env=child_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(
        f"understudy: can't listen on 127.0.0.1, port {port}: Address already in use; choose another --port\n"
    )
