"""A real OpenAI-compatible HTTP server on loopback that misbehaves on request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REPLY = {
    "answer": "EUR 412.6 million",
    "not_in_documents": False,
    "citations": [{"passage": 1, "quote": "Revenue was  EUR 412.6\nmillion"}, {"passage": 1, "quote": "made up"}],
}


@dataclass
class FakeOpenAI:
    """What it will do, in turn (the last behaviour repeats), and what it was asked."""

    behaviours: list[str]
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""
    watch: Callable[[dict[str, Any]], None] = lambda _request: None
    """Told of every request before it is answered."""
    reply: Callable[[str], dict[str, Any]] = lambda _user: REPLY
    """What "ok" says to a user's message."""

    def next(self) -> str:
        return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]


def completion(content: str) -> dict[str, Any]:
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "fake",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }


def act(fake: FakeOpenAI, behaviour: str, request: dict[str, Any], reply: Callable[..., None]) -> None:
    match behaviour:
        case "ok":
            said = fake.reply(request["messages"][-1]["content"])
            reply(200, json.dumps(completion(json.dumps(said))))
        case "fenced":
            reply(200, json.dumps(completion(f"Sure!\n```json\n{json.dumps(REPLY)}\n```")))
        case "prose":
            reply(200, json.dumps(completion("I would say about four hundred.")))
        case "not json":
            reply(200, "<html>gateway</html>")
        case "slow":
            time.sleep(3)
            reply(200, json.dumps(completion(json.dumps(REPLY))))
        case "cut off":
            reply(200, json.dumps(completion(json.dumps(REPLY))), cut=True)
        case rest if rest.startswith("rest "):  # how long, as Retry-After has it
            reply(429, json.dumps({"error": {"message": "no"}}), rest=rest.removeprefix("rest "))
        case raw if not raw.isdigit():
            reply(200, raw)
        case status:
            reply(int(status), json.dumps({"error": {"message": "no", "type": "x", "code": "y"}}))


@contextmanager
def serving(*behaviours: str) -> Iterator[FakeOpenAI]:
    fake = FakeOpenAI(list(behaviours))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fake.keys.append(self.headers["Authorization"])  # first: a body that is no JSON must be counted too
            request = json.loads(body)
            fake.requests.append(request)
            fake.watch(request)
            act(fake, fake.next(), request, self.reply)

        def reply(self, status: int, body: str, cut: bool = False, rest: str | None = None) -> None:
            try:
                self.send_response(status)
                if rest is not None:
                    self.send_header("Retry-After", rest)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode()[: 20 if cut else None])
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
