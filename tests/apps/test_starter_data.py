"""What the starter is trained on: steps that the agent's own grammar allows, at every point of a transcript."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from llguidance import LLMatcher

from understudy.agents.grammar import step_grammar
from understudy.agents.profiles import POINTING
from understudy.agents.small_model import SmallModel, starter_path, thread_words
from understudy.apps.starter.tables import ask, make_table
from understudy.apps.starter.transcripts import label, table_passage, table_transcripts
from understudy.core.types import Evidence, Finding, Message, Observation, Passage, Scope
from understudy.tools.lookup import lookup
from understudy.tools.toolbox import LocalToolBox

TEXTS = ["The works in Basel make pumps.", "Employees may take 25 days of leave.", "Ask the office.", "Nothing here."]
LABELS = [
    "Total net sales",
    "Provision for income taxes",
    "Research, development and engineering",
    "Net loss per share",
]


class NoRetriever:
    """Here the tools are only declared."""

    def search(self, query: str, scope: Scope, limit: int = 5) -> list[Passage]:
        raise AssertionError("not called")


@pytest.fixture(scope="module")
def model() -> Iterator[SmallModel]:
    box = LocalToolBox(NoRetriever(), None, lambda collection, documents: [])
    opened = SmallModel(starter_path(), box.tools)
    yield opened
    opened.close()


def allowed(model: SmallModel, transcript: list[Message], numbers: int) -> bool:
    """Whether the grammar accepts the last step after `numbers` findings, the last of which is a tool's."""
    findings = [Finding(text="1", score=0.5, origin="reader")] * (numbers - 1)
    findings += [Finding(text="1", score=0.5, origin="calculator")] * (numbers > 0)
    thread = thread_words(transcript)
    grammar = step_grammar(POINTING, model.tools, Evidence(findings=tuple(findings)), thread, final=False)
    matcher = LLMatcher(model.engine.guide, grammar, log_level=0)
    ids = model.engine.tokenize(transcript[-1].content, control=False)
    return bool(matcher.consume_tokens(ids)) and bool(matcher.is_accepting())


def numbered(transcript: list[Message]) -> int:
    """The number of the last finding that was shown; a search shows two of up to four."""
    lines = [line for m in transcript if m.role == "user" for line in m.content.split("\n")]
    return max((int(line[1:].split()[0]) for line in lines if line[:1] == "f" and line[1:2].isdigit()), default=0)


@pytest.mark.parametrize("seed", range(6))
def test_every_step_of_a_transcript_is_one_that_the_agent_could_take(model: SmallModel, seed: int) -> None:
    for transcript in table_transcripts(8, TEXTS, LABELS, random.Random(seed)):
        for at, message in enumerate(transcript):
            if message.role == "assistant":
                before = transcript[: at + 1]
                assert allowed(model, before, numbered(before)), message.content


def test_the_look_up_tool_finds_the_cells_that_a_question_is_labelled_with() -> None:
    rng, right, asked = random.Random(5), 0, 0
    for _ in range(200):
        table = make_table(rng, LABELS)
        passage = table_passage(table, rng)
        for row, column in ask(table, rng).lookups:
            found = lookup(row, column, [passage]).findings[0].text
            r = next(i for i, label_ in enumerate(table.rows) if label_.lower() == row.lower())
            asked += 1
            right += found == table.cells[r][table.columns.index(column)]
    assert right / asked > 0.97


def reader_found(*texts: str) -> Evidence:
    scores = [0.4, 0.9, 0.2]
    findings = tuple(Finding(text=t, score=s, origin="reader") for t, s in zip(texts, scores, strict=False))
    return Evidence().extended(Observation(findings=findings))


def test_a_reading_question_is_labelled_by_whether_the_reader_s_best_span_is_right() -> None:
    assert label("12 May 2019", reader_found("in June", "12 May 2019")).content == '{"kind":"answer","findings":[2]}'
    assert "consult" in label("12 May 2019", reader_found("12 May 2019", "in June")).content
    assert "consult" in label("12 May 2019", Evidence()).content
    assert "decline" in label(None, reader_found("in June", "12 May 2019")).content
