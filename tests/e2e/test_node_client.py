"""The official `openai` client for Node against a running server."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_parts import FOUNDED, SAMPLES, Running, running

from understudy.agents import Agent
from understudy.core.settings import DeferralSettings, Settings

pytestmark = pytest.mark.e2e
VERSION = "7.59.0"
SCRIPT = """
import OpenAI from "openai";
const [url, question] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url + "/v1", apiKey: "none is needed", maxRetries: 0 });
const messages = [{ role: "user", content: question }];
const out = {};
out.models = (await client.models.list()).data.map((m) => m.id);
const whole = await client.chat.completions.create({ model: "default", messages });
out.text = whole.choices[0].message.content;
out.usage = whole.usage.total_tokens;
const stream = await client.chat.completions.create({
  model: "default", messages, stream: true, stream_options: { include_usage: true },
  tools: [{ type: "function", function: { name: "now", parameters: { type: "object", properties: {} } } }],
});
out.streamed = ""; out.steps = 0;
for await (const chunk of stream) {
  out.streamed += chunk.choices[0]?.delta?.content ?? "";
  if (chunk.understudy?.step) out.steps += 1;
  out.thread = chunk.understudy?.thread ?? out.thread;
}
const again = await client.chat.completions.create({ model: "default", messages: [
  ...messages, { role: "assistant", content: out.text }, { role: "user", content: "And where?" } ] });
out.followed = [again.understudy.followed, again.understudy.thread === out.thread];
try { await client.chat.completions.create({ model: "gpt-5", messages }); }
catch (error) { out.error = [error.status, error.code, error instanceof OpenAI.NotFoundError]; }
const left = await client.chat.completions.create({ model: "default", messages, stream: true });
for await (const chunk of left) { left.controller.abort(); break; }
out.vector = (await client.embeddings.create({ model: "all-MiniLM-L6-v2", input: "one" })).data[0].embedding.length;
console.log(JSON.stringify(out));
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Node finds the client."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"openai@{VERSION}"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"npm can't install openai@{VERSION}: {done.stderr.strip().splitlines()[:1]}")
    (folder / "script.mjs").write_text(SCRIPT)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = Settings(deferral=DeferralSettings(min_confidence=0.0, audit_rate=0.0))
    with Agent.open(tmp_path_factory.mktemp("served"), settings=settings) as agent:
        agent.ingest([SAMPLES])
        with running(agent) as found:
            yield found


def test_nodes_client(package: Path, server: Running) -> None:
    done = subprocess.run(
        ["node", "script.mjs", server.url, FOUNDED],
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    own = server.served.agent.ask(FOUNDED)
    assert said["models"] == ["default"]
    assert said["text"] == said["streamed"] == own.text
    assert said["steps"] == len(own.steps)
    assert said["usage"] > 0
    assert said["followed"] == [True, True]
    assert said["error"] == [404, "model_not_found", True]
    assert said["vector"] == 384
