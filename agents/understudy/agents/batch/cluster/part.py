"""What goes to a worker and what comes back: plain data, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from understudy.core import errors
from understudy.core.adapters import AdapterCard
from understudy.core.data import Data
from understudy.core.settings import SmallModelSettings
from understudy.core.types import Scope

__all__ = ["Asked", "Drafted", "Part", "Question", "raised"]

Question = tuple[str, Scope, str, str, str]
"""Words, scope, principal, thread and job, as the graph is given them."""


class Part(Data):
    """All that a worker needs to know to draft; no key is among it, and no expert."""

    release: str
    """Of this program."""
    workspace: Path
    """Its folder; a worker on another machine may not see it."""
    identity: str
    """Of the workspace, by which servers know what is its own."""
    index: Path | None
    """A copy of the workspace's vectors, where no server has them."""
    documents: str | None
    """URL of the database of documents."""
    documents_env: str | None
    """Name of the variable of the worker's own environment that holds it."""
    chroma: str | None
    """URL of the server of vectors."""
    collection: str
    """The only one that it may read."""
    principal: str
    job: str
    model: Path
    """The GGUF of the small model."""
    name: str
    """Of the small model, with its content hash."""
    settings: SmallModelSettings
    shares: bool
    """Whether it reads a document's passages once for all its questions."""
    card: AdapterCard | None
    """Of the adapter that is worn."""
    adapters: Path
    """The folder that holds its files."""


class Asked(Data):
    """A question of a job, with others of its document."""

    number: int
    thread: str
    question: str
    document: str | None
    wanted: bool = True
    """Whether it is to be drafted; what is remembered stands with the others all the same, as on one machine."""


class Drafted(Data):
    """What a worker made of a question: a state to go on from, or an error."""

    number: int
    seconds: float = 0.0
    state: dict[str, Any] | None = None
    kind: str = ""
    """Of the error: its class in `core.errors`."""
    message: str = ""
    fit: bool = True
    """Whether the worker could have drafted anything at all."""


def raised(drafted: Drafted) -> errors.UnderstudyError:
    """The error that a worker met."""
    kind = getattr(errors, drafted.kind, errors.InternalError)
    error: errors.UnderstudyError = kind.__new__(kind)
    error.args = (drafted.message,)
    return error
