"""One prefix for the questions of a document: their passages are read once, and each question follows them.

Prompts that begin alike share what llama.cpp has read of them (see `together`). So the passages that any of a
document's questions found stand first, in the order of the document, and what is a question's own comes last. Where
they don't fit the context together, as many questions as do share a prefix.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from understudy.agents.asked import question_of
from understudy.agents.batch.journal import Pending
from understudy.agents.small_model import SmallModel
from understudy.core.errors import UnderstudyError
from understudy.core.protocols import ToolBox
from understudy.core.types import Evidence, Finding, Observation, Passage, Scope
from understudy.graphs.state import AskState

__all__ = ["Prefixes", "grouped", "opening"]

Place = tuple[int, int]
"""Where a passage stands in its document."""


@dataclass(frozen=True)
class Found:
    """What the search of a question brought."""

    question: str
    seen: Observation


@dataclass(frozen=True)
class Held:
    """A document's questions with what was found for each, and what their prefixes show."""

    version: object
    found: Mapping[int, Found]
    shown: Mapping[int, Sequence[Passage]]
    """By the number of a question's row."""


@dataclass(eq=False)
class Group:
    """The questions of a document that follow each other."""

    rows: Sequence[Pending]
    document: str
    held: asyncio.Task[Held] | None = None
    """What was found for them, once the first has come."""


class Prefixes:
    """The prefixes of a job's documents, each made when its first question comes.

    Args:
        planner: the small model.
        collection: whose documents.
    """

    def __init__(self, planner: SmallModel, collection: str) -> None:
        self._planner, self._collection = planner, collection
        self._shares = planner.open_with("", Evidence()) is not None
        self._groups: dict[int, Group] = {}
        self.whole = 0
        """Questions whose document's passages fit the context together."""
        self.parted = 0
        """Questions of the other documents."""

    def announced(self, rows: Iterable[Pending]) -> Iterator[Pending]:
        """The same rows; those of a document, which follow each other, are known before the first is given."""
        for document, some in groupby(rows, key=lambda row: row.query.document):
            if document is None or not self._shares:
                yield from some
                continue
            rows_of = list(some)
            asked = tuple(row for row in rows_of if row.query.problem is None)
            if len(asked) > 1:
                self._groups |= dict.fromkeys((row.number for row in asked), Group(asked, document))
            yield from rows_of

    async def opening(self, row: Pending, tools: ToolBox, version: object) -> AskState:
        """How a question begins: with its passages shown already, or as any question does.

        Args:
            row: of the question.
            tools: that it is searched by.
            version: the document as it is held now: what was found in another one doesn't count.
        """
        group = self._groups.pop(row.number, None)
        if group is None:
            return {}
        task = group.held
        if task is None or (task.done() and (task.exception() or task.result().version is not version)):
            task = group.held = asyncio.create_task(self._made(group, tools, version))
        held = await asyncio.shield(task)
        shown, found = held.shown.get(row.number), held.found.get(row.number)
        return {} if shown is None or found is None else opening(found.question, found.seen, shown, self._planner)

    async def _made(self, group: Group, tools: ToolBox, version: object) -> Held:
        """Search for all questions of a document; one that can't be searched for goes its own way, and says why."""
        scope = Scope(collection=self._collection, document=group.document)
        work = (asyncio.to_thread(searched, tools, row.query.question, scope) for row in group.rows)
        found: dict[int, Found] = {}
        for row, seen in zip(group.rows, await asyncio.gather(*work, return_exceptions=True), strict=True):
            if isinstance(seen, Found):
                found[row.number] = seen
            elif not isinstance(seen, UnderstudyError):
                raise seen

        def fits(questions: Sequence[Found], passages: Sequence[Passage]) -> bool:
            longest = max(questions, key=lambda q: len(q.question) + sum(len(f.text) for f in q.seen.findings))
            return bool(self._planner.open_with(longest.question, evidence_of(longest.seen, passages)))

        shown = await asyncio.to_thread(grouped, found, fits)
        one = len({tuple(map(place, passages)) for passages in shown.values()}) == 1 and len(shown) == len(found)
        self.whole += len(found) * one
        self.parted += len(found) * (not one)
        return Held(version, found, shown)


def searched(tools: ToolBox, question: str, scope: Scope) -> Found:
    """What a search for a question brings."""
    asked = question_of(question)
    return Found(asked, tools.run("search", {"query": asked}, asked, scope, Evidence()))


def grouped(
    found: Mapping[int, Found], fits: Callable[[Sequence[Found], Sequence[Passage]], bool]
) -> dict[int, Sequence[Passage]]:
    """The passages that are shown for each question: those of as many questions after each other as fit together.

    Args:
        found: by row, what each search brought.
        fits: whether some questions can be asked after some passages.

    A question whose own passages don't fit is left out.
    """
    shown: dict[int, Sequence[Passage]] = {}
    group: dict[int, Found] = {}
    passages: Sequence[Passage] = ()
    for number, one in found.items():
        wider = union([*passages, *one.seen.passages])
        if not fits([*group.values(), one], wider):
            shown |= dict.fromkeys(group, passages)
            group, wider = {}, union(one.seen.passages)
            if not fits([one], wider):
                passages = ()
                continue
        group[number], passages = one, wider
    return shown | dict.fromkeys(group, passages)


def union(passages: Sequence[Passage]) -> list[Passage]:
    """Each once, in the order of the document, without the scores that it has for one question."""
    bare = {place(p): p.model_copy(update={"score": 0.0, "dense_rank": None, "lexical_rank": None}) for p in passages}
    return [bare[at] for at in sorted(bare)]


def place(passage: Passage) -> Place:
    """Where a passage stands."""
    return passage.start, passage.end


def evidence_of(seen: Observation, shown: Sequence[Passage]) -> Evidence:
    """A question's evidence among the passages that are shown: its own have their scores."""
    own = {place(p): p for p in seen.passages}
    at = {place(p): n for n, p in enumerate(shown)}
    passages = tuple(own.get(place(p), p) for p in shown)

    def moved(finding: Finding) -> Finding:
        index = None if finding.passage is None else at[place(seen.passages[finding.passage])]
        return finding.model_copy(update={"passage": index})

    return Evidence(
        passages=passages,
        findings=tuple(map(moved, seen.findings)),
        answerable=seen.answerable,
        expected=seen.expected,
    )


def opening(question: str, seen: Observation, shown: Sequence[Passage], planner: SmallModel) -> AskState:
    """A state in which the question has been searched for, and what was found for it and others is shown."""
    evidence = evidence_of(seen, shown).model_copy(update={"searches": (question,)})
    messages = planner.open_with(question, evidence)
    if messages is None:
        return {}
    search = {"query": question}
    return {
        "transcript": [message.model_dump() for message in messages],
        "evidence": evidence.model_dump(mode="json"),
        "calls": [json.dumps(["search", search], sort_keys=True)],
        "records": [{"kind": "search", **search, "seconds": 0.0, "passages": len(seen.passages)}],
    }
