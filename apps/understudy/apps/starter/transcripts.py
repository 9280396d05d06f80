"""Whole transcripts for the planner, in exactly the agent's format: the profile renders them.

Table questions come with generated tables and simulated reader spans; reading questions come from the training data
through the real search tool, and their last step is labelled by whether the reader's best span is the answer.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from understudy.agents.profiles import POINTING
from understudy.apps.starter.corpus import held_for_planner, squad_readings
from understudy.apps.starter.tables import Table, TableQuestion, ask, make_table
from understudy.core.types import Evidence, Finding, Message, Observation, Passage

__all__ = ["reading_transcripts", "step", "table_transcripts", "transcript_text"]

Search = Callable[[str], Observation]


def step(kind: str, **arguments: object) -> Message:
    """A step as the grammar writes it: words of the thread stand behind a space."""
    spaced = {k: f" {v}" if k in ("query", "row", "column") else v for k, v in arguments.items()}
    return Message(
        role="assistant", content=json.dumps({"kind": kind, **spaced}, ensure_ascii=False, separators=(",", ":"))
    )


class Script:
    """A transcript under construction."""

    def __init__(self, question: str, earlier: Sequence[str] = ()) -> None:
        self.question = question
        self.messages = POINTING.open(question, [(asked, "") for asked in earlier], "")
        self.evidence = Evidence()

    def take(self, message: Message) -> None:
        """A step that ends the transcript."""
        self.messages.append(message)

    def use(self, message: Message, observation: Observation) -> int:
        """A step that runs a tool; gives the number of the first new finding."""
        first = len(self.evidence.findings) + 1
        self.messages += [message, POINTING.observe(self.question, self.evidence, observation)]
        self.evidence = self.evidence.extended(observation)
        return first


def table_passage(table: Table, rng: random.Random) -> Passage:
    """A table as the retriever would return it."""
    header, body = table.markdown()
    return Passage(
        document="d", title="Report", version="v", location="page 1", start=0, end=len(body), text=body,
        context=header, table=True, score=rng.uniform(0.3, 0.95),
    )  # fmt: skip


def simulated_search(table: Table, rng: random.Random, texts: Sequence[str]) -> Observation:
    """The table among other passages, with spans as an unsure reader finds them."""
    passages = [table_passage(table, rng)]
    for text in rng.sample(list(texts), rng.randint(0, 4)):
        passages.append(
            Passage(
                document="o", title="Other", version="v", location="page 2", start=0, end=len(text), text=text,
                score=rng.uniform(0.1, 0.8), table=rng.random() < 0.4,
            )
        )  # fmt: skip
    passages.sort(key=lambda p: -(p.score or 0.0))
    findings = [simulated_span(i, p, rng) for i, p in enumerate(passages) if rng.random() < 0.8][:4]
    findings.sort(key=lambda f: -f.score)
    return Observation(passages=tuple(passages), findings=tuple(findings), answerable=rng.random())


def simulated_span(index: int, passage: Passage, rng: random.Random) -> Finding:
    """Some cell or words of a passage, with a score that says little."""
    line = rng.choice([line for line in passage.text.split("\n") if line.strip()])
    words = line.strip("| ").split(" | ") if "|" in line else line.split()
    at = rng.randrange(len(words))
    value = words[at] if "|" in line else " ".join(words[at : at + rng.randint(1, 4)])
    return Finding(text=value or "0", score=rng.random() ** 2, origin="reader", passage=index)


def some_words(texts: Sequence[str], rng: random.Random) -> str:
    """One to four words from anywhere: a label that can only be copied, not known."""
    words = re.findall(r"[\w-]+", rng.choice(texts)) or ["item"]
    at = rng.randrange(len(words))
    return " ".join(words[at : at + rng.randint(1, 4)])


def found_cell(table: Table, row: str, column: str, rng: random.Random) -> Observation:
    """What the look-up tool returns for a cell."""
    r = next(i for i, label in enumerate(table.rows) if label.lower() == row.lower())
    value = table.cells[r][table.columns.index(column)]
    return Observation(findings=(Finding(text=value, score=rng.uniform(0.5, 1.0), origin="table"),))


def asked_before(question: TableQuestion, other: str, rng: random.Random) -> list[str]:
    """The earlier questions of a thread: what a follow-up follows, and sometimes one that has nothing to do with it."""
    unrelated = [other] if rng.random() < 0.35 else []
    return [*unrelated, question.earlier] if question.earlier else unrelated


def table_transcripts(
    count: int, texts: Sequence[str], labels: Sequence[str], rng: random.Random
) -> Iterator[list[Message]]:
    """Look-ups, arithmetic and follow-ups over generated tables; what fails or goes beyond that is consulted on."""
    other = "What is the notice period?"
    for _ in range(count):
        table = make_table(rng, labels if rng.random() < 0.6 else [some_words(texts, rng) for _ in range(8)])
        question = ask(table, rng)
        script = Script(question.question, asked_before(question, other, rng))
        query = f"{question.earlier} {question.question}" if question.earlier else question.question
        script.use(step("search", query=query), simulated_search(table, rng, texts))
        fails_at = rng.randrange(20)
        numbers = []
        for at, (row, column) in enumerate(question.lookups):
            found = found_cell(table, row, column, rng)
            if at == fails_at:
                found = Observation(text=f"no cell at row {row!r}, column {column!r}", error=True)
            numbers.append(script.use(step("lookup", row=row, column=column), found))
            if found.error:
                break
        finish(script, question, numbers, fails_at < len(question.lookups), rng)
        other = question.question
        yield script.messages


def finish(script: Script, question: TableQuestion, numbers: list[int], failed: bool, rng: random.Random) -> None:
    """Consult after a failure or where no program applies; otherwise calculate if needed, and answer."""
    if not question.lookups:
        script.take(step("consult", reason="needs_reasoning"))
    elif failed:
        script.take(step("consult", reason="needs_arithmetic" if question.expression else "incomplete_evidence"))
    elif question.expression is None:
        script.take(step("answer", findings=[numbers[0]]))
    else:
        expression = question.expression.format(*(f"f{n}" for n in numbers))
        result = Finding(text=f"{rng.uniform(-500, 5000):.2f}", score=rng.uniform(0.5, 1.0), origin="calculator")
        last = script.use(step("calculate", expression=expression), Observation(findings=(result,)))
        script.take(step("answer", findings=[last]))


def reading_transcripts(data: Path, search: Search, limit: int, rng: random.Random) -> Iterator[list[Message]]:
    """Questions of articles the reader never saw, through the real search; the label is what would have been right.

    A passage in four passes for a table: that there is one must not be what decides.
    """
    readings = [r for r in squad_readings(data) if held_for_planner(r.group)]
    rng.shuffle(readings)
    for reading in readings[:limit]:
        gold = None if reading.start is None else reading.passage[reading.start : reading.end]
        script = Script(reading.question, [rng.choice(readings).question] if rng.random() < 0.25 else [])
        found = search(reading.question)
        passages = tuple(p.model_copy(update={"table": rng.random() < 0.25}) for p in found.passages)
        script.use(step("search", query=reading.question), found.model_copy(update={"passages": passages}))
        script.take(label(gold, script.evidence))
        yield script.messages


def label(gold: str | None, evidence: Evidence) -> Message:
    """Point at the reader's best span if it is right; consult when it isn't; decline when there is no answer."""
    if gold is None:
        return step("decline", reason="not_in_documents")
    best = max(range(len(evidence.findings)), key=lambda i: evidence.findings[i].score, default=None)
    if best is not None and overlap(evidence.findings[best].text, gold) >= 0.6:
        return step("answer", findings=[best + 1])
    return step("consult", reason="unsure")


def overlap(a: str, b: str) -> float:
    """Token F1 of two short texts."""
    left, right = a.lower().split(), b.lower().split()
    common = sum(min(left.count(w), right.count(w)) for w in set(left))
    return 2 * common / (len(left) + len(right)) if common else 0.0


def transcript_text(messages: Sequence[Message]) -> str:
    """What a transcript says, as text (for the tokenizer's training)."""
    return "\n".join(m.content for m in messages)
