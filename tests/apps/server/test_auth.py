"""Who gets in: keys, sessions, other sites' pages, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from server_parts import SAMPLES, error_of

from understudy.agents import Agent
from understudy.apps.server.app import build_app
from understudy.apps.server.auth import CSRF_HEADER, is_loopback
from understudy.apps.server.database import open_database
from understudy.apps.server.keys import Keys
from understudy.apps.server.limits import Buckets
from understudy.apps.server.sessions import COOKIE, Sessions
from understudy.core.errors import ScopeError, WorkspaceError
from understudy.core.settings import PrincipalSettings, ServerSettings, Settings

HERE = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    settings = Settings(principals={"ann": PrincipalSettings(labels=("hr",)), "bob": PrincipalSettings()})
    with Agent.open(tmp_path_factory.mktemp("auth"), settings=settings) as opened:
        opened.ingest([SAMPLES], collection="hr")
        yield opened


@pytest.fixture
def fresh(agent: Agent) -> Iterator[Agent]:
    """Without keys."""
    yield agent
    for path in agent.workspace.root.glob("server.sqlite*"):
        path.unlink()


def client(agent: Agent, **settings: object) -> httpx.AsyncClient:
    app = build_app(agent, ServerSettings(**settings))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE)


def key_of(agent: Agent, principal: str = "owner", days: float | None = None) -> str:
    return Keys(open_database(agent.workspace.server)).create(principal, "test", days)[1]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_on_loopback_without_keys_the_owner_is_served_and_nobody_elsewhere(fresh: Agent) -> None:
    async with client(fresh) as here:
        assert [m["id"] for m in (await here.get("/v1/models")).json()["data"]] == ["hr"]
        behind = await here.get("/v1/models", headers={"X-Forwarded-For": "203.0.113.9"})
        assert (behind.status_code, error_of(behind)["code"]) == (401, "invalid_api_key")
    async with client(fresh, host="0.0.0.0") as elsewhere:
        assert (await elsewhere.get("/v1/models")).status_code == 401
        assert (await elsewhere.get("/healthz")).json() == {"status": "ok"}


async def test_a_key_stands_for_its_principal(fresh: Agent) -> None:
    owner, ann, bob = key_of(fresh), key_of(fresh, "ann"), key_of(fresh, "bob")
    async with client(fresh) as here:
        for key, seen in ((owner, ["hr"]), (ann, ["hr"]), (bob, [])):
            found = (await here.get("/v1/models", headers=bearer(key))).json()["data"]
            assert [m["id"] for m in found] == seen
        asked = {"model": "hr", "messages": [{"role": "user", "content": "Why?"}]}
        refused = await here.post("/v1/chat/completions", json=asked, headers=bearer(bob))
        assert error_of(refused)["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/openapi.json", "/docs", "/", "/v1/nothing", "/nothing"])
async def test_once_a_key_was_made_everything_but_health_needs_one(fresh: Agent, path: str) -> None:
    key_of(fresh)
    async with client(fresh) as here:
        for headers in ({}, bearer("us_00000000_wrong"), bearer(""), {"Authorization": "Basic b3duZXI6"}):
            reply = await here.get(path, headers=headers)
            assert reply.status_code == 401
            assert reply.headers["www-authenticate"] == "Bearer"
            error_of(reply)
        assert (await here.get("/healthz")).status_code == 200


async def test_revoked_and_expired_keys_and_those_of_nobody_open_nothing(fresh: Agent) -> None:
    keys = Keys(open_database(fresh.workspace.server))
    (first, revoked), expired, stranger = keys.create("owner"), key_of(fresh, days=0), key_of(fresh, "mallory")
    async with client(fresh) as here:
        assert (await here.get("/v1/models", headers=bearer(revoked))).status_code == 200
        keys.revoke(first.id)
        for key in (revoked, expired, stranger):
            assert (await here.get("/v1/models", headers=bearer(key))).status_code == 401
        assert (await here.get("/v1/models")).status_code == 401  # the last key revoked opens nothing either


def test_keys_are_kept_as_hashes_in_a_file_of_the_owners(tmp_path: Path) -> None:
    keys = Keys(open_database(tmp_path / "server.sqlite"))
    key, text = keys.create("ann", "laptop", 30)
    assert keys.find(text) == key
    assert text not in repr(keys.listing())
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
        assert text.encode() not in file.read_bytes()
        assert text.partition(key.id)[2].encode() not in file.read_bytes()  # the secret may hold any sign
    assert keys.find(text + "x") is None
    assert keys.find(text.replace(key.id, "00000000")) is None
    with pytest.raises(ScopeError, match="no key 'x'"):
        keys.revoke("x")


def test_a_damaged_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "server.sqlite").write_bytes(b"no database, however long it may be read" * 50)
    with pytest.raises(WorkspaceError, match="corrupt or unwritable"):
        open_database(tmp_path / "server.sqlite")


def test_sessions_end_by_themselves_and_with_their_key(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    engine = open_database(tmp_path / "server.sqlite")
    keys = Keys(engine, lambda: now[0])
    sessions = Sessions(engine, keys, 12, lambda: now[0])
    key, _ = keys.create("ann")
    first, second = sessions.begin(key), sessions.begin(key)
    found = sessions.find(first)
    assert found is not None
    assert found.key == key
    assert found.sent_back(found.csrf)
    assert not found.sent_back(None)
    sessions.end(first)
    assert sessions.find(first) is None
    now[0] += timedelta(hours=13)
    assert sessions.find(second) is None
    third = sessions.begin(key)
    keys.revoke(key.id)
    assert sessions.find(third) is None


async def test_logging_in_and_out(fresh: Agent) -> None:
    key = key_of(fresh, "ann")
    async with client(fresh) as here:
        sent = await here.get("/", headers={"Accept": "text/html"})
        assert (sent.status_code, sent.headers["location"]) == (303, "/login")
        page = await here.get("/login")
        assert "Log in" in page.text
        assert "script" not in page.headers["content-security-policy"]
        wrong = await here.post("/login", data={"key": "us_1_2"})
        assert (wrong.status_code, COOKIE in wrong.headers.get("set-cookie", "")) == (401, False)
        arrived = await here.post("/login", data={"key": f" {key} "})
        cookie = arrived.headers["set-cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Max-Age=43200"))
        assert "Secure" not in cookie
        assert key not in cookie
        assert (await here.get("/v1/models")).json()["data"]
        home = await here.get("/")
        csrf = home.text.partition('name="csrf" value="')[2].partition('"')[0]
        asked = {"model": "hr", "messages": [{"role": "user", "content": " "}]}
        for headers, status in (({}, 403), ({CSRF_HEADER: "x"}, 403), ({CSRF_HEADER: csrf}, 400)):
            assert (await here.post("/v1/chat/completions", json=asked, headers=headers)).status_code == status
        assert (await here.post("/logout", data={"csrf": "x"})).status_code == 403
        assert (await here.post("/logout", data={"csrf": csrf})).status_code == 303
        here.cookies.set(COOKIE, cookie.partition("=")[2].partition(";")[0])  # a stolen copy
        assert (await here.get("/v1/models")).status_code == 401


async def test_over_https_the_cookie_stays_there(fresh: Agent) -> None:
    key = key_of(fresh)
    async with client(fresh) as here:
        arrived = await here.post("https://127.0.0.1:8765/login", data={"key": key})
    assert "Secure" in arrived.headers["set-cookie"]
    assert "max-age" in arrived.headers["strict-transport-security"]


async def test_attempts_to_log_in_are_counted(fresh: Agent) -> None:
    key_of(fresh)
    async with client(fresh) as here:
        statuses = [(await here.post("/login", data={"key": "x"})).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2


@pytest.mark.parametrize("body", [b"", b"key", b"key=%ff%fe", b"key=" + b"x" * 5000, b"key=a&key=b&x=1&y=2&z=3"])
async def test_strange_forms_are_no_keys(fresh: Agent, body: bytes) -> None:
    key_of(fresh)
    async with client(fresh) as here:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await here.post("/login", content=body, headers=form)).status_code in (400, 401)
        assert (await here.post("/login", content=body, headers={"Content-Type": "text/plain"})).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8765", "", "[::1", "10.0.0.1"])
async def test_another_name_for_this_machine_is_not_taken(fresh: Agent, host: str) -> None:
    async with client(fresh) as here:
        refused = await here.get("/v1/models", headers={"Host": host})
        assert (refused.status_code, error_of(refused)["code"]) == (403, "host_not_allowed")
        for good in ("localhost:8765", "127.0.0.1", "[::1]:8765"):
            assert (await here.get("/v1/models", headers={"Host": good})).status_code == 200
    async with client(fresh, allowed_hosts=("docs.example",)) as here:
        assert (await here.get("/v1/models", headers={"Host": "docs.example"})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_pages_of_other_sites_change_nothing(fresh: Agent, headers: dict[str, str]) -> None:
    async with client(fresh) as here:
        for path in ("/v1/chat/completions", "/login", "/gradio_api/queue/join"):
            refused = await here.post(path, json={}, headers=headers)
            assert (refused.status_code, error_of(refused)["code"]) == (403, "cross_origin")
        own = await here.post(
            "/v1/chat/completions", json={}, headers={"Origin": HERE, "Sec-Fetch-Site": "same-origin"}
        )
        assert own.status_code == 400


async def test_each_key_has_a_rate_of_its_own(fresh: Agent) -> None:
    one, two = key_of(fresh), key_of(fresh, "ann")
    async with client(fresh, rate_per_minute=3) as here:
        replies = [await here.get("/v1/models", headers=bearer(one)) for _ in range(4)]
        assert [r.status_code for r in replies] == [200] * 3 + [429]
        assert error_of(replies[-1])["code"] == "rate_limit_exceeded"
        assert 1 <= int(replies[-1].headers["retry-after"]) <= 20
        assert (await here.get("/v1/models", headers=bearer(two))).status_code == 200


def test_buckets_fill_again() -> None:
    now = [0.0]
    buckets = Buckets(60, lambda: now[0])
    assert all(buckets.take("ann") == 0 for _ in range(60))
    assert buckets.take("ann") == pytest.approx(1)
    assert buckets.take("bob") == 0
    now[0] += 1.1
    assert buckets.take("ann") == 0
    assert buckets.take("ann") > 0


async def test_bodies_end_where_they_grow_too_long(fresh: Agent) -> None:
    async def endless() -> Iterator[bytes]:  # type: ignore[misc]
        for _ in range(100):
            yield b" " * 100_000

    async with client(fresh) as here:
        for content in (b" " * 5_000_000, endless()):
            reply = await here.post(
                "/v1/chat/completions", content=content, headers={"Content-Type": "application/json"}
            )
            assert (reply.status_code, error_of(reply)["code"]) == (413, "too_large")


async def test_every_reply_tells_browsers_what_not_to_do(fresh: Agent) -> None:
    async with client(fresh) as here:
        for path in ("/v1/models", "/healthz", "/login", "/docs", "/v1/nothing"):
            headers = (await here.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "access-control-allow-origin" not in headers


def test_what_loopback_is() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "")))


async def test_uploads_to_the_page_count_against_the_rate(fresh: Agent) -> None:
    async with client(fresh, rate_per_minute=1) as here:
        found = [(await here.post("/gradio_api/upload", files={"files": ("a.md", b"# A")})).status_code for _ in "ab"]
        assert found == [404, 429]  # without the page there is nothing behind the gate
