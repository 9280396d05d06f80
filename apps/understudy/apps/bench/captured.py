"""An OpenAI-compatible server on loopback that keeps every byte it is sent."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Captured", "Request", "capturing"]


@dataclass(frozen=True)
class Request:
    """What was sent at once: request line and headers, and the body, as they came."""

    head: bytes
    body: bytes

    @property
    def texts(self) -> Iterator[str]:
        """All that can be read in it: both as they are, and the messages with the escapes of JSON undone."""
        yield self.head.decode("utf-8", "replace")
        yield self.body.decode("utf-8", "replace")
        yield from (message["content"] for message in json.loads(self.body)["messages"])


@dataclass
class Captured:
    """All that was sent."""

    url: str
    requests: list[Request] = field(default_factory=list)


@contextmanager
def capturing() -> Iterator[Captured]:
    """Serve until the block ends. Every request is answered with the first line of its first passage, quoted."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            head = f"{self.requestline}\r\n{self.headers}".encode()
            captured.requests.append(Request(head, body))
            reply = json.dumps(completion(json.loads(body)["messages"][-1]["content"])).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    captured = Captured(f"http://127.0.0.1:{server.server_port}/v1")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield captured
    finally:
        server.shutdown()
        server.server_close()


def completion(user: str) -> dict[str, object]:
    """A reply that cites what was sent."""
    line = re.search(r"\[passage 1\][^\n]*\n([^\n]+)", user)
    quote = line[1] if line else ""
    answer = {"answer": quote or "nothing", "citations": [{"passage": 1, "quote": quote}] if quote else []}
    message = {"role": "assistant", "content": json.dumps(answer)}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "captured",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
