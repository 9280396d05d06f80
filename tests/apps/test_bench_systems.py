"""Suite `starter`: what the agent is compared with, and how a comparison is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from understudy.agents import Agent
from understudy.agents.small_model import starter_path
from understudy.apps.bench import run
from understudy.apps.bench.answering import ask_all
from understudy.apps.bench.data import Question
from understudy.apps.bench.random_weights import with_random_weights
from understudy.apps.bench.report import as_markdown
from understudy.apps.bench.rivals import ask_reader, ask_top_sentence, sentences
from understudy.apps.bench.scoring import cites, cites_evidence, grounds, score_answer
from understudy.apps.bench.systems import compared_models, figures_row
from understudy.core.errors import UserError
from understudy.core.settings import Settings
from understudy.core.types import Answer, Citation, Scope

PARAGRAPH = (
    "Halden Instruments was founded in 1974 by Ingrid Sorensen. The company makes pressure gauges. "
    "Its head office stands in Trondheim."
)


def question(answers: tuple[str, ...], kind: str = "", id: str = "q") -> Question:
    return Question(id, "What?", "d", answers, bool(answers), kind)


def quote(words: str, document: str = "d", kind: str = "quote") -> Citation:
    return Citation.model_validate(
        {"kind": kind, "document": document, "title": "", "location": "", "start": 0, "end": len(words)}
        | {"quote": words, "score": 0.5}
    )


def answer(text: str, *cited: Citation, route: str = "local", confidence: float = 0.9, **fields: object) -> Answer:
    return Answer.model_validate(
        {"question": "What?", "text": text, "route": route, "reason": "", "confidence": confidence, "thread": "t"}
        | {"citations": cited}
        | fields
    )


def test_evidence_is_the_gold_document_and_words_that_hold_the_answer() -> None:
    asked = question(("The 1974", "in 1974"))
    assert cites_evidence(asked, answer("x", quote("nothing"), quote("Founded in (1974).")))
    assert not cites_evidence(asked, answer("x", quote("Founded in 1974.", document="other")))
    assert not cites_evidence(asked, answer("x", quote("Founded in 1974.", kind="absence")))
    assert not cites_evidence(asked, answer("x", quote("Part 19745.")))
    assert not cites_evidence(asked, None)
    assert cites(answer("x", quote("any")), "d")
    assert not cites(answer("x", quote("", kind="absence"), route="declined"), "d")


def test_grounds_worked_by_hand() -> None:
    scored = [
        score_answer(question(("1974",)), answer("1974", quote("in 1974"), confidence=0.9), 1.0),
        score_answer(question(("1974",)), answer("", route="declined", confidence=0.05), 1.0),
        score_answer(question(()), answer("x", quote("in 1974"), confidence=0.3), 1.0),
        score_answer(question(()), None, 1.0),
    ]
    found = grounds(scored, 17)
    assert found["evidence_cited"]["value"] == 0.5
    assert found["confidence_auroc"]["value"] == 0.75  # 0.9 is above 0.3 and 0; 0.05 is above 0 alone
    assert grounds([score_answer(question(("1",), "arithmetic"), None, 1.0)], 17) == {}


def test_sentences_are_those_that_citations_show() -> None:
    text = 'It opened in 1974. "It" closed.\nNo end\n\n| a | b |\n|---|---|\n| 1. Fee | 2 |'
    assert [text[a:b] for a, b in sentences(text)] == [
        "It opened in 1974.",
        '"It" closed.',
        "No end",
        "| a | b |",
        "| 1. Fee | 2 |",
    ]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    folder = tmp_path_factory.mktemp("rivals")
    (folder / "halden.txt").write_text(PARAGRAPH, encoding="utf-8")
    (folder / "blank.md").write_text("---\n\n***\n", encoding="utf-8")
    with Agent.open(folder / "workspace", settings=Settings()) as opened:
        opened.ingest([folder / "halden.txt", folder / "blank.md"])
        yield opened


def test_top_sentence_is_answer_and_citation(agent: Agent) -> None:
    found = ask_top_sentence(agent, "In which city is the head office?", Scope())
    assert found.text == "Its head office stands in Trondheim."
    (cited,) = found.citations
    assert (cited.quote, cited.document) == (found.text, "halden.txt")
    assert PARAGRAPH[cited.start : cited.end] == cited.quote
    assert 0 < found.confidence <= 1


def test_reader_alone_always_answers(agent: Agent) -> None:
    found = ask_reader(agent, "Who won the cup in 1990?", Scope(document="halden.txt"))
    assert found.route == "local"
    (cited,) = found.citations
    assert found.text in cited.quote
    assert PARAGRAPH[cited.start : cited.end] == cited.quote


def test_a_passage_without_sentences_is_declined(agent: Agent) -> None:
    found = ask_top_sentence(agent, "Who?", Scope(document="blank.md"))
    assert (found.route, found.text, found.confidence) == ("declined", "", 0.0)


def test_scope_and_failures_are_the_questions_own(agent: Agent) -> None:
    there = Question("1", "Where is the head office?", "halden.txt", ("Trondheim",), True)
    absent = Question("2", "Where is the head office?", "absent.txt", ("Trondheim",), True)
    found = ask_all(agent, [there, absent], scoped=True, label="asking", ask=ask_top_sentence)
    assert [s.route for s in found] == ["local", "failed"]
    assert cites_evidence(there, found[0].answer)


def test_random_weights_keep_shapes_scale_and_tokenizer(tmp_path: Path) -> None:
    made = tmp_path / "random.gguf"
    with_random_weights(starter_path(), made, 17)
    assert [f.name for f in tmp_path.iterdir()] == ["random.gguf"]
    shipped, random = gguf.GGUFReader(starter_path()), gguf.GGUFReader(made)
    assert set(shipped.fields) == set(random.fields)
    for name in ("understudy.profile", "tokenizer.ggml.tokens", "tokenizer.chat_template", "general.file_type"):
        assert shipped.fields[name].contents() == random.fields[name].contents()
    for old, new in zip(shipped.tensors, random.tensors, strict=True):
        assert (old.name, old.tensor_type, list(old.shape)) == (new.name, new.tensor_type, list(new.shape))
        before, after = (gguf.dequantize(t.data, t.tensor_type) for t in (old, new))
        if before.ndim == 1:
            assert np.array_equal(before, after)
        else:
            assert after.std() == pytest.approx(before.std(), rel=0.05)
            assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 0.05
    again = tmp_path / "again.gguf"
    with_random_weights(starter_path(), again, 17)
    assert again.read_bytes() == made.read_bytes()


def test_models_to_compare_are_named_files(tmp_path: Path) -> None:
    file = tmp_path / "a=b.gguf"
    file.touch()
    (found,) = compared_models([f"first starter={file}"])
    assert (found.name, found.model) == ("first starter", str(file))
    for wrong, words in {
        "first": "as NAME=PATH",
        f"={file}": "as NAME=PATH",
        f"agent={file}": "another system",
        f"first={tmp_path}": "is no file",
    }.items():
        with pytest.raises(UserError, match=words):
            compared_models([wrong])
    with pytest.raises(UserError, match="another system"):
        compared_models([f"a={file}", f"a={file}"])
    with pytest.raises(UserError, match="--compare is for suite starter"):
        run("agent", tmp_path, tmp_path, None, 17, ["a=b"])


def test_a_system_is_a_row() -> None:
    squad = [
        score_answer(question(("1974",)), answer("1974", quote("in 1974")), 1.0),
        score_answer(question(()), answer("", route="declined", confidence=0.1), 3.0),
        score_answer(question(()), answer("x", confidence=0.9), 2.0),
    ]
    tatqa = [
        score_answer(question(("5",), "arithmetic"), answer("5"), 1.0),
        score_answer(question(("a",), "span"), None, 1.0),
        score_answer(question(("a",), "multi-span"), answer("b"), 1.0),
    ]
    row = figures_row("rule", "none", squad, tatqa, 17)
    values = {k: v["value"] for k, v in row.items() if isinstance(v, dict)}
    assert values == {
        "answerable_em": 1.0,
        "answerable_f1": 1.0,
        "evidence_cited": 1.0,
        "unanswerable_declined": 0.5,
        "all_em": pytest.approx(2 / 3, abs=1e-4),
        "confidence_auroc": 0.75,
        "tatqa_span_em": 0.0,
        "tatqa_arithmetic_em": 1.0,
    }
    assert (row["failed"], row["squad_seconds_p50"]) == (1, 2.0)


def test_rows_become_a_markdown_table() -> None:
    machine = {"cpu": "c", "cores": 2, "memory_gib": 1.0}
    rows = [
        {"system": "a|b", "all_em": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 4}},
        {"system": "c", "auc": None},
    ]
    result = {"suite": "s", "version": "v", "date": "d", "machine": machine, "seed": 1}
    lines = as_markdown(result | {"figures": {"questions": 4, "systems": rows}}).splitlines()
    assert lines[4:] == [
        "| measure | value |",
        "|---|---|",
        "| questions | 4 |",
        "",
        "## systems",
        "",
        "| system | all em | auc |",
        "|---|---|---|",
        "| a\\|b | 0.500 (0.250 to 0.750), n = 4 | – |",
        "| c | – | – |",
    ]
