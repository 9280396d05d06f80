"""What the starter is trained on: steps that the agent's own grammar allows, at every point of a transcript."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from llguidance import LLMatcher

from understudy.agents.grammar import step_grammar
from understudy.agents.profiles import POINTING, percent
from understudy.agents.small_model import SmallModel, starter_path, thread_words
from understudy.apps.bench.data import squad_questions
from understudy.apps.folder import may_train, read_lines
from understudy.apps.starter.corpus import Reading, asked_about, normalised_text, tatqa_readings, training_documents
from understudy.apps.starter.script import Script, step
from understudy.apps.starter.tables import ask, make_table
from understudy.apps.starter.transcripts import table_passage, table_transcripts
from understudy.apps.starter.variation import changed_questions, cropped, near_misses
from understudy.core.types import Evidence, Finding, Message, Observation, Passage, Scope
from understudy.distillation.cloze import cloze_readings
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
    matcher = LLMatcher(model.engine.vocabulary.guide, grammar, log_level=0)
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
        question = ask(table, rng)
        for row, column in question.lookups:
            found = lookup(row, column, [passage], question.question).findings[0].text
            r = next(i for i, label_ in enumerate(table.rows) if label_.lower() == row.lower())
            asked += 1
            right += found == table.cells[r][table.columns.index(column)]
    assert right / asked > 0.97


def test_a_follow_up_is_answered_from_its_own_words_and_those_of_what_it_follows() -> None:
    rng, seen, order = random.Random(9), 0, set()
    for _ in range(600):
        question = ask(make_table(rng, LABELS), rng)
        if question.earlier:
            thread = f"{question.earlier[0]} {question.question}"
            seen += 1
            assert all(label in thread for cell in question.lookups for label in cell)
            assert any(label in question.question for cell in question.lookups for label in cell)
            asked = [y for y in re.findall(r"\b\d{4}\b", question.earlier[0])]
            own = re.findall(r"\b\d{4}\b", question.question)
            order |= {own[0] > asked[0]} if asked and own else set()
    assert seen > 60
    assert order == {True, False}, "a follow-up asks for earlier years as well as for later ones"


def ended(score: float | None, *, passages: bool = True) -> str:
    """The last step of a question whose best span of two has a score."""
    script = Script("When?")
    shown = (
        (Passage(document="d", title="T", version="v", location="", start=0, end=3, text="May"),) if passages else ()
    )
    found = () if score is None else (
        Finding(text="June", score=score / 2, origin="reader"), Finding(text="May", score=score, origin="reader")
    )  # fmt: skip
    script.use(step("search", query="When?"), Observation(passages=shown, findings=found, answerable=0.5))
    script.read_or_consult("unsure")
    return script.messages[-1].content


def test_a_text_question_is_answered_by_the_best_span_if_its_score_allows_it() -> None:
    assert ended(0.05) == '{"kind":"answer","findings":[2]}'
    assert ended(0.99) == '{"kind":"answer","findings":[2]}'
    assert "consult" in ended(0.04)
    assert "consult" in ended(None)
    assert "decline" in ended(None, passages=False)


def test_what_the_label_says_is_what_the_transcript_shows() -> None:
    """A score is compared as it is printed, so that the rule can be learned from the transcript."""
    for hundredths in range(30, 70):
        content = ended(hundredths / 1000)
        assert ("answer" in content) == (percent(hundredths / 1000) >= "05")


def test_a_comparison_takes_its_label_and_its_superlative_from_the_question() -> None:
    rng, seen = random.Random(8), 0
    for _ in range(400):
        question = ask(make_table(rng, LABELS), rng)
        if question.compared is not None:
            seen += 1
            assert all(part in question.question for part in question.compared)
    assert seen > 10


TEXT = (
    "The bridge was built by Ada Lovell in 1907 near the harbour of Port Anselm. It has 3,400 rivets and two lanes for "
    "carriages. In May 1931 the council of Port Anselm closed it to horses, because the wooden deck had become unsafe."
)


def test_clozes_ask_for_a_span_of_their_passage_or_for_one_that_was_taken_out() -> None:
    made = list(cloze_readings([("g", "Bridge", TEXT)] * 40, random.Random(3), each=3, missing=0.4))
    assert len(made) > 60
    for reading in made:
        if reading.start is None or reading.end is None:
            assert len(reading.passage) < len(TEXT)
        else:
            answer = reading.passage[reading.start : reading.end]
            assert answer.strip() == answer != ""
            assert reading.passage == TEXT
    answers = {r.passage[r.start : r.end] for r in made if r.start is not None}
    assert {"1907", "Ada Lovell"} <= answers
    assert any(r.start is None for r in made)


def gold(question: str, answer: str) -> Reading:
    start = TEXT.index(answer)
    return Reading(question, "Bridge", TEXT, start, start + len(answer), "Bridge")


READINGS = [
    gold("Who built the bridge in 1907?", "Ada Lovell"),
    gold("When was the bridge closed to horses?", "May 1931"),
]


def test_a_part_of_a_passage_still_holds_its_answer_in_its_place() -> None:
    rng = random.Random(4)
    parts = [cropped(READINGS[1], rng) for _ in range(30)]
    assert all(p.passage[p.start : p.end] == "May 1931" for p in parts)
    assert len({p.passage for p in parts}) > 1


def test_changed_questions_have_no_answer_and_are_other_questions() -> None:
    changed = [r for seed in range(20) for r in changed_questions(READINGS, 1.0, random.Random(seed))]
    assert changed
    asked = {r.question for r in READINGS}
    assert all(r.start is None and r.end is None and r.question not in asked for r in changed)
    assert any("not" in r.question for r in changed)


def test_near_misses_are_passages_without_the_answer() -> None:
    elsewhere = Reading("How long?", "Bridge", "Nothing is known of its length.", None, None, "Bridge")
    missed = list(near_misses([*READINGS, elsewhere], 1.0, random.Random(1)))
    assert [(r.question, r.passage, r.start) for r in missed] == [
        (r.question, elsewhere.passage, None) for r in READINGS
    ]


@pytest.mark.data
def test_no_measured_text_is_trained_on(real_data: Path) -> None:
    training = {normalised_text(d["text"]) for d in training_documents(real_data)}
    squad = {d["id"]: d for d in read_lines(real_data / "squad" / "documents.jsonl.gz")}
    measured = {normalised_text(squad[q.document]["text"]) for q in squad_questions(real_data)}
    for name in ("tatqa", "finqa", "pubmedqa"):
        asked = asked_about(real_data, name, ("test",))
        measured |= {normalised_text(d["text"]) for d in asked}
    for name in ("convfinqa", "cuad", "covidqa", "financebench", "policyqa", "sec10q", "agentclinic"):
        measured |= {normalised_text(d["text"]) for d in read_lines(real_data / name / "documents.jsonl.gz")}
    medquad = read_lines(real_data / "medquad" / "documents.jsonl.gz")
    measured |= {normalised_text(d["text"]) for d in medquad if not may_train(d["id"])}
    assert len(training) > 5000
    assert not training & measured


@pytest.mark.data
def test_the_span_of_a_finance_reading_is_its_answer_not_its_paragraph(real_data: Path) -> None:
    answers = {r["question"]: r["answers"][0] for r in read_lines(real_data / "tatqa" / "questions.dev.jsonl.gz")}
    readings = list(tatqa_readings(real_data))
    assert len(readings) > 150
    assert sum(r.passage[r.start : r.end] == answers[r.question].strip() for r in readings) > 0.9 * len(readings)
