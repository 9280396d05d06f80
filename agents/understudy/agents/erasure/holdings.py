"""What an erasure needs of an agent's stores besides what they do themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from understudy.agents.deferral.budget import Ledger
from understudy.agents.deferral.service import Deferral
from understudy.agents.deferral.signals import Nearest
from understudy.agents.demonstrations import Demonstrations
from understudy.agents.examples import ExampleDatabase
from understudy.agents.records import Records
from understudy.agents.small_model import SmallModel
from understudy.core.provenance import behind, together
from understudy.core.types import Scope
from understudy.graphs.state import thread_key
from understudy.privacy.approvals import ApprovalStore
from understudy.privacy.redaction import Vaults
from understudy.privacy.tools import THREAD
from understudy.retrieval.embed import MiniLM
from understudy.retrieval.hybrid import HybridRetriever
from understudy.retrieval.ranking import body
from understudy.retrieval.store import DocumentStore

__all__ = ["Forgetful", "Library", "Placeholders", "Untied", "traced"]


@dataclass(frozen=True)
class Library:
    """The documents: text, passages, vectors and the index of words."""

    store: DocumentStore
    retriever: HybridRetriever
    encoder: MiniLM
    kind = "passages"

    def found(self, document: Scope) -> list[str]:
        """Its passages."""
        return [str(key) for key in self.store.passages(document.collection, document.document)]

    def forget(self, document: Scope) -> None:
        """Take it out of both databases, and make the index of vectors anew without it."""
        self.store.remove(document.collection, document.document or "")
        self.retriever.forget(document.collection)
        self.store.renew(document.collection, lambda ps: self.encoder.embed_documents([body(p) for p in ps]))


@dataclass(frozen=True)
class Placeholders:
    """Values of documents that were replaced before something left, kept to be put back."""

    vaults: Vaults
    store: DocumentStore
    kind = "placeholders"

    def found(self, document: Scope) -> list[str]:
        """The values that stand in the document, or in its name."""
        held = self.store.document(document.collection, document.document or "")
        words = " ".join([document.document or "", *((held.title, held.text) if held is not None else ())]).casefold()
        return [value for value in self.vaults.values() if value.casefold() in words]

    def forget(self, document: Scope) -> None:
        """Erase them from every thread: what a reply still holds of their placeholders is not put back.

        What tools were told goes whole: nobody knows of which documents, or of which version of one, it was.
        """
        self.vaults.forget(self.found(document))
        self.vaults.empty(document.collection, THREAD)


@dataclass(frozen=True)
class Untied:
    """What is kept of threads outside their own database: when one is erased, it goes first.

    A thread may have asked several collections, and its placeholders are kept by collection.
    """

    ledger: Ledger
    vaults: Vaults
    approvals: ApprovalStore
    collections: Callable[[], Iterable[str]]

    def __call__(self, principal: str, thread: str) -> None:
        """Take a thread of a principal out of the books, and out of what was replaced and asked for in it."""
        key = thread_key(principal, thread)
        for collection in self.collections():
            self.vaults.drop(collection, key)
        self.approvals.forget(key)
        self.ledger.unname(principal, thread)


@dataclass(frozen=True)
class Forgetful:
    """What is held outside the workspace's own databases, and in memory."""

    examples: ExampleDatabase
    demonstrations: Demonstrations
    nearest: Nearest
    model: SmallModel
    deferral: Deferral
    protected: Callable[[Scope], None]
    jobs: Sequence[Callable[[], None]] = ()
    """What those that are running hold."""

    def __call__(self, document: Scope) -> None:
        """Drop it, and derive the threshold from the outcomes that are left."""
        self.examples.scrub()
        self.demonstrations.forget()
        self.nearest.forget()
        self.model.forget()
        for forget in self.jobs:
            forget()
        self.protected(document)
        self.deferral.derive()


def traced(records: Records, examples: ExampleDatabase) -> tuple[Scope, ...]:
    """The documents that answers and examples rest on."""
    return together(*records.traces().values(), *map(behind, examples.examples().values()))
