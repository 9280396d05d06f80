"""The grammar of the next step, generated from the step models and the tools on offer (llguidance's Lark dialect).

Quotes are verbatim by construction: a quote is a run of words of one passage (`substring_chunks`). The chunks are
JSON-escaped one by one, because a substring of escaped text can begin inside an escape and one of raw text can let a
bare quotation mark through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from llguidance import LLMatcher
from pydantic import BaseModel

from understudy.agents.profiles import Profile
from understudy.core.steps import AnswerStep, Consult, Decline
from understudy.core.types import Evidence, Finding

__all__ = ["quote_chunks", "step_grammar", "unusable"]

CHUNK = re.compile(r"[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|\s+|\S")
LONGEST_RUN = 400
"""Characters of JSON in a quote or another run of words."""
ANY, INK = r"([^\\]|\\.)", r"([^\\\s]|\\[\"\\\/]|\\u00(0[0-8ef]|1[0-9ab]))"
"""A character of JSON text, and one that isn't white space, as regular expressions."""
MARK, SPACED_MARK, CLOSE = r'"\""', r'"\" "', r'"\"}"'
"""A quotation mark, one with a space (so that the words after it are the tokens that they are in a sentence, which
lets a very small model copy), and one that ends a step: as Lark literals."""
FREE_STRING = r'/([^"\\\x00-\x1F\x7F]|\\["\\\/bfnrt]){%d,%d}/'


def quoted(text: str) -> str:
    """Text as a Lark string literal."""
    return json.dumps(text, ensure_ascii=False)


def escaped(text: str) -> str:
    """Text as it stands inside a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def quote_chunks(text: str) -> list[str]:
    """Where a quote may begin and end: words, white space, and CJK and symbols one by one."""
    return [escaped(chunk) for chunk in CHUNK.findall(text.strip())]


class Rules:
    """Lark rules under construction."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, name: str, body: str) -> str:
        """Define a rule (lower case) or a terminal (upper case); gives its name."""
        self.lines.append(f"{name}: {body}")
        return name

    def words(self, name: str, text: str) -> str:
        """A terminal for a run of words of `text`, without white space at its ends."""
        chunks = json.dumps({"substring_chunks": quote_chunks(text)})
        return self.add(name, f"%regex {chunks} & /{INK}((?s:{ANY}{{0,{LONGEST_RUN - 2}}}){INK})?/")


def step_grammar(
    profile: Profile, tools: Sequence[BaseTool], evidence: Evidence, thread: Sequence[str], *, final: bool
) -> str:
    """The grammar of one step.

    Args:
        profile: decides the form of answers, and whether strings are free.
        tools: offered unless `final`.
        evidence: what quotes and findings may refer to.
        thread: what the user wrote in this thread, oldest first.
        final: leave only answer, consult and decline.
    """
    rules = Rules()
    options = [choice(Consult, "consult"), choice(Decline, "decline")]
    if profile.answer is AnswerStep and evidence.passages:
        options.append(rules.add("answer", quotes_rule(rules, evidence)))
    elif profile.answer is not AnswerStep and evidence.findings:
        options.append(rules.add("answer", points_rule(rules, worth_pointing_at(evidence.findings))))
    if not final:
        if not profile.writes:
            rules.words("THREAD", " ".join(thread))
            rules.add("question", " | ".join(map(quoted, whole_questions(thread))))
        options += [rules.add(f"tool{n}", tool_rule(rules, n, tool, profile)) for n, tool in enumerate(tools)]
    return "\n".join(["start: " + " | ".join(options), *rules.lines])


def whole_questions(thread: Sequence[str]) -> list[str]:
    """What a search may ask: the present question, or an earlier one, alone or before the present (JSON-escaped)."""
    *earlier, present = thread
    asked = [present, *earlier, *(f"{question} {present}" for question in earlier)]
    return list(dict.fromkeys(escaped(" ".join(question.split())) for question in asked if question.strip()))


def choice(model: type[BaseModel], kind: str) -> str:
    """A step whose only argument is a `reason` out of a few."""
    reasons = model.model_json_schema()["properties"]["reason"]["enum"]
    return " | ".join(quoted(json.dumps({"kind": kind, "reason": r}, separators=(",", ":"))) for r in reasons)


def quotes_rule(rules: Rules, evidence: Evidence) -> str:
    """An answer with one to three quotes, each a run of words of the passage it names."""
    options = []
    for n, passage in enumerate(evidence.passages, 1):
        if passage.text.strip():
            words = rules.words(f"P{n}", passage.text)
            head = quoted(f'{{"passage":{n},"quote":"')
            options.append(f"{head} {words} {CLOSE}")
    rules.add("quote", " | ".join(options))
    rules.add("FREE", FREE_STRING % (1, 600))
    head, middle = quoted('{"kind":"answer","quotes":['), quoted('],"text":"')
    return f'{head} quote ("," quote){{0,2}} {middle} FREE {CLOSE}'


def points_rule(rules: Rules, numbers: Sequence[int]) -> str:
    """An answer that points at one to three findings."""
    rules.add("finding", " | ".join(quoted(str(n)) for n in numbers))
    head = quoted('{"kind":"answer","findings":[')
    return f'{head} finding ("," finding){{0,2}} {quoted("]}")}'


def worth_pointing_at(findings: Sequence[Finding]) -> list[int]:
    """The reader's best span and the latest result of another tool, numbered from 1.

    A model too small to read ranks spans worse than the reader does; what it decides is which of the two answers,
    and whether to answer at all.
    """
    spans = [n for n, f in enumerate(findings, 1) if f.origin == "reader"]
    best = max(spans, key=lambda n: findings[n - 1].score, default=None)
    latest = max((n for n, f in enumerate(findings, 1) if f.origin != "reader"), default=None)
    return [n for n in (best, latest) if n is not None]


def tool_rule(rules: Rules, number: int, tool: BaseTool, profile: Profile) -> str:
    """A tool's step: its arguments by their JSON schema, or word by word for a model that can't write."""
    schema: dict[str, Any] = convert_to_openai_tool(tool)["function"]["parameters"]
    if profile.writes:
        foreign = isinstance(tool.args_schema, dict)
        properties = {"kind": {"const": tool.name}, **schema.get("properties", {})}
        whole = {
            **schema,
            "properties": properties,
            # Others' tools may have many arguments that nobody needs, and ask for what no grammar can.
            "required": ["kind", *schema.get("required", [])] if foreign else list(properties),
            "additionalProperties": False,
            "x-guidance": {
                "whitespace_flexible": False,
                "item_separator": ",",
                "key_separator": ":",
                "lenient": foreign,
            },
        }
        return "%json " + json.dumps(whole)
    parts = [quoted('{"kind":' + json.dumps(tool.name))]
    declared = tool.get_input_jsonschema().get("properties", {})  # the form for OpenAI drops our marks
    for field, spec in schema.get("properties", {}).items():
        parts.append(quoted("," + json.dumps(field) + ":"))
        marked = {**spec, **{k: v for k, v in declared.get(field, {}).items() if k.startswith("x-")}}
        parts.append(argument_rule(rules, f"a{number}_{len(parts)}", marked))
    return " ".join([*parts, quoted("}")])


def unusable(tool: BaseTool, profile: Profile) -> str | None:
    """Why no step of a tool can be written under a grammar, as with schemas of others; `None` where it can."""
    rules = Rules()
    try:
        rules.add("start", tool_rule(rules, 0, tool, profile))
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        return f"its arguments have no schema that can be read: {type(error).__name__}"
    wrong = LLMatcher.validate_grammar("\n".join(rules.lines))
    return f"its arguments can't be put into a grammar: {wrong.splitlines()[0][:200]}" if wrong else None


def argument_rule(rules: Rules, name: str, spec: dict[str, Any]) -> str:
    """One argument for a model that can't write: a pattern, words of the thread, or a value by JSON schema."""
    if spec.get("type") == "string" and "enum" not in spec:
        if "pattern" in spec:
            pattern = str(spec["pattern"]).strip("^$").replace("/", r"\/")
            return f"{MARK} {rules.add(name.upper(), '/' + pattern + '/')} {MARK}"
        return f"{SPACED_MARK} {'question' if spec.get('x-thread') == 'questions' else 'THREAD'} {MARK}"
    return rules.add(name, "%json " + json.dumps(spec))
