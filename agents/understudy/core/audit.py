"""What the audit log is told of everything that leaves, and the log as the graph sees it.

Records hold ids, names of the owner's making, hashes, counts and sums: never a question's words, a document's text, a
replaced value or an expert's reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

from pydantic import Field

from understudy.core.data import Data
from understudy.core.errors import Rule
from understudy.core.types import Scope
from understudy.core.usage import ExpertTokens, Spend

__all__ = [
    "Approval",
    "AuditLog",
    "AuditRecord",
    "Egress",
    "Erasure",
    "Interruption",
    "Refusal",
    "Result",
]


class Party(Data):
    """Who asks whom, about what."""

    principal: str
    thread: str
    question: str
    """An id of its own, not the words."""
    job: str | None = None
    receiver: Literal["expert", "tool"] = "expert"
    expert: str
    """Its name, or the tool's."""
    collection: str
    """That was asked."""
    collections: tuple[str, ...] = ()
    """All that it draws on: that which was asked, and what its thread and the earlier answers in it rest on."""
    policy: str = ""
    """In force when it was decided, as the guard puts it."""


class Egress(Party):
    """Something is about to leave; written before it does."""

    kind: Literal["egress"] = "egress"
    host: str
    """Where to; of a tool it isn't known."""
    sha256: str
    """Of the payload's messages, see `Payload.content`; of a tool's arguments, see `privacy.tools`."""
    bytes: int
    """Size of the same."""
    replaced: Mapping[str, int] = {}
    """Spans that placeholders stand for, by type."""
    documents: tuple[Scope, ...] = ()
    """All that it rests on: see `core.provenance`. The log writes keyed hashes of them."""
    quoted: tuple[Scope, ...] = ()
    """Those of them whose passages stand in it as the program put them there; hashed likewise."""
    edited: bool = False
    """Whether a person wrote the message: what of the documents stands in it then, nobody but they know."""
    worst: Spend | None = None
    """What it may cost at most; `None` where nobody knows, as of a tool."""


class Result(Data):
    """What came of an egress. One without a result was cut short: the process was killed, or the question cancelled."""

    kind: Literal["result"] = "result"
    of: int
    """The egress, by its number in the log."""
    expert: str
    thread: str
    status: Literal["answered", "failed", "not sent"]
    error: str | None = None
    """The kind of error; its message may hold words of the reply."""
    spent: Spend | None = None
    """What it cost; `None` where nobody knows."""
    tokens: ExpertTokens = ExpertTokens()
    attempts: int = 1
    """How often it was sent, or may have been: one that is unavailable is tried again."""


class Refusal(Party):
    """The guard let nothing out."""

    kind: Literal["refusal"] = "refusal"
    rule: Rule
    """Which rule forbade it."""
    sha256: str
    """Of the payload's messages before the guard changed any."""
    bytes: int


class Approval(Data):
    """A person decided about a payload."""

    kind: Literal["approval"] = "approval"
    decision: Literal["approved", "edited", "refused"]
    by: str
    """The principal who decided."""
    principal: str
    """Whose question it is."""
    thread: str
    expert: str
    collection: str
    sha256: str
    """Of the payload that was shown."""
    edited_sha256: str | None = None
    """Of what the person made of it."""


class Erasure(Data):
    """A document was taken out, with all that rests on it."""

    kind: Literal["erasure"] = "erasure"
    by: str
    collection: str
    document: str
    """Its id. The log writes a keyed hash of it."""
    gone: Mapping[str, int]
    """How much of what went: passages, cached answers, examples and so on."""


class Interruption(Data):
    """The log's own note that its last write had been cut short, by a kill or a power cut."""

    kind: Literal["interruption"] = "interruption"
    announced: str
    """The code of the record that was being written."""
    stored: bool
    """Whether that record had got into the log."""


AuditRecord = Annotated[
    Egress | Result | Refusal | Approval | Erasure | Interruption,
    Field(discriminator="kind"),
]


class AuditLog(Protocol):
    """Keeps what left, what was refused, and what was decided. It only grows."""

    def append(self, record: AuditRecord) -> int:
        """Write a record to the disk, and give its number. Raises `WorkspaceError`; then nothing may leave."""
        ...
