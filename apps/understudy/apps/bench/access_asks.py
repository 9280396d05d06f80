"""Suite `access`, the whole agent: questions to it, and what it tells of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping

from understudy.agents import Agent
from understudy.agents.demonstrations import Demonstrations
from understudy.apps.bench.access_stores import StoreChecks
from understudy.apps.bench.access_truth import Kept
from understudy.core.access import Principal
from understudy.core.errors import NoDocumentsError, ScopeError
from understudy.core.types import Answer, Example, Scope

__all__ = ["AskChecks", "Watched"]


AGAIN = 0.4
"""The share of questions that were asked before."""


class Watched(Demonstrations):
    """Demonstrations that note what they show an expert."""

    def __init__(self, held: Demonstrations) -> None:
        self._inner = held
        self.shown: list[str] = []

    def nearest(self, question: str, scope: Scope, by: Principal | None = None) -> list[Example]:
        """The nearest ones."""
        found = self._inner.nearest(question, scope, by)
        self.shown += [example.question for example in found]
        return found


class AskChecks:
    """Asks an agent, and compares what comes with what the reference opens.

    Args:
        agent: under test.
        world: the reference, and the things that were kept.
        secrets: the keyword of every document now.
    """

    def __init__(self, agent: Agent, world: StoreChecks, secrets: Mapping[str, str]) -> None:
        self.agent, self.world, self.secrets = agent, world, secrets
        self.truth, self.tally, self.rng = world.truth, world.tally, world.rng
        self.turns: dict[str, list[str]] = {}
        """Questions of every thread of an agent's own, by its key; those of earlier epochs aren't gone on with."""

    def ask(self, who: str) -> None:
        """One question: of a document in the collection or elsewhere, in a thread of theirs, another's, or none."""
        collection = self.rng.choice(list(self.truth.labels))
        inside = [d for d in self.secrets if d.startswith(collection)]
        document = self.rng.choice(inside if self.rng.random() < 0.8 else list(self.secrets))
        known = document in inside
        question = f"What is the keyword of {document}?" if known else f"Where does {document} stand?"
        thread = self.drawn_thread()
        again = [t for t in self.truth.of("remembered") if json.loads(t.name.rpartition(" ")[0])[3:] == []]
        if again and self.rng.random() < AGAIN:  # what an expert has answered, by who asked it or by another
            whose, question, collection = json.loads(self.rng.choice(again).name.rpartition(" ")[0])
            who, thread, known = self.rng.choice((whose, who)), None, True
        expected = self.expected(who, collection, thread)
        told, answer = self.answer(who, question, collection, thread)
        self.tally.compare("ask", who, [told], [expected], ["answer"])
        said = json.dumps([told, answer.model_dump(mode="json") if answer else "", self.message], default=str)
        self.compare_words(who, collection, said)
        if answer is not None:
            self.note(who, question, collection, answer, known=known)

    def drawn_thread(self) -> Kept | str | None:
        """A thread of anybody's from this epoch, one that isn't there, or none."""
        threads = [t for t in self.truth.of("thread") if t.name in self.turns]
        drawn = self.rng.random()
        if threads and drawn < 0.35:
            return self.rng.choice(threads)
        return "nowhere" if drawn > 0.95 else None

    def expected(self, who: str, collection: str, thread: Kept | str | None) -> str:
        """What a question must come to."""
        if not self.truth.reads(who, collection):
            return "no such collection"
        if isinstance(thread, str) or (thread is not None and not self.truth.mine(who, thread)):
            return "no such thread"
        return "answer"

    def answer(self, who: str, question: str, collection: str, thread: Kept | str | None) -> tuple[str, Answer | None]:
        """What it did come to. A refusal must be, word for word, that of what isn't there."""
        name = thread.name.partition("/")[2] if isinstance(thread, Kept) else thread
        self.message = ""
        assert isinstance(self.agent.demonstrations, Watched)
        self.agent.demonstrations.shown.clear()
        try:
            return "answer", self.agent.ask(question, collection=collection, thread=name, principal=who)
        except NoDocumentsError as error:
            self.message = str(error)
            absent = self.refusal(who, question, "nowhere", None)
            return same_words("no such collection", self.message, collection, absent), None
        except ScopeError as error:
            self.message = str(error)
            absent = self.refusal(who, question, collection, "absent")
            return same_words("no such thread", self.message, str(name), absent.replace("absent", "nowhere")), None

    def refusal(self, who: str, question: str, collection: str, thread: str | None) -> str:
        """What somebody is told of what isn't there."""
        try:
            self.agent.ask(question, collection=collection, thread=thread, principal=who)
        except (NoDocumentsError, ScopeError) as error:
            return str(error)
        return "an answer"

    def compare_words(self, who: str, collection: str, said: str) -> None:
        """No keyword, document or collection that is closed may stand in what somebody is told."""
        asked = {collection}
        closed = [c for c in self.truth.labels if not self.truth.reads(who, c)]
        hidden = [s for d, s in self.secrets.items() if d.partition("-")[0] in closed]
        open_words = [s for d, s in self.secrets.items() if d.partition("-")[0] not in closed]
        names = [c for c in closed if c not in asked and f"{c}-" not in said and f"{c}'" in said]
        found = [s for s in hidden if s in said] + names
        given = [s for s in open_words if s in said]
        self.tally.compare("words of an answer", who, [*found, *given], given, [*hidden, *given])
        assert isinstance(self.agent.demonstrations, Watched)
        shown = self.agent.demonstrations.shown
        held = [(self.world.asked[t.name][0], t) for t in self.truth.of("example")]
        due = {words for words, t in held if words in shown and self.truth.open_to(who, t)}
        self.tally.compare("shown to an expert", who, shown, due, [words for words, _ in held])

    def note(self, who: str, question: str, collection: str, answer: Answer, *, known: bool) -> None:
        """What an answer leaves, in the reference; and whether it came from where it was to."""
        key = f"{who}/{answer.thread}"
        before = next((t.rests for t in self.truth.of("thread") if t.name == key), frozenset())
        history = self.turns.setdefault(key, [])
        name = json.dumps([who, question, collection, *history])
        version = self.secrets.get(question.removeprefix("What is the keyword of ").rstrip("?"), "")
        held = [t for t in self.truth.of("remembered") if t.name == f"{name} {version}"]
        due = ["cache"] if any(self.truth.mine(who, t) for t in held) else []
        got = ["cache"] if answer.route == "cache" else []
        self.tally.compare("remembered answer", who, got, due, ["cache"] if held else [])
        self.truth.keep("thread", key, who, collection, more=before)
        history.append(question)
        if known and answer.route == "expert":
            newest = list(self.agent.example_store.examples())[-1]
            self.world.asked[newest] = question, collection
            self.truth.keep("example", newest, who, collection, more=before)
            self.truth.keep("remembered", f"{name} {version}", who, collection, more=before)

    def look(self, who: str) -> None:
        """What somebody is told of the workspace, in one of the ways that there are."""
        way = self.rng.choice(("status", "documents", "examples", "live adapter", "taught"))
        getattr(self, f"look_at_{way.replace(' ', '_')}")(who)

    def look_at_status(self, who: str) -> None:
        """The collections in the status and in the policy."""
        found = self.agent.status(principal=who)
        got = [*found["collections"], *(row["collection"] for row in found["policy"])]
        due = [c for c in self.truth.labels if self.truth.reads(who, c)]
        self.tally.compare("status", who, got, due, self.truth.labels)

    def look_at_documents(self, who: str) -> None:
        """The ids of all documents."""
        due = [d for d in self.secrets if self.truth.reads(who, d.partition("-")[0])]
        self.tally.compare("list", who, [d["id"] for d in self.agent.documents(principal=who)], due, self.secrets)

    def look_at_examples(self, who: str) -> None:
        """The questions that are exported."""
        held = [(self.world.asked[t.name][0], self.truth.open_to(who, t)) for t in self.truth.of("example")]
        got = [row["question"] for row in self.agent.examples(principal=who)]
        self.tally.compare("export", who, got, [w for w, may in held if may], [w for w, _ in held])

    def look_at_live_adapter(self, who: str) -> None:
        """The adapter that answers somebody in a collection."""
        collection = self.rng.choice(list(self.truth.labels))
        domain, label = self.agent.place(collection)
        card = self.agent.cast.playing(domain, label, self.agent.access.principal(who)).card
        held = [t for t in self.truth.of("live adapter") if t.name == label]
        due = [t.name for t in held if self.truth.teaches(label, t) and self.truth.open_to(who, t)]
        self.tally.compare("worn adapter", who, [card.label] if card else [], due, [t.name for t in held])

    def look_at_taught(self, _who: str) -> None:
        """The examples that an adapter under a label is trained on."""
        label = self.rng.choice(list(self.truth.labels.values()))
        domain = self.agent.domain(next(iter(self.truth.labels)))
        got = list(self.agent.learning.refinery.examples.collected(domain, label))
        held = list(self.truth.of("example"))
        due = [t.name for t in held if self.truth.teaches(label, t)]
        self.tally.compare("taught", label, got, due, [t.name for t in held])


def same_words(what: str, said: str, name: str, absent: str) -> str:
    """What somebody was told, if it is what they are told of something that isn't there."""
    told = said.replace(repr(name), repr("nowhere"))
    return what if told == absent else f"other words: {said}"
