"""Whole transcripts for the planner, in exactly the agent's format: the profile renders them.

Table questions come with generated tables and simulated reader spans; reading questions come from the training data
through the real search tool, and their last step is labelled by whether the reader's spans hold the answer.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from understudy.agents.profiles import POINTING
from understudy.apps.starter.corpus import held_for_planner, squad_readings
from understudy.apps.starter.tables import Table, TableQuestion, ask, make_table
from understudy.core.types import Evidence, Finding, Message, Observation, Passage

__all__ = ["reading_transcripts", "step", "table_transcripts", "transcript_text"]

Search = Callable[[str], Observation]


def step(kind: str, **arguments: object) -> Message:
    """A step as the grammar writes it."""
    return Message(
        role="assistant", content=json.dumps({"kind": kind, **arguments}, ensure_ascii=False, separators=(",", ":"))
    )


class Script:
    """A transcript under construction."""

    def __init__(self, question: str, earlier: str | None = None) -> None:
        self.question = question
        self.messages = POINTING.open(question, [(earlier, "")] if earlier else [], "")
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
    score = rng.uniform(0.35, 0.9)
    place = rng.choice((f"page {rng.randint(1, 90)}", "sheet Data", "Results > Figures"))
    return Passage(
        document="d",
        title=f"{table.title} {rng.randint(2000, 2025)}",
        version="v",
        location=place,
        start=0,
        end=len(body),
        text=body,
        context=header,
        table=True,
        score=score,
    )


def simulated_search(table: Table, question: TableQuestion, rng: random.Random, texts: Sequence[str]) -> Observation:
    """The table among other passages, with spans as an unsure reader finds them; sometimes the table is missing."""
    passages = [table_passage(table, rng)]
    for text in rng.sample(list(texts), rng.randint(1, 4)):
        passages.append(
            Passage(
                document="o",
                title=" ".join(text.split()[:3]),
                version="v",
                location=f"page {rng.randint(1, 60)}",
                start=0,
                end=len(text),
                text=text,
                score=rng.uniform(0.1, 0.75),
                table=False,
            )
        )
    rng.shuffle(passages)
    passages.sort(key=lambda p: -p.score if rng.random() < 0.8 else 0)
    findings = [simulated_span(i, p, rng) for i, p in enumerate(passages) if rng.random() < 0.8][:4]
    return Observation(passages=tuple(passages), findings=tuple(findings), answerable=rng.random())


def simulated_span(index: int, passage: Passage, rng: random.Random) -> Finding:
    """Some cell or words of a passage, with a score that says little."""
    lines = [line for line in passage.text.split("\n") if line.strip()]
    line = rng.choice(lines)
    start = passage.text.index(line)
    words = line.split(" | ") if passage.table else line.split()
    at = rng.randrange(len(words))
    value = words[at].strip("| ") if passage.table else " ".join(words[at : at + rng.randint(1, 4)])
    return Finding(
        text=value or "—",
        score=rng.random() ** 2,
        origin="reader",
        passage=index,
        start=start,
        end=start + len(value),
        quote_start=start,
        quote_end=start + len(line),
    )


def found_cell(table: Table, row: str, column: str, evidence: Evidence, rng: random.Random) -> Observation:
    """What the look-up tool returns for a cell of a table in the evidence."""
    index = next(i for i, p in enumerate(evidence.passages) if p.table)
    r = next(i for i, label in enumerate(table.rows) if label.lower() == row.lower())
    value = table.cells[r][table.columns.index(column)]
    line = evidence.passages[index].text.split("\n")[r]
    start = evidence.passages[index].text.index(line)
    finding = Finding(
        text=value,
        score=rng.uniform(0.7, 1.0),
        origin="table",
        passage=index,
        start=start,
        end=start + len(value),
        quote_start=start,
        quote_end=start + len(line),
    )
    return Observation(findings=(finding,))


def table_transcripts(count: int, texts: Sequence[str], rng: random.Random) -> Iterator[list[Message]]:
    """Look-ups, arithmetic and follow-ups over generated tables; a failed look-up ends in a consultation."""
    for _ in range(count):
        table = make_table(rng)
        question = ask(table, rng)
        script = Script(question.question, question.earlier)
        query = f"{question.earlier} {question.question}" if question.earlier else question.question
        script.use(step("search", query=query), simulated_search(table, question, rng, texts))
        fails = rng.random() < 0.1
        numbers = []
        for row, column in question.lookups:
            action = step("lookup", row=row, column=column)
            if fails:
                script.use(action, Observation(text=f"no row like {row!r} in these tables", error=True))
                break
            numbers.append(script.use(action, found_cell(table, row, column, script.evidence, rng)))
        finish(script, question, numbers, fails, rng)
        yield script.messages


def finish(script: Script, question: TableQuestion, numbers: list[int], failed: bool, rng: random.Random) -> None:
    """Consult after a failure; otherwise calculate if needed, and answer."""
    if failed:
        script.take(step("consult", reason="needs_arithmetic" if question.expression else "incomplete_evidence"))
        return
    if question.expression is None:
        script.take(step("answer", findings=[numbers[0]]))
        return
    expression = question.expression.format(*(f"f{n}" for n in numbers))
    value = f"{rng.uniform(-500, 5000):.2f}"
    result = Finding(text=value, score=0.9, origin="calculator", inputs=tuple(n - 1 for n in numbers))
    last = script.use(step("calculate", expression=expression), Observation(findings=(result,)))
    script.take(step("answer", findings=[last]))


def reading_transcripts(data: Path, search: Search, limit: int, rng: random.Random) -> Iterator[list[Message]]:
    """Questions of articles the reader never saw, through the real search; the label is what would have been right."""
    readings = [r for r in squad_readings(data) if held_for_planner(r.group)]
    rng.shuffle(readings)
    for reading in readings[:limit]:
        gold = None if reading.start is None else reading.passage[reading.start : reading.end]
        script = Script(reading.question)
        script.use(step("search", query=reading.question), search(reading.question))
        script.take(label(gold, script.evidence))
        yield script.messages


def label(gold: str | None, evidence: Evidence) -> Message:
    """Point at the finding that holds the answer; consult when none does; decline when there is no answer."""
    if gold is None:
        return step("decline", reason="not_in_documents")
    for number, finding in enumerate(evidence.findings, 1):
        if overlap(finding.text, gold) >= 0.6:
            return step("answer", findings=[number])
    return step("consult", reason="unsure")


def overlap(a: str, b: str) -> float:
    """Token F1 of two short texts."""
    left, right = a.lower().split(), b.lower().split()
    common = sum(min(left.count(w), right.count(w)) for w in set(left))
    return 2 * common / (len(left) + len(right)) if common else 0.0


def transcript_text(messages: Sequence[Message]) -> str:
    """A transcript under the chat template, as text (for the tokenizer's training)."""
    return "\n".join(m.content for m in messages)
