"""The tools on offer to a question: search, table look-up, calculator, and whatever LangChain tools the user adds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, Field, ValidationError

from understudy.core.errors import EgressRefused, ToolError, UserError
from understudy.core.protocols import Reader, Retriever
from understudy.core.types import Evidence, Finding, Observation, Passage, Scope
from understudy.core.usage import NOBODYS, Account
from understudy.tools.calculator import CalculateArguments, calculate
from understudy.tools.compare import CompareArguments, compare
from understudy.tools.lookup import LookupArguments, lookup

__all__ = ["LocalToolBox", "SearchArguments"]

TableSource = Callable[[str, Sequence[str]], list[Passage]]
RESERVED = frozenset({"search", "lookup", "compare", "calculate", "answer", "consult", "decline"})
SHORT = 80
"""Longest result of a user's tool that becomes a finding, in characters."""


Call = Callable[[BaseTool, Mapping[str, object], Sequence[str], Account, Sequence[Scope]], str]


def called(tool: BaseTool, arguments: Mapping[str, object], *_whose: object) -> str:
    """What a tool says to arguments as they are."""
    return str(tool.invoke(dict(arguments)))


LONGEST_QUERY = 400
"""Characters of a query; more than the encoder reads."""


class SearchArguments(BaseModel):
    """Arguments of the search."""

    query: Annotated[str, Field(min_length=1, max_length=LONGEST_QUERY, json_schema_extra={"x-thread": "questions"})]
    """A model that can't write searches with a whole question of the thread, or with an earlier one and the present."""


def declared(name: str, description: str, arguments: type[BaseModel]) -> BaseTool:
    """A built-in tool as LangChain sees it: a name, a description, and arguments that feed the grammar."""

    def run(**given: Any) -> str:
        raise ToolError(f"{name} runs inside a question, through the toolbox")

    return StructuredTool.from_function(run, name=name, description=description, args_schema=arguments)


class LocalToolBox:
    """Runs the tools of one workspace.

    Args:
        retriever: finds passages.
        reader: adds findings to every search; optional.
        tables: the table passages of a collection's documents.
        extra: more LangChain tools; their names must be new.
        more: tools that come and go, asked for whenever it matters; the others' names are taken.
        limit: passages a search brings.
        call: runs a further tool, with what may go where it runs, by the collections that its arguments may draw on
            (that which is asked first), whose question it is, and the documents behind; raises `EgressRefused`.
    """

    def __init__(
        self,
        retriever: Retriever,
        reader: Reader | None,
        tables: TableSource,
        extra: Sequence[BaseTool] = (),
        *,
        more: Callable[[], Sequence[BaseTool]] = tuple,
        limit: int = 5,
        call: Call = called,
    ) -> None:
        self._call = call
        self._sources: tuple[str, ...] = ()
        names = [t.name for t in extra]
        for name in names:
            if name in RESERVED or names.count(name) > 1:
                raise UserError(f"the tool name {name!r} is taken; rename your tool")
        self._retriever, self._reader, self._tables, self._limit = retriever, reader, tables, limit
        self._extra, self._more = {t.name: t for t in extra}, more
        self._always: tuple[BaseTool, ...] = (
            declared("search", "passages of the documents for a query", SearchArguments),
            declared("lookup", "one cell of a table, by row and column", LookupArguments),
            declared("compare", "where in a table a row or column is highest or lowest", CompareArguments),
            declared("calculate", "exact arithmetic; findings by label, e.g. (f2 - f1) / f1 * 100", CalculateArguments),
            *extra,
        )

    @property
    def tools(self) -> tuple[BaseTool, ...]:
        """All that are on offer now."""
        return (*self._always, *self._coming().values())

    @property
    def further(self) -> tuple[str, ...]:
        """Names of those on offer now that are not its own."""
        return (*self._extra, *self._coming())

    def _coming(self) -> dict[str, BaseTool]:
        return {t.name: t for t in self._more() if t.name not in RESERVED and t.name not in self._extra}

    def used_by(
        self, reader: Reader, retriever: Retriever, tables: TableSource | None = None, sources: Sequence[str] = ()
    ) -> LocalToolBox:
        """The same tools with another reader, another retriever, and other tables if they are given.

        `sources` are the collections that the thread rests on, besides that which is asked.
        """
        other = copy.copy(self)
        other._sources = tuple(sources)
        other._reader, other._retriever, other._tables = reader, retriever, tables or self._tables
        return other

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
        """Run a tool; what it can't do comes back as an observation with `error` set."""
        try:
            further = self._extra.get(name) or self._coming().get(name)
            if further is not None:
                return self._run_extra(further, arguments, scope, account, rests_on)
            return self._dispatch(name, arguments, question, scope, evidence)
        except (ToolError, ToolException, EgressRefused) as error:
            return Observation(text=str(error), error=True)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            return Observation(text=": ".join(p for p in (name, place, first["msg"]) if p), error=True)

    def _dispatch(
        self, name: str, arguments: dict[str, object], question: str, scope: Scope, evidence: Evidence
    ) -> Observation:
        match name:
            case "search":
                whole = str(arguments.get("query") or "")  # the graph searches with whole questions, however long
                return self._search(SearchArguments(query=whole[:LONGEST_QUERY]).query, question, scope)
            case "lookup":
                return self._lookup(LookupArguments.model_validate(arguments), question, scope, evidence)
            case "compare":
                return self._compare(CompareArguments.model_validate(arguments), question, scope, evidence)
            case "calculate":
                return calculate(CalculateArguments.model_validate(arguments).expression, evidence.findings)
            case _:
                raise ToolError(f"there is no tool {name!r}")

    def _search(self, query: str, question: str, scope: Scope) -> Observation:
        if self._reader is None:
            return Observation(passages=tuple(self._retriever.search(query, scope, limit=self._limit)))
        passages = self._retriever.search(query, scope, limit=max(self._limit, self._reader.breadth))
        asked = query if len(query) > len(question) else question
        expected = self._retriever.expect(asked, scope)
        read = self._reader.read(asked, passages, expected)
        return narrowed(read, passages, self._limit).model_copy(update={"expected": expected})

    def _lookup(self, asked: LookupArguments, question: str, scope: Scope, evidence: Evidence) -> Observation:
        """Tables that were found first, then all tables of the documents they are in."""
        try:
            cell = lookup(asked.row, asked.column, [p for p in evidence.passages if p.table], question)
        except ToolError:
            documents = [p.document for p in evidence.passages]
            if scope.document is not None:
                documents.append(scope.document)
            cell = lookup(asked.row, asked.column, self._tables(scope.collection, documents), question)
        return known(cell, evidence)

    def _compare(self, asked: CompareArguments, question: str, scope: Scope, evidence: Evidence) -> Observation:
        """In whole tables: those of the documents whose tables were found, or else of all that were found."""
        found = [p.document for p in evidence.passages if p.table] or [p.document for p in evidence.passages]
        documents = [scope.document] if scope.document is not None else list(dict.fromkeys(found))
        return known(compare(asked.label, asked.by, self._tables(scope.collection, documents), question), evidence)

    def _run_extra(
        self,
        tool: BaseTool,
        arguments: dict[str, object],
        scope: Scope,
        account: Account,
        rests_on: Sequence[Scope],
    ) -> Observation:
        behind = (scope.collection, *self._sources, *(s.collection for s in rests_on))
        try:
            text = self._call(tool, arguments, tuple(dict.fromkeys(behind)), account, rests_on)
        except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, ValidationError):  # wrong arguments: reported by field, above
                raise
            # Code that isn't ours: what it raises is its result, and no reason to lose the question.
            raise ToolError(f"{tool.name} failed: {error}") from error
        if len(text) > SHORT:
            return Observation(text=text)
        return Observation(text=text, findings=(Finding(text=text, score=1.0, origin="tool"),))


def narrowed(read: Observation, passages: Sequence[Passage], limit: int) -> Observation:
    """What was read, with the best passages and those that a finding is from: the others are not worth their tokens."""
    used = {f.passage for f in read.findings if f.passage is not None}
    kept = [at for at in range(len(passages)) if at < limit or at in used]
    place = {at: n for n, at in enumerate(kept)}
    findings = tuple(
        f if f.passage is None else f.model_copy(update={"passage": place[f.passage]}) for f in read.findings
    )
    return Observation(passages=tuple(passages[at] for at in kept), findings=findings, answerable=read.answerable)


def known(cell: Observation, evidence: Evidence) -> Observation:
    """A look-up's observation without its passage, when the transcript has shown that passage already."""
    passage = cell.passages[0]
    for index, shown in enumerate(evidence.passages):
        if (shown.document, shown.start, shown.end) == (passage.document, passage.start, passage.end):
            moved = tuple(f.model_copy(update={"passage": index}) for f in cell.findings)
            return Observation(text=cell.text, findings=moved)
    return cell
