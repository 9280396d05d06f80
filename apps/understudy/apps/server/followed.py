"""Which thread a conversation is, for clients that send all messages every time and know of no threads."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence

from understudy.core.types import Scope

__all__ = ["Followed", "Said"]

Said = tuple[str, str]
"""Role and text of a message."""
KEPT = 10_000


class Followed:
    """The threads of the latest conversations, by a hash of all that was said in them.

    It is kept in memory alone: no text, and nothing that outlives the process.

    Args:
        kept: conversations at most.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._threads: OrderedDict[bytes, str] = OrderedDict()

    def find(self, principal: str, scope: Scope, messages: Sequence[Said]) -> str | None:
        """The thread in which exactly this was said, and no more, by this principal of this scope."""
        return self._threads.get(digest(principal, scope, messages)) if messages else None

    def note(self, principal: str, scope: Scope, messages: Sequence[Said], thread: str) -> None:
        """All that was said in a thread so far."""
        key = digest(principal, scope, messages)
        self._threads[key] = thread
        self._threads.move_to_end(key)
        while len(self._threads) > self._kept:
            self._threads.popitem(last=False)


def digest(principal: str, scope: Scope, messages: Sequence[Said]) -> bytes:
    """SHA-256 of who said what of which documents; spaces at the ends don't count, since clients trim them."""
    said = [(role, text.strip()) for role, text in messages]
    return hashlib.sha256(json.dumps([principal, scope.model_dump(), said]).encode()).digest()
