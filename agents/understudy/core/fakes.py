"""Fakes of the protocols, for tests of graphs and of programs built on them. They are part of the public API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from understudy.core.audit import AuditRecord
from understudy.core.egress import Request
from understudy.core.errors import BudgetError, EgressRefused, ExpertError, InternalError, WorkspaceError
from understudy.core.protocols import Account, Cached, CacheKey, Cancel, Expert, Judgement, Near, Outbound, Payload
from understudy.core.steps import Step, Taken, ToolStep
from understudy.core.types import (
    Answer,
    Citation,
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
from understudy.core.usage import NOBODYS, SmallTokens, Spend

__all__ = [
    "FakeApprovals",
    "FakeAuditLog",
    "FakeBudget",
    "FakeCache",
    "FakeExamples",
    "FakeExpert",
    "FakeExperts",
    "FakeGuard",
    "FakeJudge",
    "FakeOutcomes",
    "FakePlanner",
    "FakeRetriever",
    "FakeToolBox",
]


@dataclass
class FakePlanner:
    """Takes scripted steps in order; `history` records what it was asked with."""

    steps: list[Step]
    history: list[list[tuple[str, str]]] = field(default_factory=list)
    finals: list[bool] = field(default_factory=list)

    def open(self, question: str, history: Sequence[tuple[str, str]]) -> list[Message]:
        """One user message."""
        self.history.append(list(history))
        return [Message(role="user", content=question)]

    def next_step(
        self,
        transcript: Sequence[Message],
        evidence: Evidence,
        *,
        final: bool = False,
        on_text: Callable[[str], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Taken:
        """The next scripted step."""
        if not self.steps:
            raise InternalError("the script has no more steps")
        self.finals.append(final)
        step = self.steps.pop(0)
        text = repr(step.arguments) if isinstance(step, ToolStep) else step.model_dump_json()
        if on_text is not None:
            on_text(text)
        return Taken(step, text, SmallTokens(evaluated=10, generated=2), 0.001, -0.1, -0.2, 0.0, 0.0)

    def observe(self, question: str, before: Evidence, observation: Observation) -> Message:
        """The observation's text."""
        return Message(role="user", content=observation.text or f"{len(observation.passages)} passages")


@dataclass
class FakeRetriever:
    """Always finds the same passages; `version` stands for the documents' versions."""

    found: list[Passage] = field(default_factory=list)
    version: str = "1"

    def search(self, query: str, scope: Scope, *, limit: int = 5) -> list[Passage]:
        """The passages."""
        return self.found[:limit]

    def expect(self, question: str, scope: Scope) -> float | None:
        """Nothing was learned."""
        return None

    def versions(self, scope: Scope) -> str:
        """The version."""
        return self.version

    def unchanged(self, scope: Scope, read: Mapping[str, str]) -> bool:
        """Whether the passages still have these versions."""
        held = {p.document: p.version for p in self.found}
        return all(held.get(document) == version for document, version in read.items())


@dataclass
class FakeToolBox:
    """Gives one observation for every tool, and counts calls."""

    observation: Observation
    calls: list[tuple[str, dict[str, object]]] = field(default_factory=list)

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
        """The observation."""
        self.calls.append((name, arguments))
        return self.observation


@dataclass
class FakeJudge:
    """Always decides the same."""

    accept: bool = True
    confidence: float | None = None
    audit: bool = False
    audit_probability: float = 0.25
    blind: bool = False

    def judge(
        self, question: str, scope: Scope, draft: Draft, evidence: Evidence, signals: Mapping[str, float]
    ) -> Judgement:
        """The decision; a draft with problems has no confidence."""
        usual = 0.8 if self.accept else 0.2
        confidence = 0.0 if draft.problems else usual if self.confidence is None else self.confidence
        accept = self.accept and not draft.problems
        probability = self.audit_probability if accept else 1.0
        audit = accept and self.audit
        return Judgement(accept, confidence, "scripted", dict(signals), probability, audit, audit or self.blind)


@dataclass
class FakeOutcomes:
    """Outcomes in memory."""

    held: list[Outcome] = field(default_factory=list)

    def note(self, outcome: Outcome) -> None:
        """Store."""
        self.held.append(outcome)


@dataclass
class FakeGuard:
    """Lets everything out, or nothing."""

    refuses: bool = False
    passed: list[Payload] = field(default_factory=list)
    asks: bool = False
    forbidden: str | None = None
    """A word that gives way to stars."""

    def check(self, payload: Payload, expert: str, thread: str, edited: str | None = None) -> Outbound:
        """The payload, or what was written in its place. Raises `EgressRefused`."""
        if self.refuses:
            raise EgressRefused("scripted refusal")
        text = payload.user if edited is None else edited
        if self.forbidden is not None:
            text = text.replace(self.forbidden, "***")
        self.passed.append(payload)
        return Outbound(replace(payload, user=text), expert, "all", thread, self.asks, edited is not None)

    def sending(self, sent: Outbound) -> AbstractContextManager[None]:
        """Nothing is watched."""
        return nullcontext()

    def restore(self, answer: ExpertAnswer, sent: Outbound) -> ExpertAnswer:
        """The answer."""
        return answer


@dataclass
class FakeAuditLog:
    """Records in memory; `full` stands for a disk that takes no more."""

    held: list[AuditRecord] = field(default_factory=list)
    full: bool = False

    def append(self, record: AuditRecord) -> int:
        """Store, and give the number."""
        if self.full:
            raise WorkspaceError("the audit log can't be written")
        self.held.append(record)
        return len(self.held)


@dataclass
class FakeApprovals:
    """Requests in memory."""

    waiting: dict[str, Request] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)

    def ask(self, request: Request, principal: str, thread: str) -> None:
        """Remember."""
        self.waiting[request.id] = request

    def use(self, id: str) -> bool:
        """Once."""
        self.waiting.pop(id, None)
        fresh = id not in self.used
        self.used.append(id)
        return fresh

    def close(self, id: str) -> None:
        """Forget."""
        self.waiting.pop(id, None)


@dataclass
class FakeBudget:
    """Books in memory, with one limit in dollars."""

    limit_usd: float = 1e9
    booked: dict[str, Spend] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)

    def reserve(self, account: Account, expert: str, worst: Spend) -> str:
        """Set aside, or refuse."""
        if sum(spend.usd for spend in self.booked.values()) + worst.usd > self.limit_usd:
            raise BudgetError("the budget allows no expert")
        name = f"{len(self.booked)} {account.principal} {expert}"
        self.booked[name] = worst
        return name

    def settle(self, reservation: str, actual: Spend) -> None:
        """Replace."""
        self.booked[reservation] = actual
        self.settled.add(reservation)


@dataclass
class FakeExpert:
    """Answers with a text, or raises an error."""

    reply: str | Exception = "expert says"
    name: str = "fake"
    recorded: bool = False
    seen: bool = True
    citations: tuple[Citation, ...] = ()
    asked: list[Payload] = field(default_factory=list)

    def host(self) -> str:
        """Nowhere."""
        return "fake.invalid"

    def worst(self, payload: Payload) -> Spend:
        """Twice what it takes."""
        return Spend(usd=0.02, calls=1, tokens=100)

    async def ask(self, payload: Payload) -> ExpertAnswer:
        """The reply."""
        self.asked.append(payload)
        if isinstance(self.reply, Exception):
            raise self.reply
        return ExpertAnswer(text=self.reply, citations=self.citations, expert=self.name, cost_usd=0.01)


@dataclass
class FakeExperts:
    """Some experts, in the order given; `noted` records what came of asking."""

    held: Sequence[Expert] = ()
    noted: list[tuple[str, bool]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.held)

    def ranked(self, payload: Payload) -> Iterable[Expert]:
        """All of them."""
        return self.held

    def note(self, expert: str, scope: Scope, answer: ExpertAnswer | None, error: ExpertError | None) -> None:
        """Remember whether it answered."""
        self.noted.append((expert, answer is not None))


@dataclass
class FakeCache:
    """An answer cache in memory; `alike` is near every question, and `noted` records what came of it."""

    held: dict[CacheKey, Cached] = field(default_factory=dict)
    alike: list[Near] = field(default_factory=list)
    noted: list[tuple[float, Answer | None]] = field(default_factory=list)

    def recall(self, key: CacheKey) -> Cached | None:
        """The answer under a key."""
        return self.held.get(key)

    def remember(self, key: CacheKey, cached: Cached) -> None:
        """Store."""
        self.held[key] = cached

    def near(self, key: CacheKey) -> Sequence[Near]:
        """All that is alike."""
        return self.alike

    def note(self, key: CacheKey, near: Near, answer: Answer | None) -> None:
        """Remember the similarity, and the answer it was compared with."""
        self.noted.append((near.similarity, answer))


@dataclass
class FakeExamples:
    """An example store in memory."""

    held: list[Example] = field(default_factory=list)

    def add(self, example: Example) -> str:
        """Store."""
        self.held.append(example)
        return str(len(self.held))
