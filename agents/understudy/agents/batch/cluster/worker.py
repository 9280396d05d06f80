"""A worker: one process with the small model, the reader and read access to documents. It drafts, and nothing else."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from pydantic import SecretStr

from understudy.agents.asked import question_of
from understudy.agents.batch.cluster.part import Asked, Drafted, Part, Question
from understudy.agents.batch.crew import crew
from understudy.agents.batch.journal import Pending
from understudy.agents.batch.prefix import Prefixes
from understudy.agents.cast import Cast, Players
from understudy.agents.loop import Loop
from understudy.agents.small_model import SmallModel
from understudy.core.cluster_settings import StoresSettings
from understudy.core.errors import InternalError, ModelFileError, UnderstudyError, WorkspaceError
from understudy.core.jobs import Query
from understudy.core.types import Scope
from understudy.distillation.registry import Registry
from understudy.graphs.apart import build_play_graph, played
from understudy.graphs.state import AskState, Deps
from understudy.retrieval.embed import MiniLM
from understudy.retrieval.hybrid import HybridRetriever
from understudy.retrieval.readable import ReadableDocuments
from understudy.retrieval.reader import SpanReader
from understudy.retrieval.store import DocumentStore
from understudy.retrieval.stores import CopiedIndex, Index, ServedIndex, rows_of
from understudy.tools.toolbox import LocalToolBox

__all__ = ["Worker", "release"]


def release() -> str:
    """Of this program, where it is installed."""
    try:
        return version("understudy")
    except PackageNotFoundError:
        return ""


class Worker:
    """What Ray Data keeps a pool of. A worker that can't draft says why with every question that it is given.

    Args:
        part: a `Part`, as JSON.
    """

    def __init__(self, part: str) -> None:
        self._unfit: UnderstudyError | None = None
        try:
            self._drafter = Drafter(Part.model_validate_json(part))
        except UnderstudyError as error:
            self._unfit = error

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[str]]]:
        """Draft some questions, each `Asked` as JSON; gives a `Drafted` each."""
        for text in batch["asked"]:
            group = [Asked.model_validate(asked) for asked in json.loads(text)]
            if self._unfit is None:
                self._drafter.begin(group)
            for asked in (asked for asked in group if asked.wanted):
                yield {"drafted": [self._drafted(asked).model_dump_json()]}

    def _drafted(self, asked: Asked) -> Drafted:
        began = time.monotonic()
        try:
            if self._unfit is not None:
                raise self._unfit
            state = self._drafter.draft(asked)
        except UnderstudyError as error:
            message = str(error) if self._unfit is None else f"a worker on {socket.gethostname()} can't work: {error}"
            return Drafted(number=asked.number, kind=type(error).__name__, message=message, fit=self._unfit is None)
        return Drafted(number=asked.number, seconds=time.monotonic() - began, state=dict(state))


class Drafter:
    """The players of a collection, and how they play.

    Raises:
        ModelFileError: the small model isn't there, or another one.
        WorkspaceError: documents can't be reached from here.
        AdapterError: the adapter can't be worn.
    """

    def __init__(self, part: Part) -> None:
        if part.release != release():
            raise WorkspaceError(f"it has version {release() or 'unknown'} of this program, not {part.release}")
        self._part, threads = part, part.settings.threads
        documents = ReadableDocuments(store_of(part), lambda collection: collection == part.collection)
        retriever = HybridRetriever(None, documents, MiniLM(threads=threads))
        reader = SpanReader(threads=threads)
        self._tables = documents.table_passages
        self._toolbox = LocalToolBox(retriever, reader, self._tables)
        model = SmallModel(part.model, lambda: self._toolbox.tools, part.settings)
        if model.name != part.name:
            raise ModelFileError(f"{part.model} is {model.name} there, and not {part.name}; copy the same file there")
        players = Players(model, reader, retriever, model.name)
        if part.card is not None:
            players = Cast(Registry(part.adapters), model, reader, retriever, threads).dressed(part.card)
        self._held = ExitStack()  # for the life of the process
        self._crew = self._held.enter_context(crew(players, documents, 1))
        self._graph, self._loop = build_play_graph(), Loop()
        self._prefixes = Prefixes(self._crew.planner, part.collection)
        self._rows: dict[int, Pending] = {}

    def begin(self, group: Sequence[Asked]) -> None:
        """Know the questions of a document, which share what is read for them."""
        rows = [pending_of(asked) for asked in group]
        self._prefixes = Prefixes(self._crew.planner, self._part.collection)
        self._rows = {row.number: row for row in self._prefixes.announced(rows)}

    def draft(self, asked: Asked) -> AskState:
        """What the small model makes of a question. Raises `ScopeError`, `QuestionError`, `WorkspaceError`."""
        part, scope = self._part, Scope(collection=self._part.collection, document=asked.document)
        deps = self._deps(self._crew.of(scope))
        question = (question_of(asked.question), scope, part.principal, asked.thread, part.job)
        return self._loop.run(self._played(asked, deps, question))

    async def _played(self, asked: Asked, deps: Deps, question: Question) -> AskState:
        opening = await self._prefixes.opening(self._rows[asked.number], deps.tools, self._crew.reading(question[1]))
        return await played(self._graph, deps, *question, opening)

    def _deps(self, players: Players) -> Deps:
        tools = self._toolbox.used_by(players.reader, players.retriever, self._tables, [self._part.collection])
        return Deps(
            planner=players.planner,
            tools=tools,
            retriever=players.retriever,
            small_model=players.name,
            max_steps=self._part.settings.max_steps,
            **dict.fromkeys(ELSEWHERE, NotHere()),  # type: ignore[arg-type]
        )


ELSEWHERE = ("judge", "guard", "audit", "approvals", "budget", "experts", "outcomes", "cache", "examples", "brief")
"""What of `Deps` no worker has."""


class NotHere:
    """What stays in the process that runs the job."""

    def __getattr__(self, name: str) -> NoReturn:
        raise InternalError(f"a worker was asked for {name!r}, which stays where the job is run")


def pending_of(asked: Asked) -> Pending:
    """A question as a row of a job."""
    return Pending(asked.number, "", "", Query(question=asked.question, document=asked.document))


def store_of(part: Part) -> DocumentStore:
    """The documents, to read. Raises `WorkspaceError`, `SettingsError`, `MissingExtraError`."""
    url = None if part.documents is None else SecretStr(part.documents)
    settings = StoresSettings(documents=url, documents_env=part.documents_env)
    path = part.workspace / "documents.sqlite"
    local = part.documents is None and part.documents_env is None
    for needed in [path] * local + [part.index] * (part.index is not None):
        if needed is not None and not os.access(needed, os.R_OK):
            raise WorkspaceError(f"{needed} can't be read there; set [stores], so that documents are served")
    index: Index = CopiedIndex(part.index) if part.index is not None else ServedIndex(part.chroma or "", part.identity)
    return DocumentStore(rows_of(settings, part.identity, path, reads=True), index)
