"""The grammar of a step: what it lets a model write, and what it doesn't."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.tools import tool
from llguidance import LLMatcher

from understudy.agents.grammar import step_grammar
from understudy.agents.profiles import POINTING, QUOTING
from understudy.agents.small_model import SmallModel, parse_step, starter_path, thread_words
from understudy.core.steps import ToolStep
from understudy.core.types import Evidence, Observation, Passage, Scope
from understudy.tools.toolbox import LocalToolBox

TEXT = 'The warranty of model A-12 is 3 years; it can\'t be "extended".\nGarantie für Geräte: 24 Monate.'
WORDS = st.lists(
    st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["C", "Z"]), min_size=1, max_size=8),
    min_size=1, max_size=9,
)  # fmt: skip


@tool
def lookup(row: str, column: str) -> str:
    """A cell."""
    return row + column


@pytest.fixture(scope="module")
def model() -> Iterator[SmallModel]:
    opened = SmallModel(starter_path(), [lookup])
    yield opened
    opened.close()


class NoRetriever:
    """Here the tools are only declared."""

    def search(self, query: str, scope: Scope, limit: int = 5) -> list[Passage]:
        raise AssertionError("not called")


def accepts(model: SmallModel, grammar: str, text: str) -> bool:
    matcher = LLMatcher(model.engine.vocabulary.guide, grammar, log_level=0)
    return bool(matcher.consume_tokens(model.engine.tokenize(text, control=False))) and bool(matcher.is_accepting())


def quoting(model: SmallModel, quote: str, text: str = TEXT) -> bool:
    passage = Passage(document="d", title="T", version="v", location="page 1", start=0, end=len(text), text=text)
    grammar = step_grammar(QUOTING, [], Evidence(passages=(passage,)), [], final=True)
    step = {"kind": "answer", "quotes": [{"passage": 1, "quote": quote}], "text": "Yes."}
    return accepts(model, grammar, json.dumps(step, ensure_ascii=False, separators=(",", ":")))


def labelled(model: SmallModel, row: str, question: str) -> bool:
    grammar = step_grammar(POINTING, model.tools, Evidence(), [question], final=False)
    step = {"kind": "lookup", "row": row, "column": " 2019"}
    return accepts(model, grammar, json.dumps(step, separators=(",", ":")))


@pytest.mark.parametrize("quote", ["warranty of model", "3 years;", 'can\'t be "extended".\nGarantie', "24 Monate"])
def test_a_quote_is_any_run_of_words(model: SmallModel, quote: str) -> None:
    assert quoting(model, quote)


@pytest.mark.parametrize(
    "quote",
    ["warrant", "arranty of", "the warranty", "3 years it", " 3 years", "3 years; ", "\n", "\nGarantie", ".\n", ""],
)
def test_a_quote_is_never_part_of_a_word_nor_another_wording_nor_has_spaces_at_its_ends(
    model: SmallModel, quote: str
) -> None:
    assert not quoting(model, quote)


def test_a_label_ends_before_the_space_that_follows_it_in_the_question(model: SmallModel) -> None:
    question = "What was operating profit between 2018 and 2019?"
    assert labelled(model, " operating profit", question)
    assert not labelled(model, " operating profit ", question)


@settings(max_examples=60, deadline=None)
@given(words=WORDS, data=st.data())
def test_every_run_of_words_can_be_quoted(model: SmallModel, words: list[str], data: st.DataObject) -> None:
    text = " ".join(words)
    place = [m.span() for m in re.finditer(r"\w+|[^\w\s]", text)]
    first = data.draw(st.integers(0, len(place) - 1))
    last = data.draw(st.integers(first, len(place) - 1))
    assert quoting(model, text[place[first][0] : place[last][1]], text)


def test_a_very_small_model_s_words_stand_behind_a_space_as_in_a_sentence(model: SmallModel) -> None:
    assert not labelled(model, "operating profit", "What was operating profit between 2018 and 2019?")
    text = '{"kind":"lookup","row":" operating profit","column":" 2019"}'
    step = parse_step(text, spaced=True)
    assert step == ToolStep(kind="lookup", arguments={"row": "operating profit", "column": "2019"})
    assert parse_step(text) == ToolStep(kind="lookup", arguments={"row": " operating profit", "column": " 2019"})


def searching(model: SmallModel, query: str, thread: list[str]) -> bool:
    box = LocalToolBox(NoRetriever(), None, lambda collection, documents: [])
    grammar = step_grammar(POINTING, box.tools, Evidence(), thread, final=False)
    return accepts(model, grammar, json.dumps({"kind": "search", "query": query}, separators=(",", ":")))


def test_a_search_asks_a_whole_question_of_the_thread_or_an_earlier_one_before_it(model: SmallModel) -> None:
    thread = ["Who made it?", 'What is the "list price" of model A-12?', "And in  2019?"]
    for query in (thread[0], "And in 2019?", f"{thread[0]} And in 2019?"):
        assert searching(model, f" {query}", thread), query
    for query in ("And in", "made it?", f"And in 2019? {thread[0]}", ""):
        assert not searching(model, f" {query}", thread), query


@pytest.mark.parametrize("text", ["0\x0b0", "a\x1cb"])
def test_a_quote_is_more_than_a_control_character_that_is_white_space(model: SmallModel, text: str) -> None:
    assert quoting(model, text, text)
    assert not quoting(model, text[1], text)
    assert quoting(model, "a\x07b", "a\x07b")


def test_a_question_of_several_lines_is_searched_whole(model: SmallModel) -> None:
    question = "We sell pumps.\nNote: since 1961.\n\nWhat was  revenue?"
    opened = POINTING.open(question, [], "")
    shown = POINTING.observe(question, Evidence(), Observation(text="", answerable=0.0))
    whole = "We sell pumps. Note: since 1961. What was revenue?"
    assert opened[0].content == f"Question: {whole}"
    assert shown.content.endswith(f"\nQuestion: {whole}")
    assert searching(model, f" {whole}", thread_words(opened))
