"""The words of the project as plain, serialisable data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from understudy.core.access import Ground
from understudy.core.data import Data
from understudy.core.usage import ExpertTokens, Spend, Tokens

__all__ = [
    "Answer",
    "Citation",
    "Document",
    "Draft",
    "Evidence",
    "Example",
    "ExpertAnswer",
    "Finding",
    "Mark",
    "Message",
    "Observation",
    "Outcome",
    "Passage",
    "Route",
    "Scope",
    "Status",
    "StepRecord",
]

Route = Literal["local", "cache", "expert", "declined"]
Status = Literal["done", "waiting", "interrupted"]


class Scope(Data):
    """What a question is asked of: a collection, or one document of it."""

    collection: str = "default"
    document: str | None = None


class Mark(Data):
    """From this code point on, until the next mark, the text is at this place."""

    start: int
    location: str
    """As people say it: "page 12", "Returns > Deadlines", "sheet Prices"."""


class Document(Data):
    """One ingested source. Offsets everywhere are code points into `text`."""

    id: str
    title: str
    text: str
    version: str
    """SHA-256 of the source's bytes: another version is another document to every cache."""
    marks: tuple[Mark, ...] = ()


class Passage(Data):
    """A retrieved piece of a document: `text == document.text[start:end]`."""

    document: str
    title: str
    version: str
    location: str
    start: int
    end: int
    text: str
    context: str = ""
    """What a reader must know besides: the headings above, and for table rows the header row. Never quoted."""
    table: bool = False
    score: float = 0.0
    """Relevance to the query that found it, 0 to 1."""
    dense_rank: int | None = None
    lexical_rank: int | None = None


class Finding(Data):
    """A short value that a step can point at: a reader's span, a table cell, a calculated number."""

    text: str
    score: float
    origin: Literal["reader", "table", "calculator", "tool"]
    passage: int | None = None
    """Index of its passage in the transcript's evidence."""
    start: int | None = None
    end: int | None = None
    """Where the value stands in the document, if it does."""
    quote_start: int | None = None
    quote_end: int | None = None
    """The wider span that supports it: its sentence, or its table row."""
    inputs: tuple[int, ...] = ()
    """Indices of the findings it was computed from."""


class Evidence(Data):
    """All that a question's tools have brought so far, in the order the transcript shows it (numbered from 1 there)."""

    passages: tuple[Passage, ...] = ()
    findings: tuple[Finding, ...] = ()
    searches: tuple[str, ...] = ()
    answerable: float | None = None
    """The reader's probability that the passages of the latest search answer the question."""
    expected: float | None = None
    """The probability that there is an answer at all, by what experts said of the same question elsewhere."""

    def extended(self, observation: Observation, query: str | None = None) -> Evidence:
        """The evidence with an observation added: passages and findings are numbered on from those before."""
        shift = len(self.passages) if observation.passages else 0
        moved = tuple(
            f if f.passage is None else f.model_copy(update={"passage": f.passage + shift})
            for f in observation.findings
        )
        return Evidence(
            passages=self.passages + observation.passages,
            findings=self.findings + moved,
            searches=self.searches + ((query,) if query else ()),
            answerable=observation.answerable if observation.answerable is not None else self.answerable,
            expected=observation.expected if observation.expected is not None else self.expected,
        )


class Observation(Data):
    """What a tool brought: passages and findings for the evidence, and text for what is neither.

    `passage` indices inside `findings` count from the first passage of this observation when there are any,
    and otherwise refer to the evidence the tool was given; `inputs` always refer to the evidence.
    """

    text: str = ""
    passages: tuple[Passage, ...] = ()
    findings: tuple[Finding, ...] = ()
    answerable: float | None = None
    expected: float | None = None
    error: bool = False


class Message(Data):
    """One turn of a transcript; its content is data and never holds control tokens."""

    role: Literal["system", "user", "assistant"]
    content: str


class Citation(Data):
    """A passage plus the quoted span that supports a claim: `document.text[start:end] == quote`.

    An answer that something is *not* there cites what was searched: `kind` is "absence", and the span is empty.
    """

    kind: Literal["quote", "absence"] = "quote"
    document: str
    title: str
    location: str
    start: int
    end: int
    quote: str
    score: float


class StepRecord(BaseModel):
    """One step as it is shown and stored: its kind, its arguments, and what came of it."""

    model_config = ConfigDict(frozen=True, extra="allow")
    kind: str


class Draft(Data):
    """What the small model would answer, before anyone judges it."""

    text: str
    citations: tuple[Citation, ...]
    mean_logprob: float
    min_logprob: float
    removed_mass: float
    """Share of probability that the grammar took away, averaged over sampled tokens."""
    support: float = 1.0
    """Least score of the findings that were pointed at (the reader's probability of a span, how well a cell's labels
    match what was asked); 1 where none was."""
    problems: tuple[str, ...] = ()
    """What verification found: a number that stands in no quote and no result, a quote not in its passage."""


class ExpertAnswer(Data):
    """An expert's answer, checked as far as the evidence allows."""

    text: str
    citations: tuple[Citation, ...] = ()
    not_in_documents: bool = False
    """The expert's own word that the passages don't hold the answer."""
    expert: str
    tokens: ExpertTokens = ExpertTokens()
    cost_usd: float = 0.0
    latency_s: float = 0.0
    may_train: bool = True
    """Whether its terms of use allow training on it."""
    unseen: bool = False
    """Whether it was given the question alone, and saw nothing of the documents."""
    lost: Spend = Spend()
    """The worst case of attempts before it that may be billed too: nobody knows after a time-out."""
    attempts: int = 1
    """How often the payload was sent for it, or may have been."""

    @property
    def spent(self) -> Spend:
        """What is booked for it."""
        return Spend(usd=self.cost_usd, calls=1, tokens=self.tokens.input + self.tokens.output) + self.lost


class Answer(Data):
    """What a question gets: the text, how it came about, what supports it, and what it cost."""

    version: Literal[1] = 1
    question: str
    text: str
    status: Status = "done"
    route: Route
    reason: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    citations: tuple[Citation, ...] = ()
    expert: str | None = None
    cost_usd: float = 0.0
    latency_s: float = 0.0
    thread: str
    tokens: Tokens = Tokens()
    steps: tuple[StepRecord, ...] = ()
    approval: str | None = None
    """The request that a person has to decide, where the status is "waiting"."""


class Example(Data):
    """One distillation record: everything needed to learn from an expert's answer later."""

    question: str
    scope: Scope
    label: str | None = None
    """Access label of its collection when it was taught; `None` in those of before labels were kept."""
    grounds: tuple[Ground, ...] = ()
    """What it rests on, its thread included; the store notes it. None in those of before grounds were kept."""
    history: tuple[str, ...] = ()
    transcript: tuple[Message, ...]
    evidence: Evidence
    draft: Draft | None
    expert: ExpertAnswer
    small_model: str
    """Name and content hash of the model that drafted."""
    principal: str
    signals: dict[str, Any] = {}
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    """With which the expert was to be asked; 1 for a draft that was deferred."""
    rests_on: tuple[Scope, ...] | None = None
    """All documents behind it, see `core.provenance`; `None` in those of before that was noted."""


class Outcome(Data):
    """What became of a question, to learn from how far drafts can be trusted."""

    question: str
    scope: Scope
    draft: Draft | None
    """`None` where there was nothing to accept: no draft, or one that could not be verified."""
    signals: dict[str, float] = {}
    confidence: float = 0.0
    small_model: str
    expert: ExpertAnswer | None
    """`None` where nobody else was asked, or nobody answered."""
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    """With which an expert was to be asked, whatever came of it; 1 for a draft that was deferred."""
    drawn: bool = True
    """Whether an expert was to be asked."""
    grounds: tuple[Ground, ...] = ()
    """What it rests on; the store notes it."""
    rests_on: tuple[Scope, ...] = ()
    """All documents behind it, see `core.provenance`."""
