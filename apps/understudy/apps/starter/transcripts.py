"""Transcripts on generated tables, and on real questions through the real search."""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from understudy.apps.starter.corpus import (
    held_for_planner,
    squad_readings,
)
from understudy.apps.starter.script import Script, scaled, step
from understudy.apps.starter.search import TrainingTools
from understudy.apps.starter.tables import Table, TableQuestion, ask, make_table
from understudy.core.errors import ToolError
from understudy.core.types import Evidence, Finding, Message, Observation, Passage
from understudy.distillation.cloze import Reading
from understudy.tools.calculator import calculate
from understudy.tools.compare import as_asked

__all__ = ["reading_transcripts", "table_transcripts", "transcript_text"]

FAILED_LOOKUPS = (
    "no cell at row {row!r}, column {column!r}; nearest are 'Total' and '2019'",
    "no cell at row {row!r}, column {column!r}; nearest are 'Total' and '2019'",
    "none of these documents has a table",
    "this step was taken before; take another, answer, or consult",
)
FAILED_COMPARISONS = (
    "no row or column {label!r}; nearest are 'Total' and '2019'",
    "there is nothing to compare {label!r} with",
    "none of these documents has a table",
)
"""As the tools put it."""
PRONOUNS = ("it", "they", "he", "she", "this", "that")


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
    return Finding(text=value or "0", score=rng.random() ** 3, origin="reader", passage=index)


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
    return [*unrelated, *question.earlier]


def table_transcripts(
    count: int, texts: Sequence[str], labels: Sequence[str], rng: random.Random
) -> Iterator[list[Message]]:
    """Look-ups, comparisons, arithmetic and follow-ups over generated tables.

    Where a look-up fails, or no program applies, the reader's best span is answered if it is worth it.
    """
    other = "What is the notice period?"
    for _ in range(count):
        table = make_table(rng, labels if rng.random() < 0.6 else [some_words(texts, rng) for _ in range(8)])
        question = ask(table, rng)
        script = Script(question.question, asked_before(question, other, rng))
        query = " ".join([*question.earlier[:1], question.question])
        script.use(step("search", query=query), simulated_search(table, rng, texts))
        work_out(script, table, question, rng)
        other = question.question
        yield script.messages


def work_out(script: Script, table: Table, question: TableQuestion, rng: random.Random) -> None:
    """The steps after the search: the comparison, or the cells and what to do with them."""
    if question.compared is not None:
        label, by = question.compared
        winner = rng.choice(table.columns if label.lower() in map(str.lower, table.rows) else table.rows)
        value = Finding(text=as_asked(winner, question.question), score=rng.uniform(0.5, 1.0), origin="table")
        failed = Observation(text=rng.choice(FAILED_COMPARISONS).format(label=label), error=True)
        result = failed if rng.random() < 0.1 else Observation(findings=(value,))
        number = script.use(step("compare", label=label, by=by), result)
        finish(script, question, [number] if len(script.evidence.findings) >= number else [])
        return
    fails_at = rng.randrange(16)
    numbers = []
    for at, (row, column) in enumerate(question.lookups):
        failed = Observation(text=rng.choice(FAILED_LOOKUPS).format(row=row, column=column), error=True)
        found = failed if at == fails_at else found_cell(table, row, column, rng)
        number = script.use(step("lookup", row=row, column=column), found)
        if found.error:
            return finish(script, question, [])
        numbers.append(number)
    if question.expression is not None:
        expression = question.expression.format(*(f"f{n}" for n in numbers))
        numbers = [script.use(step("calculate", expression=expression), calculated(expression, script.evidence))]
    finish(script, question, numbers)


def calculated(expression: str, evidence: Evidence) -> Observation:
    """What the calculator gives."""
    try:
        return calculate(expression, evidence.findings)
    except ToolError as error:
        return Observation(text=str(error), error=True)


def finish(script: Script, question: TableQuestion, numbers: Sequence[int]) -> None:
    """Answer with the first finding there is; without one, a span will hardly do for arithmetic."""
    if numbers:
        script.take(step("answer", findings=[numbers[0]]))
    elif question.expression is not None or question.beyond:
        script.take(step("consult", reason="needs_arithmetic" if question.expression else "needs_reasoning"))
    else:
        script.read_or_consult("incomplete_evidence" if question.lookups or question.compared else "unsure")


def reading_transcripts(
    data: Path, tools: TrainingTools, limit: int, repeat: int, rng: random.Random
) -> Iterator[list[Message]]:
    """Questions of articles the reader never saw, through the real search, alone and as follow-ups.

    Each comes `repeat` times with other scores, so that the score decides and not the wording. A passage in four
    passes for a table: that there is one must not be what decides either.
    """
    readings = [r for r in squad_readings(data) if held_for_planner(r.group)]
    rng.shuffle(readings)
    beside: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        beside[reading.passage].append(reading)
    for reading in readings[:limit]:
        question, earlier, query = in_thread(reading, beside[reading.passage], readings, rng)
        found = tools.search(query, question)
        passages = tuple(p.model_copy(update={"table": rng.random() < 0.25}) for p in found.passages)
        found = found.model_copy(update={"passages": passages})
        for _ in range(repeat):
            script = Script(question, earlier)
            script.use(step("search", query=query), scaled(found, math.exp(rng.gauss(0, 1.2))))
            script.read_or_consult("unsure")
            yield script.messages


def in_thread(
    reading: Reading, beside: Sequence[Reading], others: Sequence[Reading], rng: random.Random
) -> tuple[str, list[str], str]:
    """A question, what was asked before it, and the query: with the earlier question where it is only hinted at."""
    question = " ".join(reading.question.split())
    unrelated = [rng.choice(others).question.strip()] if rng.random() < 0.3 else []
    names = [w for w in re.findall(r"[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*", question[1:]) if w in reading.passage]
    if names and len(beside) > 1 and rng.random() < 0.4:
        name = max(names, key=len)
        first = " ".join(rng.choice([b for b in beside if b is not reading]).question.split())
        if name in first and first != question:
            hinted = question.replace(name, rng.choice(PRONOUNS), 1)
            return hinted, [*unrelated, first], f"{first} {hinted}"
    return question, unrelated, question


def transcript_text(messages: Sequence[Message]) -> str:
    """What a transcript says, as text (for the tokenizer's training)."""
    return "\n".join(m.content for m in messages)
