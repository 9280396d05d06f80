"""The part of the facade that fills a schema from documents, in memory; jobs do the same by `begin_job`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, repeat
from typing import TypeVar

from pydantic import BaseModel

from understudy.agents.batch.asking import error_line
from understudy.agents.batching import Batching
from understudy.agents.extraction.records import Extraction, Record
from understudy.agents.extraction.schema import queries_of
from understudy.core.errors import UnderstudyError
from understudy.core.jobs import Query, Result
from understudy.core.protocols import Cancel
from understudy.core.types import Answer
from understudy.graphs.state import never
from understudy.retrieval.readable import no_documents

__all__ = ["Extracting"]

M = TypeVar("M", bound=BaseModel)


class Extracting(Batching):
    """Typed records of the documents of one workspace."""

    def extract(
        self,
        schema: type[M],
        documents: Sequence[str] | None = None,
        *,
        collection: str = "default",
        job: str | None = None,
        budget_usd: float | None = None,
        at_once: int | None = None,
        principal: str | None = None,
        cancel: Cancel = never,
    ) -> list[Record[M]]:
        """Fill a schema from every document: one record a document, each value with what it rests on.

        Args:
            schema: a pydantic model; every field's description is a question that is asked of every document.
            documents: their ids; by default all of the collection's, in its order.
            collection: whose documents.
            job: what the questions belong to in the books; by default to this call alone.
            budget_usd: what experts may cost; by default as the settings say.
            at_once: questions in progress at once.
            principal: who asks, if not the one that the agent was opened for.
            cancel: asked between tokens; true stops it.

        Raises:
            UserError: a field asks nothing, or holds what can't be extracted.
            NoDocumentsError: the collection is empty, or not theirs to read.
            AccessError: there is no such principal.
            WorkspaceError: a database can't be written.
            Stopped: `cancel` said so.
        """
        return self._loop.run(
            self.aextract(
                schema, documents, collection=collection, job=job, budget_usd=budget_usd, at_once=at_once,
                principal=principal, cancel=cancel,
            )
        )  # fmt: skip

    async def aextract(
        self,
        schema: type[M],
        documents: Sequence[str] | None = None,
        *,
        collection: str = "default",
        job: str | None = None,
        budget_usd: float | None = None,
        at_once: int | None = None,
        principal: str | None = None,
        cancel: Cancel = never,
    ) -> list[Record[M]]:
        """`extract`, awaitable from any event loop."""
        extraction = Extraction(schema)
        if documents is None:
            documents = [name for name, *_ in self.documents_of(self._who(principal)).entries(collection)]
            if not documents:
                raise no_documents(collection, sorted(self.documents_of(self._who(principal)).listing()))
        queries = queries_of(extraction.fields, list(dict.fromkeys(documents)))
        outcomes = await self.abatch(
            queries, collection=collection, job=job, budget_usd=budget_usd, at_once=at_once, principal=principal,
            cancel=cancel, return_exceptions=True,
        )  # fmt: skip
        return list(extraction.records(map(result_of, count(), queries, outcomes, repeat(collection))))


def result_of(number: int, query: Query, outcome: Answer | UnderstudyError, collection: str) -> Result:
    """A question of a batch as one of a job. Raises the error anew where it ends the whole batch."""
    if isinstance(outcome, Answer):
        return Result(number=number, query=query, answer=outcome)
    return Result(number=number, query=query, error=error_line(outcome, query, collection))
