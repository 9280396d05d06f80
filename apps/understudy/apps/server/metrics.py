"""`/metrics`, in Prometheus' form: counts and times. No name of a principal, document or thread, and no question."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from understudy.apps.server.queue import FairQueue
from understudy.core.types import Answer

__all__ = ["CONTENT_TYPE_LATEST", "Counting", "Metrics"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class Metrics:
    """What one server counts.

    Args:
        queue: whose length is shown.
    """

    def __init__(self, queue: FairQueue) -> None:
        self._registry = CollectorRegistry()
        held: dict[str, Any] = {"namespace": "understudy", "registry": self._registry}
        self._requests = Counter(
            "requests", "Requests, by route, method and status", ["route", "method", "status"], **held
        )
        self._answers = Counter("answers", "Answers, by how they came about", ["route", "status"], **held)
        self._usd = Counter("expert_usd", "What experts cost, in dollars", **held)
        self._tokens = Counter("tokens", "Tokens, by model and kind", ["model", "kind"], **held)
        self._took = Histogram("answer_seconds", "From a question to its answer", buckets=SECONDS, **held)
        self._waited = Histogram("queue_wait_seconds", "From a question to its turn", buckets=SECONDS, **held)
        Gauge("questions_running", "Questions being answered", **held).set_function(lambda: queue.running)
        Gauge("questions_waiting", "Questions that wait", **held).set_function(lambda: queue.waiting)

    def page(self) -> bytes:
        """All of it as text."""
        return generate_latest(self._registry)

    def request(self, route: str, method: str, status: int) -> None:
        """A request was answered; what is no method or route of ours has no name."""
        self._requests.labels(route, method if method in METHODS else "other", str(status)).inc()

    def waited(self, seconds: float) -> None:
        """A question's turn came."""
        self._waited.observe(seconds)

    def answered(self, answer: Answer, seconds: float) -> None:
        """A question was answered."""
        self._answers.labels(answer.route, answer.status).inc()
        self._usd.inc(answer.cost_usd)
        for model, tokens in (("small", answer.tokens.small), ("expert", answer.tokens.expert)):
            for kind, count in tokens.model_dump().items():
                self._tokens.labels(model, kind).inc(count)
        self._took.observe(seconds)


class Counting:
    """Counts requests by route and status.

    Args:
        app: that answers them.
        metrics: that count.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            self._metrics.request(route_of(scope), scope["method"], status)


def route_of(scope: Scope) -> str:
    """A route as it is declared, without what stood in its place."""
    return str(getattr(scope.get("route"), "path", "other"))
