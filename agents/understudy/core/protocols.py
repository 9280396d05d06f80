"""The seams: what the graph needs from models, stores and clients, and nothing more.

`understudy.graphs` knows these and no implementation; `understudy.agents` implements or assembles them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from understudy.core.access import Ground
from understudy.core.egress import Guard, Outbound, Payload
from understudy.core.errors import ExpertError
from understudy.core.steps import Taken
from understudy.core.types import (
    Answer,
    Draft,
    Evidence,
    Example,
    ExpertAnswer,
    Message,
    Observation,
    Outcome,
    Passage,
    Scope,
)
from understudy.core.usage import NOBODYS, Account, Spend

__all__ = [
    "Account",
    "AnswerCache",
    "Basis",
    "Budget",
    "CacheKey",
    "Cached",
    "Cancel",
    "ExampleStore",
    "Expert",
    "Experts",
    "Guard",
    "Judge",
    "Judgement",
    "Near",
    "Outbound",
    "Outcomes",
    "Payload",
    "Planner",
    "Reader",
    "Retriever",
    "ToolBox",
    "folded",
]

Cancel = Callable[[], bool]
"""Asked between tokens; true stops inference."""


class Planner(Protocol):
    """Decides the next step of a transcript."""

    def open(self, question: str, history: Sequence[tuple[str, str]]) -> list[Message]:
        """The transcript's first messages, from the question and the thread's earlier (question, answer) pairs."""
        ...

    def next_step(
        self,
        transcript: Sequence[Message],
        evidence: Evidence,
        *,
        final: bool = False,
        on_text: Callable[[str], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Taken:
        """One step under the grammar; `final` offers no tool. Raises `Stopped`, `QuestionError`."""
        ...

    def observe(self, question: str, before: Evidence, observation: Observation) -> Message:
        """The message that shows a tool's result, its new passages and findings numbered on from `before`."""
        ...


class Retriever(Protocol):
    """Finds passages."""

    def search(self, query: str, scope: Scope, *, limit: int = 5) -> list[Passage]:
        """The best passages first, scores between 0 and 1. Raises `NoDocumentsError`, `ScopeError`."""
        ...

    def expect(self, question: str, scope: Scope) -> float | None:
        """The probability that the documents in scope answer a question; `None` where nothing was learned of it."""
        ...

    def versions(self, scope: Scope) -> str:
        """A digest of the ids and versions of the documents in scope: it changes when any of them does."""
        ...

    def unchanged(self, scope: Scope, read: Mapping[str, str]) -> bool:
        """Whether some documents (version by id) are in scope still, in these versions."""
        ...


class Reader(Protocol):
    """Finds spans that may answer a question."""

    @property
    def breadth(self) -> int:
        """How many passages it is to be given."""
        ...

    def read(self, question: str, passages: Sequence[Passage], expected: float | None = None) -> Observation:
        """Findings (best first, `passage` counts into `passages`) and the probability that these passages answer.

        `expected` is what was thought of that before they were read.
        """
        ...


class ToolBox(Protocol):
    """The tools on offer to one question."""

    def run(
        self,
        name: str,
        arguments: dict[str, object],
        question: str,
        scope: Scope,
        evidence: Evidence,
        account: Account = NOBODYS,
        rests_on: Sequence[Scope] = (),
    ) -> Observation:
        """Run a tool. A failure is an observation with `error` set, never an exception of the tool's.

        `account` and `rests_on`, all documents behind the question so far, are what a call that leaves is noted with.
        """
        ...


@dataclass(frozen=True)
class Judgement:
    """What to do with a draft."""

    accept: bool
    confidence: float
    """Probability that the draft is as good as an expert's answer."""
    reason: str
    signals: Mapping[str, float] = field(default_factory=dict)
    """All that the decision was made by."""
    probability: float = 1.0
    """With which the draft was to be compared with an expert's answer: 1 where it is deferred."""
    audit: bool = False
    """Whether an accepted draft was drawn to be compared."""
    blind: bool = False
    """Whether an expert is not to see the draft, because its answer tests it."""


class Judge(Protocol):
    """Turns signals into a decision."""

    def judge(
        self, question: str, scope: Scope, draft: Draft, evidence: Evidence, signals: Mapping[str, float]
    ) -> Judgement:
        """Accept or defer; a draft with problems is never accepted."""
        ...


class Outcomes(Protocol):
    """Keeps what became of questions."""

    def note(self, outcome: Outcome) -> None:
        """Store what it teaches: signals, and the loss where an expert answered. Raises `WorkspaceError`."""
        ...


class Expert(Protocol):
    """A large model behind one method."""

    @property
    def name(self) -> str:
        """As `understudy.toml` names it."""
        ...

    @property
    def recorded(self) -> bool:
        """Whether its answers are replayed from a file."""
        ...

    def host(self) -> str:
        """Where a payload goes, for the audit log. Raises `ExpertError`, `SettingsError`."""
        ...

    @property
    def seen(self) -> bool:
        """Whether the bytes of all that it sends are checked. Raises `ExpertError`, `SettingsError`."""
        ...

    def worst(self, payload: Payload) -> Spend:
        """The most that asking can cost, retries included."""
        ...

    async def ask(self, payload: Payload) -> ExpertAnswer:
        """A structured answer with citations. Raises `ExpertError`."""
        ...


class Experts(Protocol):
    """The experts on offer."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def ranked(self, payload: Payload) -> Iterable[Expert]:
        """Those that may be asked now, in the order to ask them: the cheapest expected to do goes first."""
        ...

    def note(self, expert: str, scope: Scope, answer: ExpertAnswer | None, error: ExpertError | None) -> None:
        """What came of asking one: an answer, how it failed, or neither if it was not asked after all."""
        ...


class Budget(Protocol):
    """What experts may cost."""

    def reserve(self, account: Account, expert: str, worst: Spend) -> str:
        """Set the worst case of a call aside, and give the reservation's id. Raises `BudgetError`."""
        ...

    def settle(self, reservation: str, actual: Spend) -> None:
        """Replace a reservation by what the call did cost; one never settled stays spent."""
        ...


@dataclass(frozen=True)
class CacheKey:
    """What must be the same for a cached answer to be given again."""

    question: str
    scope: Scope
    principal: str
    history: tuple[str, ...] = ()
    asked_of: tuple[str, ...] = ()
    """The collection that each question of `history` was asked of."""


@dataclass(frozen=True)
class Basis:
    """What a cached answer rests on: it is given again for as long as this holds."""

    cited: Mapping[str, str]
    """The documents that it quotes, with their versions: no other document's change matters to it."""
    versions: str
    """Digest of all documents in scope. An answer that quotes nothing rests on all that was there to find."""
    rests_on: tuple[Scope, ...] = ()
    """All documents behind it, quoted or not: see `core.provenance`."""


@dataclass(frozen=True)
class Cached:
    """A remembered answer."""

    answer: Answer
    basis: Basis
    grounds: tuple[Ground, ...] = ()
    """What it rests on as to access; the store notes it."""
    created: str = field(default="", compare=False)
    """When, in UTC; the store notes it."""


@dataclass(frozen=True)
class Near:
    """A remembered answer to a question that may ask the same in other words."""

    cached: Cached
    similarity: float
    """Cosine of the two questions."""
    hit: bool
    """Whether they are alike enough for the answer to be given again."""
    audit: bool = False
    """Whether it was drawn to be compared with an expert's answer all the same."""
    probability: float = 1.0
    """With which it was drawn."""


def folded(question: str) -> str:
    """A question up to case and white space: what questions are compared by."""
    return " ".join(question.split()).casefold()


class AnswerCache(Protocol):
    """Remembers expert answers."""

    def recall(self, key: CacheKey) -> Cached | None:
        """What is stored under exactly this key (questions compared up to case and white space), stale or not."""
        ...

    def remember(self, key: CacheKey, cached: Cached) -> None:
        """Store or replace."""
        ...

    def near(self, key: CacheKey) -> Sequence[Near]:
        """Answers under the same scope, principal and history to what may be the same question, nearest first."""
        ...

    def note(self, key: CacheKey, near: Near, answer: Answer | None) -> None:
        """What came of one: an expert's answer to compare with; none where it was given. Raises `WorkspaceError`."""
        ...


class ExampleStore(Protocol):
    """Keeps distillation records."""

    def add(self, example: Example) -> str:
        """Store one, and give its id."""
        ...
