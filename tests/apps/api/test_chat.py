"""The OpenAI API as its own Python client and LangChain's see it: a real server, the real starter, real documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI
from server_parts import FOUNDED, SAMPLES, Running, chat, error_of, running

from understudy.agents import Agent
from understudy.core.settings import CollectionSettings, DeferralSettings, Settings

NEVER_DEFER = DeferralSettings(min_confidence=0.0, audit_rate=0.0)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    settings = Settings(deferral=NEVER_DEFER, collections={"default": CollectionSettings(domain="instruments")})
    with Agent.open(tmp_path_factory.mktemp("chat"), settings=settings) as opened:
        opened.ingest([SAMPLES])
        yield opened


@pytest.fixture(scope="module")
def server(agent: Agent) -> Iterator[Running]:
    with running(agent) as found:
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none is needed", max_retries=0) as found:
        yield found


def test_an_answer_with_usage_and_what_supports_it(client: openai.OpenAI, agent: Agent) -> None:
    reply = client.chat.completions.create(model="default", messages=[{"role": "user", "content": FOUNDED}])
    own = agent.ask(FOUNDED)
    assert reply.choices[0].message.content == own.text
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    told = reply.model_extra["understudy"]
    assert (told["route"], told["confidence"], told["status"]) == (own.route, own.confidence, "done")
    assert told["citations"] == [c.model_dump() for c in own.citations]
    assert told["steps"][0]["kind"] == "search"


def test_a_stream_gives_steps_as_they_happen_and_the_same_answer(client: openai.OpenAI, agent: Agent) -> None:
    chunks = list(
        client.chat.completions.create(
            model="default",
            messages=[{"role": "user", "content": FOUNDED}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    own = agent.ask(FOUNDED)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == own.text
    assert chunks[0].choices[0].delta.role == "assistant"
    extended = [(c.model_extra or {}).get("understudy") for c in chunks]
    steps = [e["step"]["kind"] for e in extended if e and "step" in e]
    assert steps == [step.kind for step in own.steps]
    first_text = next(n for n, c in enumerate(chunks) if c.choices and c.choices[0].delta.content)
    assert all(not (e and "step" in e) for e in extended[first_text:])
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert extended[-2]["citations"] == [c.model_dump() for c in own.citations]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


def test_without_being_asked_no_usage_is_streamed(server: Running) -> None:
    lines = httpx.post(f"{server.url}/v1/chat/completions", json=chat(FOUNDED, stream=True), timeout=60).text
    assert lines.strip().endswith("data: [DONE]")
    assert '"usage"' not in lines


def test_a_conversation_goes_on_in_its_thread(client: openai.OpenAI, agent: Agent) -> None:
    said = [{"role": "user", "content": "What was Operating profit in 2023?"}]
    first = client.chat.completions.create(model="default", messages=said)
    said += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "And in 2022?"},
    ]
    second = client.chat.completions.create(model="default", messages=said)
    one, two = first.model_extra["understudy"], second.model_extra["understudy"]
    assert one["thread"] == two["thread"]
    assert (one["followed"], two["followed"]) == (False, True)
    stranger = client.chat.completions.create(model="default", messages=[said[0], said[0], said[2]])
    assert not stranger.model_extra["understudy"]["followed"]


def test_a_conversation_whose_thread_was_deleted_begins_anew(client: openai.OpenAI, agent: Agent) -> None:
    said = [{"role": "user", "content": "What was Operating profit in 2024?"}]
    first = client.chat.completions.create(model="default", messages=said)
    agent.delete_thread(first.model_extra["understudy"]["thread"])
    said += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "And in 2023?"},
    ]
    second = client.chat.completions.create(model="default", messages=said).model_extra["understudy"]
    assert not second["followed"]
    assert second["thread"] != first.model_extra["understudy"]["thread"]


@pytest.mark.parametrize("field", ["extra_body", "metadata"])
def test_a_thread_and_a_document_are_named_in_the_extension(client: openai.OpenAI, field: str) -> None:
    asked = {"model": "default", "messages": [{"role": "user", "content": "What was Revenue in 2023?"}]}
    document = "annual-report-2024.pdf"
    given = {"extra_body": {"understudy": {"document": document}}, "metadata": {"understudy_document": document}}
    first = client.chat.completions.create(**asked, **{field: given[field]}).model_extra["understudy"]
    assert {c["document"] for c in first["citations"]} <= {document}
    thread = first["thread"]
    given = {"extra_body": {"understudy": {"thread": thread}}, "metadata": {"understudy_thread": thread}}
    second = client.chat.completions.create(**asked, **{field: given[field]}).model_extra["understudy"]
    assert (second["thread"], second["followed"]) == (thread, True)


def test_models_are_collections(client: openai.OpenAI) -> None:
    assert [m.id for m in client.models.list()] == ["default"]
    for name in ("default", "instruments", "default/annual-report-2024.pdf"):
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError) as wrong:
        client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "Why?"}])
    assert wrong.value.code == "model_not_found"
    assert wrong.value.param == "model"
    assert "default" in wrong.value.message


def test_tools_and_sampling_change_nothing(client: openai.OpenAI, agent: Agent) -> None:
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
    reply = client.chat.completions.create(
        model="default",
        messages=[
            {"role": "system", "content": "Answer like a pirate."},
            {"role": "user", "content": [{"type": "text", "text": FOUNDED}]},
        ],
        tools=[tool],
        tool_choice="auto",
        temperature=2,
        seed=3,
        max_tokens=5,
        user="ann",
    )
    assert reply.choices[0].message.content == agent.ask(FOUNDED).text
    assert not reply.choices[0].message.tool_calls


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "Well?"}]}, "messages"),
        ({"messages": [{"role": "king", "content": "Well?"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0"),
        ({"model": 7}, "model"),
        ({"stream": "perhaps"}, "stream"),
    ],
)
def test_what_cannot_be_given_is_refused_by_name(server: Running, more: dict[str, object], param: str) -> None:
    reply = httpx.post(f"{server.url}/v1/chat/completions", json=chat("Why?") | more)
    assert reply.status_code == 400
    assert error_of(reply)["param"] == param


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b'{"model": "default", "messages": [{"role": "user", "content": "a\\u0000b"}]}', 400),
        (b'{"model": "default", "messages": [{"role": "user", "content": "\\ud800"}]}', 400),
        (b'{"model": "default\\ud800", "messages": [{"role": "user", "content": "Why?"}]}', 400),
        (b'{"model": "\\u0000", "messages": [{"role": "user", "content": "Why?"}]}', 404),
        (b'{"model": "default", "messages": [{"role": "user", "content": "   "}]}', 400),
        (b'{"model": "default", "n": 1e999, "messages": [{"role": "user", "content": "Why?"}]}', 400),
        (b'{"model": "default", "n": ' + b"9" * 5000 + b', "messages": [{"role": "user", "content": "Why?"}]}', 400),
        (b"\xff\xfe\x00", 400),
        (b'{"model": "default", "messages": [{"role": "user", "content": "' + b"why " * 20_000 + b'"}]}', 400),
    ],
)
def test_bad_bodies_are_the_callers_fault(server: Running, body: bytes, status: int) -> None:
    reply = httpx.post(
        f"{server.url}/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}, timeout=60
    )
    assert reply.status_code == status, reply.text
    error_of(reply)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_wrong_content_type_is_refused(server: Running, kind: str) -> None:
    reply = httpx.post(f"{server.url}/v1/chat/completions", content=b"{}", headers={"Content-Type": kind})
    assert reply.status_code == 400
    error_of(reply)


def test_unknown_threads_documents_and_paths_are_404(server: Running) -> None:
    for more in ({"thread": "no such"}, {"document": "no such.pdf"}):
        reply = httpx.post(f"{server.url}/v1/chat/completions", json=chat("Why?", understudy=more, stream=True))
        assert reply.status_code == 404
        assert error_of(reply)["code"] == "not_found"
    assert error_of(httpx.get(f"{server.url}/v1/nothing"))["code"] == "not_found"
    assert error_of(httpx.get(f"{server.url}/v1/chat/completions"))["code"] == "method_not_allowed"


def test_langchains_client(server: Running, agent: Agent) -> None:
    model = ChatOpenAI(model="default", base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    own = agent.ask(FOUNDED).text
    assert model.invoke(FOUNDED).content == own
    assert "".join(str(piece.content) for piece in model.stream(FOUNDED)) == own


def test_the_server_is_there(server: Running) -> None:
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}
    assert "/v1/chat/completions" in httpx.get(f"{server.url}/openapi.json").json()["paths"]


def test_the_samples_are_there(agent: Agent, tmp_path: Path) -> None:
    assert len(agent.documents()) == 4
