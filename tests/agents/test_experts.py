"""Experts over real HTTP: structure, prices, retries, and every way to fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_openai import serving
from langchain_core.tracers.langchain import wait_for_all_tracers

from understudy.agents.briefing import build_payload
from understudy.agents.experts import ChatExpert, build_experts, parsed
from understudy.core.errors import (
    EgressRefused,
    ExpertAuthError,
    ExpertError,
    ExpertReplyError,
    ExpertUnavailableError,
    SettingsError,
)
from understudy.core.protocols import Payload
from understudy.core.settings import ExpertSettings, Settings
from understudy.core.types import ExpertAnswer, Passage, Scope
from understudy.core.usage import Spend
from understudy.privacy.transport import Permit, permitted

TEXT = "In 2024 things went well. Revenue was EUR 412.6 million."


def payload(scope: Scope | None = None) -> Payload:
    passage = Passage(document="d", title="T", version="v", location="page 1", start=100, end=156, text=TEXT, score=0.5)
    return build_payload("What was revenue?", scope or Scope(), [passage], None, [])


def expert(url: str, **changes: Any) -> ChatExpert:
    given = {"timeout_s": 1.0, "retries": 0, "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 10.0} | changes
    return ChatExpert(ExpertSettings(name="gpt", model="openai:fake", base_url=url, **given))


async def asked(expert: ChatExpert) -> ExpertAnswer:
    """Ask as the guard has it: what isn't permitted doesn't leave."""
    with permitted(Permit(expert.name, (payload().system, payload().user), lambda _: None)):
        return await expert.ask(payload())


@pytest.mark.parametrize("behaviour", ["ok", "fenced"])
async def test_an_answer_with_located_citations_and_its_price(behaviour: str) -> None:
    with serving(behaviour) as server:
        answer = await asked(expert(server.url))
    assert answer.text == "EUR 412.6 million"
    (citation,) = answer.citations
    assert citation.quote == "Revenue was EUR 412.6 million"
    assert TEXT[citation.start - 100 : citation.end - 100] == citation.quote
    assert (answer.tokens.input, answer.tokens.output) == (1000, 100)
    assert answer.cost_usd == pytest.approx(0.002)


async def test_what_is_sent_is_the_payload() -> None:
    with serving("ok") as server:
        await asked(expert(server.url))
    (request,) = server.requests
    assert [m["content"] for m in request["messages"]] == [payload().system, payload().user]


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ("401", ExpertAuthError, "refused the key"),
        ("429", ExpertUnavailableError, "rate limit"),
        ("500", ExpertUnavailableError, "failed"),
        ("400", ExpertReplyError, "refused the request"),
        ("slow", ExpertUnavailableError, "timed out"),
        ("prose", ExpertReplyError, "form asked for"),
        ("not json", ExpertReplyError, "no valid JSON"),
        ("[]", ExpertReplyError, "no chat completion"),
        ("{}", ExpertReplyError, "no chat completion"),
        ('{"choices": []}', ExpertReplyError, "no chat completion"),
        ("cut off", ExpertUnavailableError, "can't be reached"),
    ],
)
async def test_failures_are_one_line_of_ours(behaviour: str, error: type[ExpertError], words: str) -> None:
    with serving(behaviour) as server, pytest.raises(error, match=words) as caught:
        await asked(expert(server.url))
    assert "\n" not in str(caught.value)


WORST = expert("http://127.0.0.1:9/v1").worst(payload())


@pytest.mark.parametrize(
    ("behaviour", "usd", "calls"),
    [("429", 0.0, 0), ("401", 0.0, 0), ("prose", 0.002, 1), ("slow", WORST.usd, 1), ("not json", WORST.usd, 1)],
)
async def test_a_failure_says_what_it_may_have_cost(behaviour: str, usd: float, calls: int) -> None:
    with serving(behaviour) as server, pytest.raises(ExpertError) as caught:
        await asked(expert(server.url))
    assert caught.value.spent is not None
    assert (caught.value.spent.usd, caught.value.spent.calls) == (pytest.approx(usd), calls)


async def test_an_attempt_that_timed_out_is_booked_beside_the_one_that_answered() -> None:
    with serving("slow", "ok") as server:
        answer = await asked(expert(server.url, retries=1))
    assert answer.cost_usd == pytest.approx(0.002)
    assert answer.spent.usd == pytest.approx(0.002 + WORST.usd)
    assert answer.spent.calls == 2


async def test_every_attempt_is_counted_whatever_comes_of_the_last() -> None:
    with serving("500", "429", "ok") as server:
        answer = await asked(expert(server.url, retries=2))
        assert (answer.attempts, len(server.requests)) == (3, 3)
    for last, error in (("500", ExpertUnavailableError), ("prose", ExpertReplyError)):
        with serving("500", last) as server, pytest.raises(error) as caught:
            await asked(expert(server.url, retries=1))
        assert caught.value.attempts == 2


async def test_one_that_is_stopped_on_its_way_out_was_not_sent_again() -> None:
    with serving("slow") as server:
        opened = expert(server.url, retries=1, timeout_s=0.3)
        server.watch = lambda _request: setattr(opened._door, "_origin", "https://elsewhere.example:443")
        with pytest.raises(EgressRefused) as caught:
            await asked(opened)
    assert (caught.value.attempts, caught.value.spent.calls, len(server.requests)) == (1, 1, 1)


def test_the_worst_case_takes_every_byte_for_a_token_at_every_attempt() -> None:
    sent = len((payload().system + payload().user).encode())
    worst = expert("http://127.0.0.1:9/v1", retries=2, max_output_tokens=100).worst(payload())
    assert worst.calls == 3
    assert sent * 3 < worst.tokens - 300 < (sent + 100) * 3
    assert worst.usd > 3 * (sent * 1.0 + 100 * 10.0) / 1e6


async def test_no_server_at_all_costs_nothing() -> None:
    with pytest.raises(ExpertUnavailableError, match="can't be reached") as caught:
        await asked(expert("http://127.0.0.1:9/v1"))
    assert caught.value.spent == Spend()


async def test_passing_failures_are_retried_and_others_not() -> None:
    with serving("429", "500", "ok") as server:
        await asked(expert(server.url, retries=2))
        assert len(server.requests) == 3
    with serving("401") as server:
        with pytest.raises(ExpertAuthError):
            await asked(expert(server.url, retries=2))
        assert len(server.requests) == 1


async def test_a_key_variable_that_is_not_set() -> None:
    with pytest.raises(ExpertAuthError, match="NO_SUCH_KEY is not set"):
        await asked(expert("http://127.0.0.1:9/v1", api_key_env="NO_SUCH_KEY"))


async def test_the_owners_key_goes_to_no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-owner")
    monkeypatch.setenv("MY_KEY", "sk-mine")
    with serving("ok") as server:
        await asked(expert(server.url))
        await asked(expert(server.url, api_key_env="MY_KEY"))
    assert server.keys == ["Bearer none", "Bearer sk-mine"]


async def test_no_key_at_all() -> None:
    with pytest.raises(ExpertAuthError, match="refused the key"):
        await asked(ChatExpert(ExpertSettings(name="gpt", model="openai:gpt-5")))


async def test_tracing_is_off_whatever_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("ok") as server, serving("{}") as langsmith:
        monkeypatch.setenv("LANGSMITH_TRACING", "true")
        monkeypatch.setenv("LANGSMITH_API_KEY", "k")
        monkeypatch.setenv("LANGSMITH_ENDPOINT", langsmith.url)
        await asked(expert(server.url))
        wait_for_all_tracers()
    assert not langsmith.keys


@pytest.mark.parametrize(
    "text",
    [
        '{"answer": "a"} and {this}',
        '<think>{x}</think>{"answer": "a"}',
        '```json\n{"answer": "a", "citations": []}\n```',
        '{"note": 1} {"answer": "a"}',
    ],
)
def test_a_reply_in_chatter(text: str) -> None:
    assert parsed(text, "gpt").answer == "a"


@pytest.mark.parametrize("text", ["", "a", '{"answer": ""}', "{" * 5000, '{"answer": null}'])
def test_no_reply_in_it(text: str) -> None:
    with pytest.raises(ExpertReplyError, match="form asked for"):
        parsed(text, "gpt")


async def test_an_unknown_provider() -> None:
    with pytest.raises(SettingsError, match="can't be used"):
        await asked(ChatExpert(ExpertSettings(name="x", model="nonsense")))


def test_recorded_experts(tmp_path: Path) -> None:
    settings = Settings(experts=(ExpertSettings(name="replay", model="recorded:a.jsonl"),))
    with pytest.raises(SettingsError, match=r"a\.jsonl can't be read"):
        build_experts(settings, tmp_path)
    (tmp_path / "a.jsonl").write_text('{"question": "Q", "text": "A"}\n{"question": 1}\n')
    with pytest.raises(SettingsError, match="line 2"):
        build_experts(settings, tmp_path)


async def test_a_recorded_expert_says_so_and_fails_like_one_that_is_down(tmp_path: Path) -> None:
    line = '{"question": "what  was REVENUE?", "text": "412.6", "citations": [{"document": "d", "quote": "412.6 million"}]}'
    (tmp_path / "a.jsonl").write_text(line)
    ((replay, _),) = build_experts(
        Settings(experts=(ExpertSettings(name="replay", model="recorded:a.jsonl", output_usd_per_mtok=10),)), tmp_path
    )
    answer = await replay.ask(payload())
    assert answer.expert == "replay (recorded)"
    assert answer.citations[0].quote == "412.6 million"
    assert answer.cost_usd > 0
    with pytest.raises(ExpertUnavailableError, match="no recording"):
        await replay.ask(build_payload("Something else?", Scope(), [], None, []))
