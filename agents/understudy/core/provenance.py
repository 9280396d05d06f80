"""What something rests on: every document that was read for it, or for what it was made from.

A trace is written where a thing is written, and is whole: what was restored from the cache or shown as a demonstration
brings its own along. So erasing a document never has to follow a chain. A scope without a document stands for all of a
collection: of what was kept before traces were, nothing closer is known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from understudy.core.types import Evidence, Example, Scope

__all__ = [
    "UNKNOWN",
    "behind",
    "dumped",
    "fingerprint",
    "fingerprints",
    "loaded",
    "read_in",
    "together",
    "touched",
]

UNKNOWN = ""
"""A collection that something may rest on, nobody knows which: it counts as the most sensitive one."""


def together(*parts: Iterable[Scope]) -> tuple[Scope, ...]:
    """All of some traces, each scope once, in an order that is always the same."""
    found = {scope for part in parts for scope in part}
    return tuple(sorted(found, key=lambda s: (s.collection, s.document is not None, s.document or "")))


def read_in(scope: Scope, evidence: Evidence) -> tuple[Scope, ...]:
    """What a question of this scope has read: its passages' documents, and the document that it was asked of."""
    named = [scope] if scope.document is not None else []
    return together(named, (Scope(collection=scope.collection, document=p.document) for p in evidence.passages))


def behind(example: Example) -> tuple[Scope, ...]:
    """What an example rests on; one of before that was noted, on its evidence, and in a thread on anything."""
    if example.rests_on is not None:
        return example.rests_on
    thread = [Scope(collection=c) for c in (example.scope.collection, UNKNOWN)] if example.history else []
    return together(read_in(example.scope, example.evidence), thread)


def touched(rests_on: Iterable[Scope], document: Scope) -> bool:
    """Whether a trace leads to a document."""
    return any(s.collection == document.collection and s.document in (None, document.document) for s in rests_on)


def dumped(rests_on: Iterable[Scope]) -> str:
    """A trace as JSON, for a column."""
    return json.dumps([[s.collection, s.document] for s in rests_on], ensure_ascii=False)


def loaded(text: str) -> tuple[Scope, ...]:
    """A trace from a column."""
    return tuple(Scope(collection=collection, document=document) for collection, document in json.loads(text))


def fingerprint(scope: Scope) -> str:
    """What stands for a document where no words are kept, not even its name."""
    return hashlib.sha256(json.dumps([scope.collection, scope.document]).encode()).hexdigest()


def fingerprints(rests_on: Sequence[Scope]) -> str:
    """A trace without words, for a column."""
    return json.dumps([fingerprint(scope) for scope in rests_on])
