"""Transcripts from gold: the steps that lead to the known answer of real questions on real tables.

`tatqa` dev and `finqa` train and dev say which numbers an answer is made of. Those are looked up by words of the
question through the real tools, and the steps are kept if they give the gold answer. Of the other questions, those for
a span are left to the reader, and arithmetic is left out.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

from understudy.apps.folder import read_lines
from understudy.apps.starter.script import Script, scaled, step
from understudy.apps.starter.search import TrainingTools
from understudy.core.errors import ToolError
from understudy.core.matching import exact_match, numeric_match
from understudy.core.types import Finding, Message
from understudy.tools.calculator import calculate, number_in
from understudy.tools.cells import Cell, cells_of, match
from understudy.tools.compare import HIGH, LOW

__all__ = ["gold_transcripts"]

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
FORMS: dict[int, tuple[str, ...]] = {
    1: ("{0}",),
    2: ("{0} - {1}", "({0} - {1}) / {1} * 100", "({0} + {1}) / 2", "{0} + {1}", "{0} / {1} * 100", "{0} / {1}"),
    3: ("({0} + {1} + {2}) / 3", "{0} + {1} + {2}"),
}
"""Expressions by the number of cells they take."""
LONGEST_LABEL, SHORTEST_MATCH = 12, 0.45


@dataclass(frozen=True)
class Wanted:
    """A question with its gold."""

    question: str
    document: str
    answers: tuple[str, ...]
    derivation: str
    prose: bool
    """Whether its answer is a span of text or of a table, not worked out."""


def questions(data: Path) -> Iterator[Wanted]:
    """The questions that may be trained on, of one document and with one answer."""
    for name, splits in (("tatqa", ("dev",)), ("finqa", ("train", "dev"))):
        for split in splits:
            for record in read_lines(data / name / f"questions.{split}.jsonl.gz"):
                meta: dict[str, Any] = record["meta"]
                kind = meta.get("answer_type", "arithmetic")
                if kind in ("span", "arithmetic"):
                    derivation = meta.get("derivation", meta.get("program", ""))
                    question = " ".join(record["question"].split())
                    document, answers = record["doc_ids"][0], tuple(record["answers"])
                    yield Wanted(question, document, answers, derivation, kind == "span")


def gold_transcripts(data: Path, tools: TrainingTools, repeat: int, rng: random.Random) -> Iterator[list[Message]]:
    """Every question `repeat` times, each with other scores of the reader."""
    asked = list(questions(data))
    known = {d for d in {w.document for w in asked} if tools.tables(d)}
    for wanted in asked:
        if wanted.document not in known:
            continue
        found = tools.search(wanted.question, wanted.question, wanted.document)
        for _ in range(repeat):
            other = [rng.choice(asked).question] if rng.random() < 0.25 else []
            script = Script(wanted.question, other)
            script.use(step("search", query=wanted.question), scaled(found, math.exp(rng.gauss(-0.4, 1.2))))
            if not (compared(script, wanted, tools) or worked_out(script, wanted, tools)):
                if (
                    not wanted.prose
                ):  # that no form here gives it is no reason to consult: the next one like it may work
                    continue
                script.read_or_consult("unsure")
            yield script.messages


def compared(script: Script, wanted: Wanted, tools: TrainingTools) -> bool:
    """Take a comparison if it gives gold."""
    found = HIGH.search(wanted.question) or LOW.search(wanted.question)
    if (
        not wanted.prose
        or found is None
        or not re.match(r"(?:In )?(?:which|what|when)\b", wanted.question, re.IGNORECASE)
    ):
        return False
    cells = all_cells(tools, wanted.document)
    names = dict.fromkeys(name for c in cells for name in (c.row, c.column))
    runs = dict.fromkeys(sorted((best_run(wanted.question, name) for name in names), key=lambda run: -run[1]))
    for label, by in ((run, found.group()) for run, score in runs if score >= SHORTEST_MATCH):
        observation = tools.compare(label, by, wanted.question, script.evidence, wanted.document)
        if not observation.error and exact_match(observation.findings[0].text, wanted.answers):
            number = script.use(step("compare", label=label, by=by), observation)
            script.take(step("answer", findings=[number]))
            return True
    return False


def worked_out(script: Script, wanted: Wanted, tools: TrainingTools) -> bool:
    """Take the look-ups and the calculation that give gold, if there are such."""
    cells = all_cells(tools, wanted.document)
    values = wanted.answers[:1] if wanted.prose else NUMBER.findall(wanted.derivation)
    chosen = [nearest_cell(value, cells, wanted.question) for value in values]
    named = [c for c in dict.fromkeys(chosen) if c is not None]
    for order in permutations(named) if len(named) in FORMS else ():
        for form in FORMS[len(order)]:
            if (form == "{0}") == wanted.prose and gives(form, order, wanted.answers):
                return taken(script, wanted, tools, order, form)
    return False


def all_cells(tools: TrainingTools, document: str) -> list[Cell]:
    """The cells of a document's tables."""
    return [c for i, p in enumerate(tools.tables(document)) for c in cells_of(i, p)]


def best_run(question: str, label: str, longest: int = LONGEST_LABEL) -> tuple[str, float]:
    """The run of words of a question that matches a label best, the shortest of those, and how well."""
    words = question.split()
    best = ("", 0.0)
    for length in range(1, min(longest, len(words)) + 1):
        for at in range(len(words) - length + 1):
            run = " ".join(words[at : at + length]).strip("?,.")
            score = match(run, label)
            if score > best[1] + 1e-9:
                best = (run, score)
    return best


def nearest_cell(value: str, cells: Sequence[Cell], question: str) -> Cell | None:
    """The cell that states a number and whose labels the question names best."""
    number = value_of(value)
    alike = [c for c in cells if number is not None and value_of(c.text) in (number, -number)]
    rated = [(best_run(question, c.row)[1] * best_run(question, c.column, 5)[1], -i, c) for i, c in enumerate(alike)]
    return max(rated)[2] if rated and max(rated)[0] > SHORTEST_MATCH else None


def value_of(text: str) -> Any:
    """The number of a text, or `None`."""
    try:
        return number_in(text)
    except ToolError:
        return None


def gives(form: str, cells: Sequence[Cell], answers: Sequence[str]) -> bool:
    """Whether an expression over some cells is the gold answer."""
    if form == "{0}":
        return bool(exact_match(cells[0].text, answers)) or numeric_match(cells[0].text, answers)
    findings = [Finding(text=cell.text, score=1.0, origin="table") for cell in cells]
    try:
        result = calculate(form.format("f1", "f2", "f3"), findings).findings[0].text
    except ToolError:
        return False
    return numeric_match(result, [answer.rstrip("%") for answer in answers])


def taken(script: Script, wanted: Wanted, tools: TrainingTools, cells: Sequence[Cell], form: str) -> bool:
    """Look the cells up by words of the question; nothing is taken unless every one is found."""
    trial = script.copy()
    numbers = []
    for cell in cells:
        row, column = best_run(wanted.question, cell.row)[0], best_run(wanted.question, cell.column, 5)[0]
        if not row or not column:
            return False
        found = tools.lookup(row, column, wanted.question, trial.evidence, wanted.document)
        if found.error or found.findings[0].text != cell.text:
            return False
        numbers.append(trial.use(step("lookup", row=row, column=column), found))
    if form != "{0}":
        expression = form.format(*(f"f{n}" for n in numbers))
        result = tools.calculate(expression, wanted.question, trial.evidence)
        numbers = [trial.use(step("calculate", expression=expression), result)]
    trial.take(step("answer", findings=[numbers[0]]))
    script.become(trial)
    return True
