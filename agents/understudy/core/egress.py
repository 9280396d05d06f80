"""What leaves the machine, and the seam of the gate that it passes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from understudy.core.settings import Allowance
from understudy.core.types import ExpertAnswer, Passage, Scope

__all__ = ["Guard", "Outbound", "Payload"]


@dataclass(frozen=True)
class Payload:
    """Exactly what would go to an expert: `system` and `user`. The rest stays here."""

    system: str
    user: str
    passages: tuple[Passage, ...]
    """The evidence quoted inside `user`, in its order."""
    question: str
    """As it was asked."""
    scope: Scope
    earlier: tuple[str, ...] = ()
    """The collections that the thread's earlier questions were asked of: a draft may hold what was answered then."""
    rests_on: tuple[Scope, ...] = ()
    """The documents behind what is shown besides the evidence, such as earlier answers: see `core.provenance`."""

    @property
    def content(self) -> bytes:
        """The two messages as JSON in UTF-8: what its hash and its size are taken of."""
        messages = [{"role": "system", "content": self.system}, {"role": "user", "content": self.user}]
        return json.dumps(messages, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

    @property
    def sha256(self) -> str:
        """What approvals and the audit log know it by."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def sources(self) -> tuple[str, ...]:
        """Every collection that it draws on."""
        return tuple(dict.fromkeys((self.scope.collection, *self.earlier)))


@dataclass(frozen=True)
class Outbound:
    """A payload that passed the guard, in the form in which it leaves."""

    payload: Payload
    expert: str
    """To whom: nobody else may have it."""
    allowance: Allowance
    """What the policy gives that expert."""
    asks: bool = False
    """Whether a person has to approve it first."""
    replaced: Mapping[str, int] = field(default_factory=dict)
    """How many values of each type gave way to placeholders."""


class Guard(Protocol):
    """The one gate for egress."""

    def check(self, payload: Payload, expert: str, thread: str) -> Outbound:
        """The payload as it may leave.

        Args:
            payload: as it was built.
            expert: who is to be asked.
            thread: whose placeholders are used, with its principal: `principal/thread`.

        Raises:
            EgressRefused: nothing may leave, or something in it can't be kept back.
        """
        ...

    def restore(self, answer: ExpertAnswer, sent: Outbound) -> ExpertAnswer:
        """The answer with values in the place of placeholders, its quotes as the documents have them."""
        ...
