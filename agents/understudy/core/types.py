"""The words of the project as plain, serialisable data."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ADAPTER_BASE_KEY",
    "AdapterCard",
    "Answer",
    "Citation",
    "Document",
    "Draft",
    "Evidence",
    "Example",
    "ExpertAnswer",
    "ExpertTokens",
    "Finding",
    "GateReport",
    "Mark",
    "Message",
    "Observation",
    "Outcome",
    "Passage",
    "Probe",
    "Route",
    "Scope",
    "SmallTokens",
    "Spend",
    "Status",
    "StepRecord",
    "Tokens",
]

Route = Literal["local", "cache", "expert", "declined"]
Status = Literal["done", "waiting", "interrupted"]


class Data(BaseModel):
    """Immutable, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class SmallTokens(Data):
    """Tokens of the small model: prompt tokens read or found in the KV cache, tokens forced by the grammar, sampled."""

    evaluated: int = 0
    reused: int = 0
    forced: int = 0
    generated: int = 0

    def __add__(self, other: SmallTokens) -> SmallTokens:
        """The sum, count by count."""
        return SmallTokens(
            evaluated=self.evaluated + other.evaluated,
            reused=self.reused + other.reused,
            forced=self.forced + other.forced,
            generated=self.generated + other.generated,
        )


class ExpertTokens(Data):
    """Tokens that an expert was paid for."""

    input: int = 0
    output: int = 0


class Spend(Data):
    """What expert calls cost, or may cost: dollars, calls, and tokens in and out together."""

    usd: float = 0.0
    calls: int = 0
    tokens: int = 0

    def __add__(self, other: Spend) -> Spend:
        """The sum, unit by unit."""
        return Spend(usd=self.usd + other.usd, calls=self.calls + other.calls, tokens=self.tokens + other.tokens)

    def __mul__(self, times: int) -> Spend:
        """The same several times."""
        return Spend(usd=self.usd * times, calls=self.calls * times, tokens=self.tokens * times)


class Tokens(Data):
    """All tokens an answer took."""

    small: SmallTokens = SmallTokens()
    expert: ExpertTokens = ExpertTokens()


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
    lost: Spend = Spend()
    """The worst case of attempts before it that may be billed too: nobody knows after a time-out."""

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


class Example(Data):
    """One distillation record: everything needed to learn from an expert's answer later."""

    question: str
    scope: Scope
    label: str | None = None
    """Access label of its collection when it was taught; `None` in those of before labels were kept."""
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


class GateReport(Data):
    """What the gate found: an adapter goes live only where nothing speaks against it."""

    questions: int
    """Gate examples of the domain."""
    classes: dict[str, int] = {}
    """How many of each kind of answer."""
    missing: int = 0
    """Gate examples that are missing before anything can be told."""
    live: float = 0.0
    """Agreement of the live model with the expert, every class counting the same."""
    candidate: float = 0.0
    p: float = 1.0
    """Of the paired test that the candidate is no better."""
    general_questions: int = 0
    general_live: float = 0.0
    general_candidate: float = 0.0
    canaries: int = 0
    """Planted or rejected texts that the candidate gave out."""
    promoted: bool = False
    reason: str


class AdapterCard(Data):
    """All that is known of an adapter: what it is for, what it was made from, what the gate found."""

    version: str
    run: str
    """Of the refinement that made it."""
    domain: str
    label: str
    """Access label: it serves only questions of collections that have it."""
    base: str
    """Name and content hash of the small model that it adapts."""
    parent: str | None = None
    """The version that was live when it was made."""
    created: str
    seed: int
    examples: dict[str, int]
    """How many of each role it was made with."""
    trained_on: tuple[str, ...] = ()
    """Ids of the examples that shaped it."""
    documents: tuple[str, ...] = ()
    """Those that the examples quote."""
    rejected: dict[str, int] = {}
    """Examples left out, by reason."""
    training: dict[str, Any] = {}
    """Loss, steps, seconds, CPU-seconds, peak memory."""
    files: dict[str, str] = {}
    """SHA-256 by name."""
    settings: dict[str, Any] = {}
    """How it is to be run."""
    probe: tuple[float, ...] = ()
    """What its reader says to a fixed question, to tell after a swap that it is in force."""
    decoder_probe: Probe | None = None
    """The same of the small model, where it has a LoRA of its own."""
    gate: GateReport

    @property
    def name(self) -> str:
        """As outcomes know it."""
        return f"{self.domain}/{self.version}@{self.digest[:12]}"

    @property
    def digest(self) -> str:
        """Of its files."""
        return hashlib.sha256("".join(f"{n}{h}" for n, h in sorted(self.files.items())).encode()).hexdigest()


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


ADAPTER_BASE_KEY = "understudy.base"
"""In an adapter's GGUF: SHA-256 of the GGUF that it was trained on."""


class Probe(Data):
    """Logits after a fixed prompt without and with an adapter: after a swap, they prove that it is that adapter."""

    adapter: str
    """SHA-256 of its GGUF."""
    base: str
    """SHA-256 of the model's."""
    tokens: tuple[int, ...]
    ids: tuple[int, ...]
    """The tokens whose logits are kept: those that the adapter made likeliest."""
    base_logits: tuple[float, ...]
    logits: tuple[float, ...]
