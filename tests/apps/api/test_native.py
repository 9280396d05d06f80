"""`/v1/understudy`: documents, threads, feedback, approvals; embeddings and metrics beside them."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from fake_openai import serving
from server_parts import FOUNDED, SAMPLES, Running, chat, error_of, running

from understudy.agents import Agent
from understudy.apps.server.database import open_database
from understudy.apps.server.keys import Keys
from understudy.core.settings import (
    CollectionSettings,
    DeferralSettings,
    ExpertSettings,
    PrincipalSettings,
    Settings,
)

NATIVE = "/v1/understudy"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving("ok") as expert:
        settings = Settings(
            deferral=DeferralSettings(min_confidence=0.0, audit_rate=0.0),
            experts=(ExpertSettings(name="gpt", model="openai:fake", base_url=expert.url, output_usd_per_mtok=10),),
            collections={"asking": CollectionSettings(egress="ask")},
            principals={"ann": PrincipalSettings(labels=("default",)), "bob": PrincipalSettings()},
        )
        with Agent.open(tmp_path_factory.mktemp("native"), settings=settings) as agent:
            agent.ingest([SAMPLES])
            with running(agent, upload_mib=2) as found:
                yield found


@pytest.fixture(scope="module")
def keys(server: Running) -> dict[str, str]:
    held = Keys(open_database(server.served.agent.workspace.server))
    return {name: held.create(name)[1] for name in ("owner", "ann", "bob")}


@pytest.fixture(params=["owner"])
def client(server: Running, keys: dict[str, str], request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with as_(server, keys, request.param) as found:
        yield found


def as_(server: Running, keys: dict[str, str], name: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {keys[name]}"}, timeout=60)


def upload(client: httpx.Client, files: dict[str, bytes], **fields: str) -> dict[str, dict[str, Any]]:
    sent = [("files", (name, content)) for name, content in files.items()]
    reply = client.post(f"{NATIVE}/documents", files=sent, data=fields)
    assert reply.status_code == 200, reply.text
    return {row["file"]: row for row in reply.json()["files"]}


def test_files_come_in_and_can_be_asked_and_erased(client: httpx.Client, server: Running) -> None:
    trains = b"# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.\n"
    row = upload(client, {"trains.md": trains}, collection="trips")["trains.md"]
    assert (row["status"], row["documents"], row["passages"], row["error"]) == ("added", 1, 1, None)
    assert upload(client, {"trains.md": trains}, collection="trips")["trains.md"]["status"] == "unchanged"
    assert upload(client, {"trains.md": trains + b"!"}, collection="trips")["trains.md"]["status"] == "updated"
    asked = chat("When does the night train to Oslo leave?") | {"model": "trips"}
    told = client.post("/v1/chat/completions", json=asked).json()["understudy"]
    assert {c["document"] for c in told["citations"]} <= {"trains.md"}
    listed = client.get(f"{NATIVE}/documents", params={"collection": "trips"}).json()["documents"]
    assert [row["id"] for row in listed] == ["trains.md"]
    seen = client.get(f"{NATIVE}/collections/trips/documents/trains.md", params={"start": 29, "end": 33}).json()
    assert seen["text"][seen["start"] - seen["offset"] : seen["end"] - seen["offset"]] == "Oslo"
    assert not list((server.served.agent.workspace.root / "uploads").iterdir())
    gone = client.delete(f"{NATIVE}/collections/trips/documents/trains.md")
    assert gone.status_code == 200
    again = client.delete(f"{NATIVE}/collections/trips/documents/trains.md")
    assert (again.status_code, error_of(again)["code"]) == (404, "not_found")


def test_progress_comes_file_by_file(client: httpx.Client) -> None:
    files = [("files", ("a.txt", b"One thing.")), ("files", ("b.exe", b"MZ")), ("files", ("c.txt", b"Another."))]
    with client.stream(
        "POST", f"{NATIVE}/documents", files=files, data={"collection": "slow"}, headers={"Accept": "text/event-stream"}
    ) as reply:
        events = [line.removeprefix("data: ") for line in reply.iter_lines() if line]
    assert [json.loads(e)["status"] for e in events[:3]] == ["added", "failed", "added"]
    assert len(json.loads(events[3])["files"]) == 3
    assert events[4] == "[DONE]"


def bomb(part: str, size: int, entries: int = 1) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(entries):
            packed.writestr(f"{part}{number}.xml", b"0" * size)
    return held.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.exe", b"MZ", "can't read .exe"),
        ("x", b"text", "can't read this kind of file"),
        (".md", b"text", "can't read"),
        ("con.txt", b"text", "name of a device"),
        ("x" * 200 + ".txt", b"text", "longer than 150 bytes"),
        ("x.pdf", b"no pdf", "is no PDF"),
        ("x.pdf", b"%PDF-1.7\ntruncated", "x.pdf"),
        ("x.txt", b"", "is empty"),
        ("x.txt", b"\x7fELF\x02\x01", "is no text"),
        ("x.txt", b"a\x00b", "null bytes"),
        ("x.docx", b"no zip", "is no .docx file"),
        ("x.docx", b"PK\x03\x04broken", "is no .docx file"),
        ("x.xlsx", bomb("word/", 10), "holds no xl/"),
        ("x.docx", bomb("word/", 40 << 20), "unpacks to over 200 times its size"),
        ("x.xlsx", bomb("xl/", 1, 10_001), "10001 parts"),
        ("x.jsonl.gz", b"\x1f\x8b\x08broken", "is no gzipped file"),
        ("x.jsonl", b"{", "line 1 is not JSON"),
        ("x.html", b"<p hidden>nothing</p>", "holds no text"),
    ],
)
def test_a_bad_file_is_one_line_and_stops_no_other(client: httpx.Client, name: str, content: bytes, words: str) -> None:
    rows = upload(client, {name: content, "good.txt": b"Good text."}, collection="bad")
    assert rows[name]["status"] == "failed"
    assert words in rows[name]["error"]
    assert "\n" not in rows[name]["error"]
    assert "/uploads/" not in rows[name]["error"]
    assert rows["good.txt"]["status"] != "failed"


@pytest.mark.parametrize("name", ["../../evil.md", "..\\..\\evil.md", "/etc/evil.md", "C:\\evil.md", "a/b/evil.md"])
def test_a_name_leads_nowhere(client: httpx.Client, server: Running, name: str) -> None:
    rows = upload(client, {name: name.encode()}, collection="paths")
    assert [row["file"] for row in rows.values()] == ["evil.md"]
    root = server.served.agent.workspace.root
    assert not list(root.rglob("evil.md"))
    assert not (root.parent / "evil.md").exists()


def test_uploads_are_bounded_while_they_come_in(client: httpx.Client) -> None:
    reply = client.post(f"{NATIVE}/documents", files={"files": ("x.txt", b"x" * (3 << 20))})
    assert (reply.status_code, error_of(reply)["code"]) == (413, "too_large")
    for wrong in ({}, {"data": {"collection": ""}}, {"json": {}}):
        reply = client.post(f"{NATIVE}/documents", **wrong)
        assert reply.status_code == 400
        error_of(reply)


def test_who_may_not_read_writes_nothing(server: Running, keys: dict[str, str]) -> None:
    with as_(server, keys, "bob") as bob:
        refused = bob.post(f"{NATIVE}/documents", files={"files": ("x.txt", b"x")}, data={"collection": "default"})
        assert (refused.status_code, error_of(refused)["code"]) == (403, "not_allowed")
        assert bob.get(f"{NATIVE}/documents").json() == {"documents": []}
        assert bob.get(f"{NATIVE}/collections").json() == {"collections": []}
        reply = bob.delete(f"{NATIVE}/collections/default/documents/annual-report-2024.pdf")
        assert error_of(reply)["code"] == "not_allowed"
        reply = bob.get(f"{NATIVE}/collections/default/documents/annual-report-2024.pdf")
        assert reply.status_code == 404
        assert bob.get(f"{NATIVE}/status").json()["collections"] == {}
    with as_(server, keys, "ann") as ann:
        names = [row["name"] for row in ann.get(f"{NATIVE}/collections").json()["collections"]]
        assert names == ["default"]


def test_threads_are_their_principals(server: Running, keys: dict[str, str]) -> None:
    with as_(server, keys, "ann") as ann, as_(server, keys, "owner") as owner:
        thread = ann.post("/v1/chat/completions", json=chat(FOUNDED)).json()["understudy"]["thread"]
        (row,) = [t for t in ann.get(f"{NATIVE}/threads").json()["threads"] if t["id"] == thread]
        assert (row["title"], row["turns"], row["status"]) == (FOUNDED, 1, "done")
        assert ann.patch(f"{NATIVE}/threads/{thread}", json={"title": "Founding"}).status_code == 204
        (turn,) = ann.get(f"{NATIVE}/threads/{thread}").json()["turns"]
        assert turn["answer"]["question"] == FOUNDED
        said = ann.post(f"{NATIVE}/threads/{thread}/turns/1/feedback", json={"good": True}).json()
        assert said["good"] is True
        path = f"{NATIVE}/threads/{thread}"
        for reply in (
            owner.get(path),
            owner.delete(path),
            owner.patch(path, json={"title": "Mine"}),
            owner.post(f"{path}/turns/1/feedback", json={"good": False}),
            owner.post("/v1/chat/completions", json=chat("Why?", understudy={"thread": thread})),
            ann.post(f"{path}/turns/2/feedback", json={"good": False}),
        ):
            assert (reply.status_code, error_of(reply)["code"]) == (404, "not_found")
        for title in ("", " ", "x" * 300, "\0"):
            assert ann.patch(path, json={"title": title}).status_code == 400
        assert ann.delete(path).status_code == 204
        assert ann.get(path).status_code == 404


def waiting(client: httpx.Client) -> dict[str, Any]:
    """An answer that waits for approval, told as a chat client sees it."""
    upload(client, {"trains.md": b"# Trains\n\nThe ferry to Oslo leaves at noon.\n"}, collection="asking")
    asked = chat("Who was the captain of the ferry to Bergen?") | {"model": "asking"}
    reply = client.post("/v1/chat/completions", json=asked).json()
    assert reply["understudy"]["status"] == "waiting"
    assert reply["understudy"]["approval"] in reply["choices"][0]["message"]["content"]
    return reply["understudy"]  # type: ignore[no-any-return]


def test_what_waits_is_shown_and_decided(client: httpx.Client) -> None:
    first = waiting(client)["approval"]
    assert [row["id"] for row in client.get(f"{NATIVE}/approvals").json()["approvals"]] == [first]
    shown = client.get(f"{NATIVE}/approvals/{first}").json()
    assert "captain of the ferry" in shown["payload"]["user"]
    for wrong in ({"verdict": "edit"}, {"verdict": "perhaps"}, {"verdict": "edit", "text": "a\0b"}):
        assert client.post(f"{NATIVE}/approvals/{first}", json=wrong).status_code == 400
    answer = client.post(f"{NATIVE}/approvals/{first}", json={"verdict": "refuse", "text": "no"}).json()
    assert (answer["status"], answer["route"] in ("local", "declined")) == ("done", True)
    gone = client.post(f"{NATIVE}/approvals/{first}", json={"verdict": "approve"})
    assert (gone.status_code, error_of(gone)["code"]) == (404, "approval_not_found")
    second = waiting(client)["approval"]
    events = client.post(f"{NATIVE}/approvals/{second}", json={"verdict": "approve", "stream": True}).text
    assert '"route": "expert"' in events
    assert events.strip().endswith("[DONE]")


def test_embeddings_as_openais_client_asks_for_them(server: Running, keys: dict[str, str]) -> None:
    encoder = server.served.agent.encoder
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=keys["ann"]) as client:
        reply = client.embeddings.create(model="all-MiniLM-L6-v2", input=["one", "two " * 400])
        own = encoder.embed_documents(["one", "two " * 400])
        assert np.allclose([d.embedding for d in reply.data], own, atol=1e-6)  # the client asks for base64
        assert reply.usage.prompt_tokens == 3 + 256
    headers = {"Authorization": f"Bearer {keys['ann']}"}

    def ask(**body: Any) -> httpx.Response:
        return httpx.post(f"{server.url}/v1/embeddings", json=body, headers=headers, timeout=60)

    plain = ask(model="all-MiniLM-L6-v2", input="one", encoding_format="float").json()["data"][0]["embedding"]
    coded = ask(model="all-MiniLM-L6-v2", input="one", encoding_format="base64").json()["data"][0]["embedding"]
    assert np.allclose(np.frombuffer(base64.b64decode(coded), "<f4"), plain)
    for body, param in (
        ({"model": "ada", "input": "one"}, "model"),
        ({"model": "all-MiniLM-L6-v2", "input": [1, 2]}, "input"),
        ({"model": "all-MiniLM-L6-v2", "input": [[1, 2]]}, "input"),
        ({"model": "all-MiniLM-L6-v2", "input": []}, "input"),
        ({"model": "all-MiniLM-L6-v2", "input": ["one", " "]}, "input"),
        ({"model": "all-MiniLM-L6-v2", "input": "one", "dimensions": 64}, "dimensions"),
    ):
        assert error_of(ask(**body))["param"] == param


def test_metrics_hold_counts_and_no_names(client: httpx.Client) -> None:
    client.post("/v1/chat/completions", json=chat("What were the secret plans of Halden?"))
    client.get("/v1/secret-path")
    shown = client.get("/metrics").text
    assert 'understudy_requests_total{method="POST",route="/v1/chat/completions",status="200"}' in shown
    assert 'route="other",status="404"' in shown
    assert "understudy_questions_running 0.0" in shown
    assert 'understudy_tokens_total{kind="evaluated",model="small"}' in shown
    assert not [word for word in ("secret", "Halden", "ann", "trains", "asking") if word in shown]


def test_the_description_has_real_schemas(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    for path, held in described["paths"].items():
        for method, operation in held.items():
            assert operation.get("description"), (method, path)
    schemas = described["components"]["schemas"]
    assert {"ChatRequest", "ChatCompletion", "Told", "Citation", "ThreadInfo", "IngestResult", "Answer"} <= set(schemas)
    page = client.get("/docs").text
    assert "/v1/chat/completions" in page
    assert "<script" not in page


def test_a_killed_servers_uploads_are_swept(server: Running) -> None:
    from understudy.apps.api.ingesting import sweep

    left = Path(server.served.agent.workspace.root) / "uploads" / "tmp1" / "secret.md"
    left.parent.mkdir(parents=True)
    left.write_text("secret")
    sweep(server.served.agent.workspace.root)
    assert not left.exists()
