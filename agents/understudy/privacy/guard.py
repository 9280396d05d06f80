"""The one gate for egress: every expert call passes it."""

from __future__ import annotations

from understudy.core.egress import Outbound, Payload
from understudy.core.errors import EgressRefused
from understudy.core.types import ExpertAnswer
from understudy.privacy.policy import Policy

__all__ = ["EgressGuard"]


class EgressGuard:
    """Lets a payload out, or refuses, by the policy of what it draws on and the reach of the expert.

    This version does not redact: until it does, a `redacted` collection goes to an expert as it is, and the
    documentation says so. What needs approval or a question without identifiers is refused.

    Args:
        policy: what may go.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def check(self, payload: Payload, expert: str, thread: str) -> Outbound:
        """The payload as it may leave. Raises `EgressRefused`."""
        rule = self._policy.strictest(payload.sources, expert)
        if rule.refusal is not None:
            raise EgressRefused(rule.refusal)
        if self._policy.asks(payload.sources, expert):
            raise EgressRefused(
                f"collection {rule.collection!r} needs approval (egress = 'ask'), which can't be given yet"
            )
        if rule.allows == "question":
            raise EgressRefused(
                f"collection {rule.collection!r} is local: an expert may have a question without identifiers, "
                "and nothing takes them out yet"
            )
        return Outbound(payload, expert, rule.allows)

    def restore(self, answer: ExpertAnswer, sent: Outbound) -> ExpertAnswer:
        """The answer: nothing was replaced."""
        return answer
