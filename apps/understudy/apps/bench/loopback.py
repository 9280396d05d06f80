"""An OpenAI-compatible server on loopback that keeps every byte it was sent: an expert for measurements of egress."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Loopback", "Request", "serving"]

Answering = Callable[[str], str]
"""From the user's message to what the expert writes."""


@dataclass(frozen=True)
class Request:
    """One request as it came, byte for byte."""

    path: str
    head: bytes
    """The request line and the headers."""
    body: bytes

    @property
    def sent(self) -> dict[str, Any]:
        """The body as JSON."""
        return dict(json.loads(self.body))

    @property
    def texts(self) -> Iterator[str]:
        """All that can be read in it: both as they are, and the messages with the escapes of JSON undone."""
        yield self.head.decode("utf-8", "replace")
        yield self.body.decode("utf-8", "replace")
        yield from (message["content"] for message in self.sent["messages"])

    @property
    def user(self) -> str:
        """The user's message."""
        return str(self.sent["messages"][-1]["content"])


@dataclass
class Loopback:
    """Where the server listens, what it was sent, and how it answers."""

    answering: Answering
    message: dict[str, Any] = field(default_factory=dict)
    """More fields of the reply's message, such as tool calls."""
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def reply(self, request: Request) -> dict[str, Any]:
        """A chat completion."""
        message = {"role": "assistant", "content": self.answering(request.user), **self.message}
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "loopback",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }


@contextmanager
def serving(answering: Answering) -> Iterator[Loopback]:
    """A server that runs until the block ends."""
    held = Loopback(answering)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            head = f"{self.requestline}\r\n{self.headers}".encode()
            request = Request(self.path, head, self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            held.requests.append(request)
            body = json.dumps(held.reply(request)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
