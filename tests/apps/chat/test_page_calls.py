"""What somebody who knows Gradio's own calls may do with them: nothing that the page itself doesn't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Request
from fastapi.responses import PlainTextResponse
from server_parts import SAMPLES, error_of, running

from understudy.agents import Agent
from understudy.apps.chat.calls import OwnCalls
from understudy.apps.chat.documents import Documents
from understudy.apps.server.auth import Pass
from understudy.core.settings import CollectionSettings, PrincipalSettings, Settings


class Asked:
    """What Gradio tells of a request."""

    def __init__(self, username: str) -> None:
        self.username = username


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    settings = Settings(
        collections={"salaries": CollectionSettings(sensitivity="local")},
        principals={"ann": PrincipalSettings(labels=("default",))},
    )
    with Agent.open(tmp_path_factory.mktemp("page"), settings=settings) as opened:
        opened.ingest([SAMPLES])
        yield opened


@pytest.fixture(scope="module")
def page(agent: Agent) -> Iterator[httpx.Client]:
    with running(agent, chat_page=True) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        client.headers["Origin"] = server.url
        yield client


def call(page: httpx.Client, label: str, *data: Any) -> str:
    """Everything that is said of an event: that of the first one which takes the component of this label."""
    config = page.get("/config").json()
    ids = [c["id"] for c in config["components"] if c["props"].get("label") == label]
    found = next(d for d in config["dependencies"] if d["inputs"] and d["inputs"][0] in ids and d["inputs"][1:])
    held = [*data, *[None] * (len(found["inputs"]) - len(data))]
    joined = page.post(
        "/gradio_api/queue/join", json={"data": held, "fn_index": found["id"], "session_hash": "s", "trigger_id": None}
    )
    joined.raise_for_status()
    said = ""
    with page.stream("GET", "/gradio_api/queue/data", params={"session_hash": "s"}) as stream:
        for line in stream.iter_lines():
            said += line
            if line.startswith("data: ") and json.loads(line[6:])["msg"] == "process_completed":
                break
    return said


def file_at(path: Path | str) -> dict[str, Any]:
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def kept(agent: Agent) -> list[str]:
    """Uploads, and copies of files that Gradio made; empty ones are its own marks."""
    files = (agent.workspace.root / "uploads").rglob("*")
    return [path.name for path in files if path.is_file() and path.stat().st_size]


@pytest.mark.parametrize("label", ["Files", "Question"])
def test_a_file_of_the_servers_is_no_upload(page: httpx.Client, agent: Agent, tmp_path: Path, label: str) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("# Diary\n\nThe password is swordfish.\n")
    for path in (secret, agent.workspace.server, tmp_path / ".." / "secret.md", "http://192.0.2.1/a.md"):
        given: Any = file_at(path)
        said = call(page, label, [given] if label == "Files" else given, "default")
        assert '"success":false' in said
        assert "uploads" not in said
    assert [d["id"] for d in agent.documents("default")] == sorted(p.name for p in SAMPLES.iterdir())
    assert kept(agent) == []


def test_what_was_uploaded_is_added_and_does_not_stay(page: httpx.Client, agent: Agent) -> None:
    sent = page.post("/gradio_api/upload", files={"files": ("trip.md", b"# Trip\n\nThe train leaves at 22:40.\n")})
    (path,) = sent.json()
    assert kept(agent) == ["trip.md"]
    said = call(page, "Files", [file_at(path)], "trips")
    assert "1 of 1 file" in said
    assert [d["id"] for d in agent.documents("trips")] == ["trip.md"]
    assert kept(agent) == []


@pytest.mark.parametrize(
    "path",
    [
        "file=https://example.com/a.png",
        "file=http:/example.com",
        "run-history/buckets",
        "runs",
        "deep_link",
        "process_recording",
        "component_server",
        "proxy=https://example.com",
        "vibe-code",
        "run/opened",
    ],
)
def test_gradios_other_calls_are_not_there(page: httpx.Client, path: str) -> None:
    for asked in (page.get, page.post):
        reply = asked(f"/gradio_api/{path}")
        assert (reply.status_code, error_of(reply)["message"]) == (404, "the page has no such call")


async def test_a_page_tells_nobody_else_what_happens_on_it() -> None:
    """Gradio goes by the page's random name alone; calls that don't name one are nobody's."""

    async def gradio(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse((await Request(scope, receive).body()).decode() or "told")(scope, receive, send)

    async def gate(scope: Any, receive: Any, send: Any) -> None:
        named = Pass(dict(scope["headers"])[b"who"].decode(), "")
        await calls({**scope, "state": {"understudy_pass": named}}, receive, send)

    calls = OwnCalls(gradio)
    ann, bob = {"who": "ann"}, {"who": "bob"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://here/gradio_api") as page:
        joined = await page.post("/queue/join", json={"session_hash": "abc", "data": ["x"]}, headers=ann)
        assert json.loads(joined.text) == {"session_hash": "abc", "data": ["x"]}
        for path in ("/queue/data?session_hash=abc", "/heartbeat/abc"):
            assert (await page.get(path, headers=bob)).status_code == 404
            assert (await page.get(path, headers=ann)).text == "told"
        for path in ("/queue/join", "/cancel", "/reset"):
            refused = await page.post(path, json={"session_hash": "abc"}, headers=bob)
            assert error_of(refused)["message"] == "there is no such page of yours"
        for content in ("[]", "{", '{"session_hash": 7}'):  # in no form of Gradio's, which says so itself
            assert (await page.post("/queue/join", content=content, headers=bob)).text == content


def test_files_outside_of_the_uploads_are_not_shown(page: httpx.Client, agent: Agent) -> None:
    assert page.get(f"/gradio_api/file={agent.workspace.server}").status_code == 403


def test_nothing_of_what_happens_is_kept_in_the_browser_or_on_a_hub(page: httpx.Client) -> None:
    assert page.get("/config").json()["run_history"] is False


def test_who_names_a_collection_that_is_not_theirs_learns_nothing_of_it(agent: Agent) -> None:
    does = Documents(agent, page=None, check=lambda path: None)  # type: ignore[arg-type]
    told = [does.typed(name, Asked("ann")) for name in ("salaries", "nothing of the kind")]  # type: ignore[arg-type]
    assert told[0] == told[1]
    assert does.typed("salaries", Asked("owner"))["value"] == "local"  # type: ignore[arg-type]


def test_what_the_api_lacks_is_said_in_its_own_form(page: httpx.Client) -> None:
    for method, path, status in (("GET", "nothing", 404), ("POST", "responses", 404), ("GET", "chat/completions", 405)):
        reply = page.request(method, f"/v1/{path}")
        assert reply.status_code == status
        error_of(reply)
