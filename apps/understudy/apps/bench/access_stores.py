"""Suite `access`, below the graph: things are kept and asked for through the views that a question gets."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from understudy.agents.access.threads import Threads
from understudy.agents.access.views import PermittedCache, PermittedExamples, PermittedOutcomes
from understudy.agents.cache.semantic import SemanticCache
from understudy.agents.deferral.outcomes import OutcomeStore
from understudy.agents.demonstrations import Demonstrations
from understudy.agents.examples import ExampleDatabase
from understudy.apps.bench.access_truth import OWNER, Tally, Truth
from understudy.core.access import Access, Ground, Permit, Principal
from understudy.core.adapters import AdapterCard, GateReport
from understudy.core.errors import ScopeError
from understudy.core.protocols import Basis, Cached, CacheKey
from understudy.core.types import (
    Answer,
    Citation,
    Document,
    Draft,
    Evidence,
    Example,
    ExpertAnswer,
    Outcome,
    Passage,
    Scope,
)
from understudy.distillation.registry import Registry
from understudy.retrieval.readable import ReadableDocuments
from understudy.retrieval.store import DocumentStore

__all__ = ["KINDS", "StoreChecks", "Stores", "named"]

MODEL = "small@1"
DOMAIN = "domain"
WIDTH = 384
MANY = 10_000
Embed = Callable[[list[str]], Sequence[Sequence[float]]]
KINDS = ("documents", "passages", "cache", "near", "examples", "demonstrations", "outcomes", "threads", "adapters")
"""What `StoreChecks.check` can look at."""


@dataclass(frozen=True)
class Stores:
    """The stores of a workspace."""

    documents: DocumentStore
    cache: SemanticCache
    examples: ExampleDatabase
    demonstrations: Demonstrations
    outcomes: OutcomeStore
    registry: Registry
    threads: Threads


class NotingOutcomes:
    """An `Outcomes` that keeps every one."""

    def __init__(self, store: OutcomeStore) -> None:
        self._store = store

    def note(self, outcome: Outcome) -> None:
        """Keep it."""
        self._store.note(outcome, 1.0)


class StoreChecks:
    """Keeps things in stores and in the reference alike, and compares what is given.

    Args:
        stores: under test.
        truth: the reference.
        tally: of the checks.
        rng: draws.
        embed: unit vectors of some texts, 384 wide.
    """

    def __init__(self, stores: Stores, truth: Truth, tally: Tally, rng: random.Random, embed: Embed) -> None:
        self.stores, self.truth, self.tally, self.rng, self.embed = stores, truth, tally, rng, embed
        self.number = 0
        self.keys: dict[str, CacheKey] = {}
        """What answers were remembered under, by the question."""
        self.asked: dict[str, tuple[str, str]] = {}
        """The words of an example and the collection asked, by its id."""

    def access(self) -> Access:
        """The labels of now, as the settings would give them."""
        return Access({n: frozenset(held) for n, held in self.truth.holds.items()}, dict(self.truth.labels))

    def who(self, name: str) -> Principal:
        """Somebody, with the labels of now."""
        return self.access().principal(name)

    def ingest(self, collection: str, document: str) -> None:
        """A document with a new secret."""
        self.number += 1
        self.put(collection, document, f"secret-{self.number}")

    def put(self, collection: str, document: str, secret: str) -> None:
        """A document with this secret, in place of any before it."""
        text = f"The keyword of {document} is {secret}."
        place: dict[str, Any] = {"document": document, "title": document, "version": secret, "location": "", "start": 0}
        piece = Passage(**place, end=len(text), text=text, table=True)
        vectors = np.asarray(self.embed([text]), dtype=np.float32)
        self.stores.documents.ensure(collection, None)
        held = Document(id=document, title=document, text=text, version=secret)
        self.stores.documents.put(collection, held, f"/{collection}/{document}", [piece], vectors)
        self.truth.documents.setdefault(collection, {})[document] = secret

    def ask(self, who: str, collection: str, thread: str | None) -> None:
        """What a question leaves that an expert answers, in a new thread or in one of theirs."""
        self.number += 1
        principal = self.who(who)
        if thread is None:
            name, permit = self.stores.threads.begin(principal, collection)
            before: frozenset[tuple[str, str]] = frozenset()
        else:
            before = next(t.rests for t in self.truth.of("thread") if t.name == f"{who}/{thread}")
            name, permit = thread, self.stores.threads.enter(principal, thread, collection)
        question = f"What is keyword number {self.number}?"
        self.keep(permit, CacheKey(question, Scope(collection=collection), who))
        self.truth.keep("thread", f"{who}/{name}", who, collection, more=before)
        self.truth.keep("cache", question, who, collection, more=before)
        ids = self.stores.examples.examples()
        self.truth.keep("example", list(ids)[-1], who, collection, more=before)
        self.truth.keep("outcome", question, who, collection, more=before)
        self.asked[list(ids)[-1]] = question, collection

    def keep(self, permit: Permit, key: CacheKey) -> None:
        """What the graph does with an expert's answer; the marks that it makes itself are wrong on purpose."""
        text, quote = f"It is word-{self.number}.", f"word-{self.number}"
        place: dict[str, Any] = {"document": "d", "title": "d", "location": "", "start": 0, "end": len(quote)}
        expert = ExpertAnswer(text=text, citations=(Citation(**place, quote=quote, score=1.0),), expert="gpt")
        evidence = Evidence(passages=(Passage(**place, version="1", text=quote),))
        draft = Draft(text=text, citations=(), mean_logprob=0.0, min_logprob=0.0, removed_mass=0.0)
        answer = Answer(
            question=key.question, text=text, route="expert", reason="", confidence=0.9, thread="t",
            citations=expert.citations,
        )  # fmt: skip
        wrong = (Ground(collection=key.scope.collection, label="everyone"),)
        example = Example(
            question=key.question, scope=key.scope, label=self.truth.labels[key.scope.collection], grounds=wrong,
            transcript=(), evidence=evidence, draft=draft, expert=expert, small_model=MODEL, principal=key.principal,
        )  # fmt: skip
        outcome = Outcome(
            question="What is the keyword?", scope=Scope(collection=key.scope.collection, document=str(self.number)),
            draft=draft, small_model=MODEL, expert=expert, grounds=wrong,
        )  # fmt: skip
        PermittedCache(self.stores.cache, permit).remember(key, Cached(answer, Basis({}, "1"), wrong))
        PermittedExamples(self.stores.examples, permit).add(example)
        PermittedOutcomes(NotingOutcomes(self.stores.outcomes), permit).note(outcome)
        self.keys[key.question] = key

    def train(self, label: str, collections: Mapping[str, str]) -> None:
        """An adapter that rests on some collections, with these labels."""
        self.number += 1
        grounds = tuple(Ground(collection=c, label=then) for c, then in collections.items())

        def make(version: str, hashes: Mapping[str, str]) -> AdapterCard:
            return AdapterCard(
                version=version, run=f"run-{self.number}", domain=DOMAIN, label=label, base=MODEL, created="", seed=1,
                examples={}, grounds=grounds, files=dict(hashes), gate=GateReport(questions=0, reason="made to check"),
            )  # fmt: skip

        with TemporaryDirectory() as folder:
            weights = Path(folder) / "weights"
            weights.write_text(str(self.number))
            card = self.stores.registry.add({"weights": weights}, make)
        self.truth.keep("adapter", named(card), OWNER, more=collections.items())

    def check(self, what: str, who: str) -> None:
        """One check of a kind, on what is drawn."""
        getattr(self, f"check_{what}")(who)

    def check_documents(self, who: str) -> None:
        """The ids of a collection, and the collections."""
        seen = ReadableDocuments(self.stores.documents, self.who(who).may_read)
        collection = self.rng.choice(list(self.truth.labels))
        there = self.truth.documents.get(collection, {})
        got = [i for i, _, _ in seen.entries(collection)]
        got += [d for d in there if seen.document(collection, d) is not None]
        due = there if self.truth.reads(who, collection) else {}
        self.tally.compare("documents", who, got, due, there)
        ingested = self.truth.documents
        listed = [c for c in ingested if self.truth.reads(who, c)]
        self.tally.compare("collections", who, seen.listing(), listed, ingested)

    def check_passages(self, who: str) -> None:
        """The words of a collection, in all ways that the store gives them; keys of other collections open nothing."""
        seen = ReadableDocuments(self.stores.documents, self.who(who).may_read)
        collection, other = self.rng.choice(list(self.truth.labels)), self.rng.choice(list(self.truth.labels))
        there = self.truth.documents.get(collection, {})
        vector = np.ones(WIDTH, dtype=np.float32).tolist()
        keys = [*self.stores.documents.passages(collection), *self.stores.documents.passages(other)]
        near = [k for k, _ in seen.nearest(collection, vector, MANY)]
        found = [*seen.passages(collection).values(), *seen.by_keys(collection, keys).values()]
        found += [*seen.table_passages(collection, list(there)), *seen.by_keys(collection, near).values()]
        due = there.values() if self.truth.reads(who, collection) else []
        self.tally.compare("passages", who, [p.version for p in found], due, there.values())

    def check_cache(self, who: str) -> None:
        """An answer remembered for somebody, asked for with their key and with one's own."""
        if not self.keys:
            return
        key = self.rng.choice(list(self.keys.values()))
        view = PermittedCache(self.stores.cache, Permit(self.who(who), ()))
        own = CacheKey(key.question, key.scope, who)
        got = [f.answer.question for k in (key, own) if (f := view.recall(k)) is not None]
        self.compare_kept("cache", who, got, personal=True, there={key.question})

    def check_near(self, who: str) -> None:
        """The same for an answer to a question that is alike."""
        if not self.keys:
            return
        key = self.rng.choice(list(self.keys.values()))
        view = PermittedCache(self.stores.cache, Permit(self.who(who), ()))
        reworded = CacheKey(key.question.replace("What is", "what's"), key.scope, key.principal)
        got = [near.cached.answer.question for near in view.near(reworded)]
        self.compare_kept("cache", who, got, personal=True, there={key.question}, what="near")

    def check_examples(self, who: str) -> None:
        """The examples that are exported, and how many."""
        by = self.who(who)
        got = list(self.stores.examples.examples(by))
        self.compare_kept("example", who, got)
        count = self.stores.examples.count(by)
        if count != len(got):
            self.tally.leaks.append(f"examples: {who} is told of {count}, and gets {len(got)}")

    def check_demonstrations(self, who: str) -> None:
        """The examples that an expert is shown, of one collection."""
        collection = self.rng.choice(list(self.truth.labels))
        shown = self.stores.demonstrations.nearest("What?", Scope(collection=collection), self.who(who))
        held = [t for t in self.truth.of("example") if self.asked[t.name][1] == collection]
        there = [self.asked[t.name][0] for t in held]
        due = [self.asked[t.name][0] for t in held if self.truth.open_to(who, t)]
        self.tally.compare("demonstrations", who, [e.question for e in shown], due, there)

    def check_outcomes(self, who: str) -> None:
        """How many comparisons a draft is judged by."""
        collection = self.rng.choice(list(self.truth.labels))
        scope = Scope(collection=collection, document="another")
        got = self.stores.outcomes.peers(MODEL, "What is the keyword?", scope, "x", self.who(who)).compared
        held = [t for t in self.truth.of("outcome") if self.keys[t.name].scope.collection == collection]
        due = sum(self.truth.open_to(who, t) for t in held)
        counted = [[str(n) for n in range(count)] for count in (got, due, len(held))]
        self.tally.compare("outcomes", who, *counted)

    def check_threads(self, who: str) -> None:
        """A thread of anybody's, gone on with; and the list of one's own."""
        threads = [t for t in self.truth.of("thread")]
        listed = self.stores.threads.listing(self.who(who))
        self.compare_kept("thread", who, listed, personal=True, what="thread list")
        if not threads:
            return
        thread = self.rng.choice(threads)
        whose, _, name = thread.name.partition("/")
        collection = self.rng.choice(sorted(thread.rests))[0]
        got: list[str] = []
        try:
            self.stores.threads.enter(self.who(who), name, collection)
            got = [thread.name]
        except ScopeError:
            pass
        self.compare_kept("thread", who, got, personal=True, there={thread.name})
        if got:
            self.truth.keep("thread", thread.name, whose, collection, more=thread.rests)

    def check_adapters(self, who: str) -> None:
        """The adapters that are listed."""
        seen = self.stores.registry.seen_by(self.who(who))
        self.compare_kept("adapter", who, [named(c) for c in seen.cards()])

    def compare_kept(
        self,
        kind: str,
        who: str,
        got: list[str],
        *,
        personal: bool = False,
        there: set[str] | None = None,
        what: str = "",
    ) -> None:
        """Compare names of kept things with those that the reference opens."""
        held = [t for t in self.truth.of(kind) if there is None or t.name in there]
        may = self.truth.mine if personal else self.truth.open_to
        self.tally.compare(what or kind, who, got, [t.name for t in held if may(who, t)], [t.name for t in held])


def named(card: AdapterCard) -> str:
    """An adapter's name in the reference: versions count up by domain and label."""
    return f"{card.domain} {card.label} {card.version}"
