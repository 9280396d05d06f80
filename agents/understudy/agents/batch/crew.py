"""Who answers a job's questions: the players of its collection, made ready for many questions at once.

A document is read once for all questions about it, a question embedded once for all documents; each core reads for a
question of its own; the small model's steps for several questions are computed together.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from understudy.agents.cast import Players
from understudy.agents.small_model import SmallModel
from understudy.core.machine import cores
from understudy.core.types import Scope
from understudy.retrieval.embed import Remembering
from understudy.retrieval.hybrid import HybridRetriever
from understudy.retrieval.readable import Documents

__all__ = ["SEQUENCES", "Crew", "crew"]

SEQUENCES = 64
"""Of the small model, and so drafts at once, at the most: each has one, which holds what it has read."""
OPEN = 8
"""Documents that are held ready: questions of one stand together, so few are asked at a time."""


class Crew:
    """The players of a job.

    Args:
        players: of the collection; their planner is for several at once, see `crew`.
        documents: as who asks may see them.
    """

    def __init__(self, players: Players, documents: Documents) -> None:
        self.encoder = Remembering(players.retriever.encoder)
        self._retriever = players.retriever.over(documents).embedding(self.encoder)
        self._players = replace(players, reader=players.reader.in_parallel(cores()))
        self._opened: OrderedDict[Scope, HybridRetriever] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def planner(self) -> SmallModel:
        """The small model."""
        return self._players.planner

    def of(self, scope: Scope) -> Players:
        """Those that answer questions of a scope. Raises `NoDocumentsError`, `ScopeError`."""
        return replace(self._players, retriever=self._retriever_of(scope))

    def reading(self, scope: Scope) -> object:
        """The document that is held ready, as it was read; none for a whole collection."""
        return self._retriever_of(scope).reading

    def forget(self) -> None:
        """Drop what was read of documents."""
        with self._lock:
            self._opened.clear()
        self.planner.forget()

    def _retriever_of(self, scope: Scope) -> HybridRetriever:
        if scope.document is None:
            self._retriever.check(scope)
            return self._retriever
        with self._lock:
            held = self._opened.pop(scope, None)
            if held is None or not held.current(scope):  # changed, or erased, while the job runs
                held = self._retriever.opened(scope)
            self._opened[scope] = held
            while len(self._opened) > OPEN:
                self._opened.popitem(last=False)
            return held


@contextmanager
def crew(players: Players, documents: Documents, at_once: int) -> Iterator[Crew]:
    """The players of a job, for so many questions at once."""
    with players.planner.together(at_once) as planner:
        yield Crew(replace(players, planner=planner), documents)
