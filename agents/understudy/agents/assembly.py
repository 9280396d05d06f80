"""The parts of a workspace put together: its stores, models, experts and gates, and what a question may use of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
from langchain_core.tools import BaseTool
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from understudy.agents.access.threads import Threads
from understudy.agents.access.turns import Turns
from understudy.agents.access.views import PermittedCache, PermittedExamples, PermittedOutcomes
from understudy.agents.approving import Approving
from understudy.agents.batch.journal import Journal
from understudy.agents.briefing import build_payload
from understudy.agents.cache.semantic import SemanticCache
from understudy.agents.cast import Cast, CollectionsCast, Players
from understudy.agents.deferral.budget import Ledger
from understudy.agents.deferral.pool import Pool
from understudy.agents.deferral.service import Deferral
from understudy.agents.deferral.signals import Nearest
from understudy.agents.demonstrations import Demonstrations
from understudy.agents.egress import Egress
from understudy.agents.erasure.erasure import Erasure
from understudy.agents.erasure.holdings import Forgetful, Library, Placeholders, Untied, traced
from understudy.agents.erasure.learned import Learned
from understudy.agents.erasure.threads import Conversations
from understudy.agents.erasure.traffic import Traffic
from understudy.agents.examples import open_examples
from understudy.agents.experts import build_experts
from understudy.agents.feedback import Feedback
from understudy.agents.general import general_answers, general_steps
from understudy.agents.learning import Learning
from understudy.agents.loop import Loop
from understudy.agents.records import Records
from understudy.agents.refining import DomainExamples
from understudy.agents.rehearsal import Rehearsal
from understudy.agents.small_model import SmallModel, starter_path
from understudy.agents.tooling import Tooling
from understudy.agents.training import trainer_of
from understudy.core.access import Access, Permit, Principal
from understudy.core.errors import ModelFileError
from understudy.core.protocols import Cancel, Payload
from understudy.core.provenance import UNKNOWN
from understudy.core.settings import OWNER, Settings
from understudy.core.types import Draft, Example, Passage, Scope
from understudy.core.workspace import Workspace
from understudy.distillation.registry import Registry
from understudy.graphs.ask import AskGraph, build_ask_graph
from understudy.graphs.state import Deps, never
from understudy.privacy.audit.files import AuditFiles
from understudy.privacy.audit.log import SqliteAuditLog
from understudy.retrieval.embed import MiniLM
from understudy.retrieval.hybrid import HybridRetriever
from understudy.retrieval.readable import ReadableDocuments
from understudy.retrieval.reader import SpanReader
from understudy.retrieval.store import DocumentStore
from understudy.tools.toolbox import LocalToolBox

__all__ = ["Assembly"]

SETTLED_S = 10.0
"""For a question in progress to note how it ended, before the workspace is closed under it."""


class Assembly:
    """What an agent consists of. Every part stands here once, and is passed on to whoever needs it.

    Args:
        workspace: open, and owned by this process.
        settings: of the workspace.
        principal: who asks, where a call names nobody.
        tools: LangChain tools that the small model may use besides its own.

    Raises:
        WorkspaceError: a file of the workspace can't be used.
        SettingsError: the settings contradict themselves.
        AccessError: they name principals, and not this one.
        MissingExtraError: they want what isn't installed.
        ModelFileError: the small model, or the one that finds names, can't be loaded.
    """

    def __init__(self, workspace: Workspace, settings: Settings, principal: str, tools: Sequence[BaseTool]) -> None:
        self.workspace = workspace
        self.settings = settings
        self.access = Access.of(settings)
        self.principal = self.access.principal(principal)
        self.store = DocumentStore.of(workspace, settings.stores)
        self.encoder = MiniLM(threads=settings.small_model.threads)
        self.retriever = HybridRetriever(workspace, self.store, self.encoder)
        self.reader = SpanReader(threads=settings.small_model.threads)
        self.records = Records(workspace.records)
        self.example_store = open_examples(settings.examples, workspace)
        self.cache = SemanticCache(self.records, self.encoder.embed_query, settings, self.labelled)
        self.ledger = Ledger(workspace.ledger, settings.budget)
        self._loop = Loop()
        self.tooling = Tooling(
            settings.mcp, workspace.root, self._loop, lambda: self.egress.tools, lambda: self.model.profile
        )
        self.toolbox = LocalToolBox(
            self.retriever,
            self.reader,
            self.store.table_passages,
            tools,
            more=self.tooling.offered,
            call=self.tooling.call,
        )
        self.model = SmallModel(
            model_path(settings.small_model.path, workspace.root), lambda: self.toolbox.tools, settings.small_model
        )
        self.demonstrations = self._demonstrations()
        self.audit = SqliteAuditLog(AuditFiles.of(workspace, settings.audit))
        nearest = Nearest(self.encoder.embed_documents, self.example_store.questions)
        self.registry = Registry(workspace.adapters)
        self.cast = Cast(
            self.registry,
            self.model,
            self.reader,
            self.retriever,
            settings.small_model.threads,
            wearable=lambda card: self.access.undivided(card.label, card.grounds),
        )
        self.deferral = Deferral(
            workspace,
            settings.deferral,
            self.model.name,
            CollectionsCast(self.cast, self.place),
            self.labelled,
            [e.name for e in settings.experts],
            nearest,
        )
        outcomes = self.deferral.store
        self.experts = Pool(
            build_experts(settings, workspace.root),
            outcomes.record,
            lambda expert, domain, usable: outcomes.note_call(expert, domain, usable=usable),
            self.domain,
            lambda payload, expert: self.egress.policy.informs(payload.sources, expert),
        )
        self.egress = Egress(workspace, settings, self.store, self.store.sensitivity, self.experts.seen, self.audit)
        self.learning = Learning(
            workspace,
            settings.refine,
            DomainExamples(self.example_store.examples, self.taught_at, self.access.undivided),
            trainer_of(self.retriever, self.model, settings.refine),
            general_steps if self.model.profile.writes else general_answers,
            self.registry,
            self.cast,
            self.model.name,
            Rehearsal(self._deps, self._loop.run).played,
            self.deferral,
        )
        self._checkpoints = self._loop.run(checkpointer(workspace.threads))
        self.owners = Threads(workspace.threads, self._checkpoints)
        self.turns = Turns(workspace.threads)
        self.journal = Journal(workspace.jobs)
        self._graph = build_ask_graph(self._checkpoints)
        self._approving = Approving(
            self.egress.approvals, self._graph, self._going_on, self.owners.open_to, self.audit, self.turns.going_on
        )
        self._feedback = Feedback(
            self.deferral,
            self.example_store,
            self.records,
            self.cache.remember,
            self.access.label,
            self.demonstrations.forget,
        )
        self.forgetting: list[Callable[[], None]] = []
        """What to call where a document is erased, for as long as a job runs."""
        self._held = ExitStack()
        self.traffic = Traffic()
        untied = Untied(self.ledger, self.egress.vaults, self.egress.approvals, self.store.listing)
        self.conversations = Conversations(workspace.threads, untied)
        self.erasure = self._erasure(nearest)

    def _erasure(self, nearest: Nearest) -> Erasure:
        """What takes a document out of every part that may hold something of it, and in which order."""
        return Erasure(
            self.workspace,
            (
                Learned(self.registry, self.cast, self.learning.refinery, self.place),
                self.cache,
                self.deferral.store,
                self.example_store,
                self.conversations,
                self.journal,
                self.records,
                Placeholders(self.egress.vaults, self.store),
                Library(self.store, self.retriever, self.encoder),
            ),
            self.store.entries,
            lambda: traced(self.records, self.example_store),
            Forgetful(
                self.example_store,
                self.demonstrations,
                nearest,
                self.model,
                self.deferral,
                self.egress.forget,
                self.forgetting,
            ),
            self.audit,
        )

    def close(self) -> None:
        """Let go of the workspace, once questions that were stopped have ended."""
        self._loop.settle(SETTLED_S)
        self.owners.close()
        self.turns.close()
        self.journal.close()
        self.tooling.close()
        self._loop.run(self._checkpoints.conn.close())
        self._loop.close()
        self.model.close()
        self.records.close()
        self.example_store.close()
        self.ledger.close()
        self.audit.close()
        self.deferral.close()
        self.egress.close()
        self.store.close()
        self._held.close()

    def documents_of(self, principal: Principal) -> ReadableDocuments:
        """The documents as somebody may see them."""
        return ReadableDocuments(self.store, principal.may_read)

    def _who(self, principal: str | None) -> Principal:
        return self.principal if principal is None else self.access.principal(principal)

    def _demonstrations(self, before: str | None = None) -> Demonstrations:
        """What experts are shown of earlier answers: all, or those of before a moment."""
        later = partial(self.example_store.later, before=before)
        count = self.settings.briefing.demonstrations
        return Demonstrations(self.encoder.embed_documents, later, self.store.entries, count)

    def _brief(
        self,
        permit: Permit,
        demonstrations: Demonstrations,
        question: str,
        scope: Scope,
        passages: Sequence[Passage],
        draft: Draft | None,
        history: Sequence[str],
    ) -> Payload:
        shown = [e for e in demonstrations.nearest(question, scope, permit.principal) if permit.covers(e.grounds)]
        return build_payload(question, scope, passages, draft, history, shown)

    def _going_on(self, principal: str, thread: str, collection: str) -> tuple[AskGraph, Deps]:
        who = self.access.principal(principal)
        return self._in_thread(self.owners.enter(who, thread, collection), thread, collection, never)

    def _in_thread(self, permit: Permit, thread: str, collection: str, cancel: Cancel) -> tuple[AskGraph, Deps]:
        """What a question in a thread is answered by, and what it may use."""
        place = self.place(collection)
        deps = self._deps(self.cast.playing(*place, permit.principal), permit, place[1], cancel)
        return self._graph.copy({"checkpointer": self.owners.saver(permit.principal, thread)}), deps

    def _deps(
        self, players: Players, permit: Permit | None = None, label: str | None = None, cancel: Cancel = never
    ) -> Deps:
        """All that one question may use: the stores as its principal sees them; without a permit, as the owner does."""
        permit = permit or Permit(self.access.principal(OWNER), ())
        documents = self.documents_of(permit.principal)
        retriever = players.retriever.over(documents)
        sources = [ground.collection for ground in permit.grounds] or [UNKNOWN]
        return Deps(
            planner=players.planner,
            tools=self.toolbox.used_by(players.reader, retriever, documents.table_passages, sources),
            retriever=retriever,
            judge=self.deferral.judge(permit.principal),
            guard=self.egress.guard,
            audit=self.audit,
            approvals=self.egress.approvals,
            outcomes=PermittedOutcomes(self.deferral, permit),
            budget=self.ledger,
            experts=self.experts,
            cache=PermittedCache(self.cache, permit),
            examples=PermittedExamples(self.example_store, permit),
            brief=partial(self._brief, permit, self.demonstrations),
            small_model=players.name,
            label=label,
            max_steps=self.settings.small_model.max_steps,
            shown=self.settings.briefing.passages,
            cancel=cancel,
        )

    def promise(self) -> dict[str, Any]:
        """The threshold in force: what it promises, on what grounds, and what is missing."""
        fixed = self.settings.deferral.min_confidence
        if fixed is not None:
            return {"threshold": fixed, "promise": None, "why": "deferral.min_confidence is set"}
        if not len(self.experts):
            return {"threshold": None, "promise": None, "why": "no expert is configured, so there is none to equal"}
        return self.deferral.derivation.model_dump(mode="json", exclude={"calibrator"})

    def labelled(self, collection: str) -> bool:
        """Whether drafts of a collection may be compared now with an expert's answers.

        By the collection's policy, by the budget, and by whether any expert is awake.
        """
        priced = all(e.input_usd_per_mtok or e.output_usd_per_mtok for e in self.settings.experts)
        return self.egress.policy.compares(collection) and self.experts.awake() and self.ledger.open(priced=priced)

    def place(self, collection: str) -> tuple[str, str]:
        """The domain and the access label of a collection: what its adapters go by."""
        return self.domain(collection), self.access.label(collection)

    def taught_at(self, example: Example) -> tuple[str, str]:
        """The domain of an example's collection, and the access label that the collection had at the time.

        Examples of before labels were kept go by the present one.
        """
        domain, label = self.place(example.scope.collection)
        return domain, example.label or label

    def domain(self, collection: str) -> str:
        """What a collection is about."""
        policy = self.settings.collections.get(collection)
        return (policy.domain if policy else None) or collection


async def checkpointer(path: Path) -> AsyncSqliteSaver:
    """The threads' database, bound to the running loop."""
    return AsyncSqliteSaver(await aiosqlite.connect(path))


def model_path(name: str, root: Path) -> Path:
    """The file that `small_model.path` means, seen from the workspace. Raises `ModelFileError`."""
    if name == "starter":
        return starter_path()
    if name.startswith("hf:"):
        raise ModelFileError(f"{name}: downloading models comes with a later version; give the path of a .gguf file")
    return root / Path(name).expanduser()
