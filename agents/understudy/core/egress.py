"""What leaves the machine, and the seams of the gate that it passes: the guard, and the person who approves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from understudy.core.data import Data
from understudy.core.settings import Allowance
from understudy.core.types import Draft, Example, ExpertAnswer, Passage, Scope

__all__ = ["Approvals", "Decision", "Guard", "Outbound", "Payload", "Request", "Verdict", "content_of", "sha256_of"]


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
    """The documents behind the thread and the earlier answers that are shown: see `core.provenance`."""
    draft: Draft | None = None
    """What `user` was made of besides, to make it anew."""
    history: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    stored: tuple[Passage, ...] | None = None
    """The passages as their documents have them, where those in `user` are redacted."""

    @property
    def content(self) -> bytes:
        """The two messages as JSON in UTF-8: what its hash and its size are taken of."""
        return content_of(self.system, self.user)

    @property
    def sha256(self) -> str:
        """What approvals and the audit log know it by."""
        return sha256_of(self.system, self.user)

    @property
    def sources(self) -> tuple[str, ...]:
        """Every collection that it draws on."""
        behind = (scope.collection for scope in self.rests_on)
        return tuple(dict.fromkeys((self.scope.collection, *self.earlier, *behind)))


def content_of(system: str, user: str) -> bytes:
    """Two messages as JSON in UTF-8."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return json.dumps(messages, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def sha256_of(system: str, user: str) -> str:
    """The hash that two messages are known by."""
    return hashlib.sha256(content_of(system, user)).hexdigest()


@dataclass(frozen=True)
class Outbound:
    """A payload that passed the guard, in the form in which it leaves."""

    payload: Payload
    expert: str
    """To whom: nobody else may have it."""
    allowance: Allowance
    """What the policy gives that expert."""
    thread: str = ""
    """Whose placeholders stand in it."""
    asks: bool = False
    """Whether a person has to approve it first."""
    edited: bool = False
    """Whether a person wrote the message."""
    replaced: Mapping[str, int] = field(default_factory=dict)
    """How many values of each type gave way to placeholders."""
    kept_by: object = field(default=None, repr=False, compare=False)
    """What the guard kept values back with, to send and to restore with the same: the guard's own."""


class Guard(Protocol):
    """The one gate for egress."""

    def check(self, payload: Payload, expert: str, thread: str, edited: str | None = None) -> Outbound:
        """The payload as it may leave.

        Args:
            payload: as it was built.
            expert: who is to be asked.
            thread: whose placeholders are used, with its principal: `principal/thread`.
            edited: what a person made of the message that was shown, to go in its place.

        Raises:
            EgressRefused: nothing may leave, or something in it can't be kept back.
        """
        ...

    def sending(self, sent: Outbound) -> AbstractContextManager[None]:
        """While it lasts, this may leave, to this expert, and nothing else."""
        ...

    def restore(self, answer: ExpertAnswer, sent: Outbound) -> ExpertAnswer:
        """The answer with values in the place of placeholders, its quotes as the documents have them.

        Raises `WorkspaceError` where placeholders can't be read.
        """
        ...


class Request(Data):
    """What a person is asked to approve: the very payload, and to whom it would go."""

    id: str
    """Of this request: another payload, or the same one asked about again, has another."""
    question: str
    """As it was asked."""
    collection: str
    expert: str
    allowance: Allowance
    sha256: str
    """Of the payload: what an approval is bound to."""
    system: str
    user: str
    replaced: Mapping[str, int] = {}


Verdict = Literal["approve", "edit", "refuse"]


class Decision(Data):
    """What a person said to a request."""

    id: str
    verdict: Verdict
    text: str = ""
    """The message in the place of the one that was shown, or why nothing is to leave."""


class Approvals(Protocol):
    """Which requests wait, and which approvals were used. It keeps no text."""

    def ask(self, request: Request, principal: str, thread: str) -> None:
        """Note that a person is waited for; to note it twice is to note it once. Raises `WorkspaceError`."""
        ...

    def use(self, id: str) -> bool:
        """Take an approval, right before sending: `False` where it was taken before. Raises `WorkspaceError`."""
        ...

    def close(self, id: str) -> None:
        """Nobody is waited for any more. Raises `WorkspaceError`."""
        ...
