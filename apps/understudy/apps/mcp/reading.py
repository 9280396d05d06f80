"""Searching and reading documents as one principal may: what they may not read is not there."""

from __future__ import annotations

from understudy.agents import Agent
from understudy.apps.mcp.results import FoundPassage, PassageText, SearchResult
from understudy.core.errors import QuestionError, ScopeError
from understudy.core.types import Document, Scope

__all__ = ["LONGEST", "read_passage", "search"]

LONGEST = 20_000
"""Characters of a document that are given at once."""
NAMED = 8
"""Locations that an error names."""


def search(agent: Agent, query: str, scope: Scope, k: int, principal: str) -> SearchResult:
    """The passages of a scope that a query finds, best first.

    Raises:
        QuestionError: the query is empty.
        NoDocumentsError: the collection is empty, or not theirs to read.
        ScopeError: it has no such document.
        AccessError: there is no such principal.
    """
    if not query.strip():
        raise QuestionError("the query is empty; say what to search for")
    documents = agent.documents_of(agent.access.principal(principal))
    with agent.traffic.shared():
        found = agent.retriever.over(documents).search(query, scope, limit=k)
    return SearchResult(passages=[FoundPassage.of(passage) for passage in found])


def read_passage(
    agent: Agent, scope: Scope, location: str | None, start: int | None, end: int | None, principal: str
) -> PassageText:
    """A part of a document, by its place as citations name it, or by code points.

    Args:
        agent: whose documents.
        scope: the document.
        location: such as "page 12"; the first part of the document at this place.
        start: first code point, instead of a location.
        end: behind the last one; the document's end by default.
        principal: who reads.

    Raises:
        QuestionError: neither a location nor a start is given, or both are.
        NoDocumentsError: the collection is empty, or not theirs to read.
        ScopeError: there is no such document, or no such place in it.
        AccessError: there is no such principal.
    """
    if (location is None) == (start is None):
        raise QuestionError("give either a location, as a citation names it, or start and end")
    documents = agent.documents_of(agent.access.principal(principal))
    with agent.traffic.shared():
        agent.retriever.over(documents).check(scope)
        document = documents.document(scope.collection, scope.document or "")
    if document is None:
        raise ScopeError(f"no document {scope.document!r} in collection {scope.collection!r}")
    if start is None:
        first, last = place(document, location or "")
    else:
        first, last = span(document, start, end)
    return part(document, first, last)


def place(document: Document, location: str) -> tuple[int, int]:
    """Where the first part of a document at some location begins and ends. Raises `ScopeError`."""
    wanted = location.strip().casefold()
    for at, mark in enumerate(document.marks):
        if mark.location.casefold() == wanted:
            others = (m.start for m in document.marks[at + 1 :] if m.location != mark.location)
            return mark.start, next(others, len(document.text))
    known = list(dict.fromkeys(m.location for m in document.marks))
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    named = f"it has {', '.join(map(repr, known[:NAMED]))}{more}" if known else "it has none; give start and end"
    raise ScopeError(f"document {document.id!r} has no location {location!r}: {named}")


def span(document: Document, start: int, end: int | None) -> tuple[int, int]:
    """A span of code points, cut at the document's end. Raises `ScopeError`."""
    length = len(document.text)
    last = length if end is None else min(end, length)
    if not 0 <= start < last:
        asked = f"{start} to {length if end is None else end}"
        raise ScopeError(f"document {document.id!r} has the code points 0 to {length}; {asked} is no part of it")
    return start, last


def part(document: Document, start: int, end: int) -> PassageText:
    """A span of a document, as much of it as is given at once."""
    stop = min(end, start + LONGEST)
    at = [mark.location for mark in document.marks if mark.start <= start]
    return PassageText(
        document=document.id,
        title=document.title,
        location=at[-1] if at else "",
        start=start,
        end=stop,
        length=len(document.text),
        text=document.text[start:stop],
        next=stop if stop < end else None,
    )
