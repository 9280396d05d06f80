"""The protected values of collections, as their documents stand now.

Values of earlier versions stay for as long as the process lives: threads and drafts still speak of them.
They are kept in memory alone: no second copy of what is protected lies on disk, and an erased document leaves none.
Each version of a document is read once; after that a question costs a look at the collection's revision.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from understudy.core.settings import CollectionSettings, PatternSettings, Settings
from understudy.core.types import Document, Scope
from understudy.privacy.protected.fields import marked_values
from understudy.privacy.protected.matcher import ProtectedValues
from understudy.privacy.protected.names import Wording, parts_of, repeated_names, wording_of
from understudy.privacy.protected.values import Value
from understudy.privacy.redaction.patterns import OwnPatterns

__all__ = ["Dictionaries", "Documents", "dictionary_of"]


class Documents(Protocol):
    """What is stored; `understudy.retrieval.store.DocumentStore`."""

    def revision(self, collection: str) -> int:
        """A number that grows with every change of a collection."""
        ...

    def entries(self, collection: str) -> list[tuple[str, str, str]]:
        """Id, version and source of each document."""
        ...

    def document(self, collection: str, document: str) -> Document | None:
        """One document with its text."""
        ...


@dataclass(frozen=True)
class Terms:
    """What one version of a document brings."""

    version: str
    marked: tuple[Value, ...]
    wording: Wording


@dataclass(frozen=True)
class Kept:
    """What is known of a collection at one revision."""

    revision: int | None
    """`None`: to be read anew."""
    terms: dict[str, Terms]
    former: dict[str, dict[str, Terms]]
    """Those of earlier versions, by document and version."""
    values: tuple[Value, ...]


class Dictionaries:
    """The protected values of every collection, brought up to date when they are asked for.

    Args:
        documents: the store.
        settings: which fields the collections protect, and the owner's patterns.
    """

    def __init__(self, documents: Documents, settings: Settings) -> None:
        self._documents, self._settings = documents, settings
        self._kept: dict[str, Kept] = {}
        self._matchers: dict[tuple[str, ...], tuple[tuple[int | None, ...], ProtectedValues]] = {}
        self._lock = threading.Lock()

    def values(self, collection: str) -> tuple[Value, ...]:
        """The values of a collection. Raises `EgressRefused` where a pattern takes too long, `WorkspaceError`."""
        with self._lock:
            return self._renewed(collection).values

    def of(self, collections: Sequence[str]) -> ProtectedValues:
        """The values of some collections, ready to be looked for. Raises as `values` does."""
        names = tuple(sorted(set(collections)))
        with self._lock:
            kept = [self._renewed(name) for name in names]
            revisions = tuple(k.revision for k in kept)
            held = self._matchers.get(names)
            if held is None or held[0] != revisions:
                held = (revisions, ProtectedValues(value for k in kept for value in k.values))
                self._matchers[names] = held
            return held[1]

    def forget(self, document: Scope) -> None:
        """Drop what earlier versions of a document brought, and it itself: it is erased."""
        name, collection = document.document or "", document.collection
        with self._lock:
            self._matchers.clear()
            kept = self._kept.pop(collection, None)
            if kept is not None:
                terms = {n: t for n, t in kept.terms.items() if n != name}
                former = {n: t for n, t in kept.former.items() if n != name}
                self._kept[collection] = Kept(None, terms, former, ())

    def _renewed(self, collection: str) -> Kept:
        revision = self._documents.revision(collection)
        kept = self._kept.get(collection)
        if kept is not None and kept.revision == revision:
            return kept
        given = self._settings.collections.get(collection, CollectionSettings())
        patterns = self._settings.privacy.patterns
        before = kept.terms if kept is not None else {}
        terms: dict[str, Terms] = {}
        for name, version, _ in self._documents.entries(collection):
            known = before.get(name)
            if known is not None and known.version == version:
                terms[name] = known
            elif (document := self._documents.document(collection, name)) is not None:
                terms[name] = terms_of(document, given.protect, patterns)
        former = {name: dict(versions) for name, versions in kept.former.items()} if kept is not None else {}
        for name, known in before.items():
            if terms.get(name) is not known:
                former.setdefault(name, {})[known.version] = known
        values = {v.text: v for v in together(terms.values(), names=given.protect_names)}
        if former:
            earlier = (t for versions in former.values() for t in versions.values())
            for value in together([*terms.values(), *earlier], names=given.protect_names):
                values.setdefault(value.text, value)
        kept = Kept(revision, terms, former, tuple(values.values()))
        self._kept[collection] = kept
        return kept


def dictionary_of(
    documents: Iterable[Document], settings: CollectionSettings, patterns: Sequence[PatternSettings] = ()
) -> tuple[Value, ...]:
    """The protected values of some documents. Raises `EgressRefused` where a pattern takes too long."""
    terms = [terms_of(document, settings.protect, patterns) for document in documents]
    return together(terms, names=settings.protect_names)


def terms_of(document: Document, fields: Sequence[str], patterns: Sequence[PatternSettings]) -> Terms:
    """What a document brings: values of marked fields, what the owner's patterns find, and how it writes its words."""
    marked = list(marked_values(document.text, fields))
    found = [Value(f.text, f.type, "pattern") for f in OwnPatterns(patterns).find(document.text)]
    return Terms(document.version, tuple(dict.fromkeys(marked + found)), wording_of(document.text))


def together(terms: Iterable[Terms], *, names: bool) -> tuple[Value, ...]:
    """The values of documents together, each text once: what the owner marked goes first."""
    held = list(terms)
    small = frozenset().union(*(t.wording.small for t in held))
    marked = [value for t in held for value in t.marked]
    whole = marked + (list(repeated_names(t.wording for t in held)) if names else [])
    values: dict[str, Value] = {}
    for value in (*whole, *parts_of(whole, small)):
        values.setdefault(value.text, replace(value, common=value.text.casefold() in small))
    return tuple(values.values())
