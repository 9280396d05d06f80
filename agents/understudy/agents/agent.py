"""The public facade: one object that opens a workspace, ingests documents and answers questions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from langchain_core.tools import BaseTool

from understudy.agents.asked import question_of
from understudy.agents.conversing import Conversing, answer_of
from understudy.agents.erasure.erasure import ErasureReport
from understudy.agents.extracting import Extracting
from understudy.agents.planning import Planning
from understudy.agents.studying import Studying
from understudy.core.access import Principal
from understudy.core.errors import ScopeError, UnderstudyError
from understudy.core.protocols import Cancel
from understudy.core.settings import Settings
from understudy.core.types import Answer, Scope
from understudy.core.workspace import Workspace
from understudy.graphs.run import stream
from understudy.graphs.state import Event, never, thread_key
from understudy.retrieval.ingest import IngestReport, Progress, ingest
from understudy.retrieval.readable import no_documents

__all__ = ["Agent"]


class Agent(Conversing, Studying, Extracting, Planning):
    """Answers questions from the documents of one workspace.

    Use `Agent.open`, as a context manager or with `close`. Synchronous and asynchronous methods may be mixed; all of
    them run on one event loop of the agent's own, so an agent can be shared between threads.

    ```python
    with Agent.open("my-workspace") as agent:
        agent.ingest(["reports/"])
        print(agent.ask("What was revenue in 2024?").text)
    ```
    """

    @classmethod
    def open(
        cls,
        workspace: Path | str,
        *,
        principal: str = "owner",
        settings: Settings | None = None,
        tools: Sequence[BaseTool] = (),
        wait_s: float = 10.0,
    ) -> Self:
        """Open a workspace, creating it if need be, and own it until `close`.

        Args:
            workspace: its folder.
            principal: who asks, where a call names nobody.
            settings: instead of the workspace's `understudy.toml`.
            tools: LangChain tools that the small model may use besides its own.
            wait_s: seconds to wait for another process to let go of the workspace.

        Raises:
            WorkspaceError: it is corrupt, newer than this program, or in use (`WorkspaceBusyError`).
            SettingsError: `understudy.toml` is wrong.
            AccessError: it names principals, and not this one.
            MissingExtraError: the settings want what isn't installed.
            ModelFileError: the small model, or the one that finds names, can't be loaded.
        """
        opened = Workspace.open(workspace)
        with ExitStack() as held:
            held.enter_context(opened.owned(wait_s))
            agent = cls(opened, settings or Settings.load(opened.settings), principal, tools)
            try:
                agent.erasure.resume()
            except UnderstudyError:
                agent.close()
                raise
            agent._held = held.pop_all()
        return agent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ingest(
        self,
        paths: Sequence[Path | str],
        *,
        collection: str = "default",
        sensitivity: str | None = None,
        prune: bool = False,
        on_progress: Progress | None = None,
        principal: str | None = None,
    ) -> IngestReport:
        """Bring a collection up to date with files and folders; see `understudy.retrieval.ingest.ingest`.

        Raises `AccessError` where the principal may not read that collection, or would change its sensitivity.
        """
        who = self._who(principal)
        if not who.may_read(collection):
            who.administers(f"write into collection {collection!r}")
        if sensitivity is not None:
            who.administers("say how sensitive a collection is")
        with self.traffic.shared():
            return ingest(
                self.store,
                self.encoder,
                [Path(p) for p in paths],
                collection=collection,
                sensitivity=sensitivity,
                prune=prune,
                on_progress=on_progress,
            )

    def erase(
        self,
        document: str,
        *,
        collection: str = "default",
        dry_run: bool = False,
        wait_s: float = 60.0,
        principal: str | None = None,
    ) -> ErasureReport:
        """Erase a document with all that rests on it, so that no byte of it remains in the workspace.

        Questions in progress are waited for, but by a dry run; those asked meanwhile wait. An erasure that is killed is
        finished when the workspace is next opened.

        Args:
            document: its id, or the path that it was ingested from.
            collection: whose document.
            dry_run: say what would go, and change nothing.
            wait_s: seconds to wait for work in progress.
            principal: who has it erased, if not the one that the agent was opened for.

        Raises:
            ScopeError: there is no such document.
            AccessError: the principal may not read everything.
            WorkspaceBusyError: work in progress took longer.
            WorkspaceError: a database can't be written; the erasure goes on when the workspace is next opened.
        """
        who = self._who(principal)
        who.administers("erase a document")
        with self.traffic.shared() if dry_run else self.traffic.alone(wait_s):
            named = self.erasure.named(document, collection)
            return self.erasure.looked_at(named) if dry_run else self.erasure.erase(named, who.name)

    def ask(
        self,
        question: str,
        *,
        collection: str = "default",
        document: str | None = None,
        thread: str | None = None,
        job: str | None = None,
        principal: str | None = None,
        cancel: Cancel = never,
    ) -> Answer:
        """Answer a question.

        Args:
            question: in the user's words.
            collection: whose documents.
            document: only this one of them.
            thread: an earlier answer's thread, to follow up on it; a new one otherwise.
            job: what the question belongs to, for the budget per job.
            principal: who asks, if not the one that the agent was opened for.
            cancel: asked between tokens; true stops inference.

        Raises:
            QuestionError: it is empty or longer than the context.
            NoDocumentsError: the collection is empty, or not theirs to read.
            ScopeError: there is no such document, or no such thread of theirs.
            ThreadBusyError: a question is being answered in that thread.
            AccessError: there is no such principal.
            Stopped: `cancel` said so.
        """
        who = self._who(principal)
        return self._loop.run(answer_of(self._events(question, collection, document, thread, job, who, cancel)))

    async def aask(
        self,
        question: str,
        *,
        collection: str = "default",
        document: str | None = None,
        thread: str | None = None,
        job: str | None = None,
        principal: str | None = None,
        cancel: Cancel = never,
    ) -> Answer:
        """`ask`, awaitable from any event loop."""
        events = self._events(question, collection, document, thread, job, self._who(principal), cancel)
        return await self._loop.awaited(answer_of(events))

    async def astream(
        self,
        question: str,
        *,
        collection: str = "default",
        document: str | None = None,
        thread: str | None = None,
        job: str | None = None,
        principal: str | None = None,
        cancel: Cancel = never,
    ) -> AsyncIterator[Event]:
        """`ask`, giving steps and text as they come; the last event holds the answer."""
        who = self._who(principal)
        streamed = self._streamed(
            lambda left: self._events(question, collection, document, thread, job, who, lambda: left() or cancel())
        )
        async with aclosing(streamed) as events:  # who stops listening stops inference at once
            async for event in events:
                yield event

    def status(self, *, principal: str | None = None) -> dict[str, Any]:
        """Model, collections, experts and what has been learned, as plain data: what a principal may read of it."""
        who = self._who(principal)
        return {
            "workspace": str(self.workspace.root),
            "small_model": {"name": self.model.name, "profile": self.model.profile.name},
            "experts": self.experts.listing({} if who.restricted else self.deferral.store.records()),
            "deferral": self.promise(),
            "cache": asdict(self.cache.threshold) if self.settings.cache.semantic else None,
            "spent_this_month": self.ledger.spent(who.name if who.restricted else None).model_dump(),
            "collections": self.documents_of(who).listing(),
            "policy": [r for r in self.egress.policy.listing(self.store.listing()) if who.may_read(r["collection"])],
            "audit": None if who.restricted else self.audit.glance().model_dump(),  # it holds everybody's records
            "ner": None if self.egress.ner is None else str(self.egress.ner.folder),
            "example_store": {"database": self.example_store.name, "workspace": self.example_store.workspace},
            "cached_answers": self.records.count(who),
            "examples": self.example_store.count(who),
            "mcp": self.tooling.listing(),
        }

    def documents(self, collection: str | None = None, *, principal: str | None = None) -> list[dict[str, str]]:
        """Collection, id and version of every document that a principal may read; raises `NoDocumentsError`."""
        seen = self.documents_of(self._who(principal))
        names = sorted(seen.listing())
        if collection is not None and not seen.entries(collection):
            raise no_documents(collection, names)
        chosen = names if collection is None else [collection]
        return [{"collection": c, "id": i, "version": v} for c in chosen for i, v, _ in seen.entries(c)]

    async def _events(
        self,
        question: str,
        collection: str,
        document: str | None,
        thread: str | None,
        job: str | None,
        who: Principal,
        cancel: Cancel,
    ) -> AsyncIterator[Event]:
        asked = question_of(question)
        if thread is not None and not thread.strip():
            raise ScopeError("the thread's name is empty; leave it out for a new thread")
        await self.tooling.ready()
        scope = Scope(collection=collection, document=document)
        async with self.traffic.passing():
            self.retriever.over(self.documents_of(who)).check(scope)
            if thread is None:
                name, permit = await asyncio.to_thread(self.owners.begin, who, collection)
            else:
                name, permit = thread, await asyncio.to_thread(self.owners.enter, who, thread, collection)
            graph, deps = self._in_thread(permit, name, collection, cancel)
            noted = await self.turns.begun(thread_key(who.name, name), asked, scope)
            async with self.turns.following(noted) as shown:
                async for event in stream(graph, deps, asked, scope, who.name, name, job):
                    await shown(event)
                    yield event
