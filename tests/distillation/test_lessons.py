"""What a reader is taught by an expert's answer."""

from __future__ import annotations

import random

import pytest
from example_parts import example

from understudy.core.types import Citation, Example, Passage
from understudy.distillation.lessons import encoded, encoder, lessons_of, says, span_of, widened

ASKED = "Is subletting allowed?"
BODY = "The tenant pays 700 euros. Subletting needs the landlord's consent. Pets are allowed."
CONSENT = "Subletting needs the landlord's consent."


def other(number: int, document: str = "report.md") -> Passage:
    """A passage of another place."""
    text = f"Passage {number} is about the weather."
    start = 1000 * number
    return Passage(
        document=document, title="Report", version="v1", location="", start=start, end=start + len(text), text=text
    )


OTHERS = [other(n) for n in range(1, 11)]


def taught(of: Example, most: int = 4) -> list[tuple[int, bool, str | None]]:
    """Of every lesson, where its passage begins, whether that answers, and the words."""
    lessons = lessons_of(of, [*of.evidence.passages, *OTHERS], most, random.Random(1))
    return [
        (
            lesson.passage.start,
            lesson.answers,
            None if lesson.start is None else lesson.passage.text[lesson.start : lesson.end],
        )
        for lesson in lessons
    ]


def test_words_are_taught_where_they_stand_in_the_quote() -> None:
    found = taught(example("700 euros", "The tenant pays 700 euros.", BODY, "What is the rent?"))
    assert found[0] == (100, True, "700 euros")
    assert all(not answers and words is None for _, answers, words in found[1:])


def test_yes_rests_on_its_quote_without_saying_which_words() -> None:
    of = example("Yes, with consent.", CONSENT, BODY, ASKED)
    assert says(of) is True
    assert taught(of)[0] == (100, True, None)


def test_no_teaches_that_nothing_searched_answers_not_even_what_it_quotes() -> None:
    silent = example("No", "", BODY, ASKED, not_in_documents=True)
    assert says(silent) is False
    assert [(start, answers) for start, answers, _ in taught(silent)][:2] == [(100, False), (1000, False)]
    quoting = example("No", CONSENT, BODY, ASKED)
    found = taught(quoting)
    assert found
    assert not any(answers for _, answers, _ in found)
    assert 100 not in [start for start, _, _ in found], "what a No quotes is no passage that doesn't answer"


def test_not_in_the_documents_teaches_that_nothing_searched_answers() -> None:
    of = example("The documents don't say.", "", BODY, "What is the deposit?", not_in_documents=True)
    assert says(of) is None
    found = taught(of)
    assert len(found) == 4
    assert not any(answers for _, answers, _ in found)


@pytest.mark.parametrize("text", ["Yes", "No"])
def test_yes_and_no_count_only_where_they_are_asked_for(text: str) -> None:
    assert says(example(text, "", BODY, "What does the landlord say?")) is None


@pytest.mark.parametrize("most", [0, 2, 4, 50])
def test_so_many_others_are_taught_the_nearest_always(most: int) -> None:
    found = taught(example("700 euros", "The tenant pays 700 euros.", BODY, "What is the rent?"), most)
    starts = [start for start, answers, _ in found if not answers]
    assert starts[:2] == [1000, 2000]
    assert len(starts) == len(set(starts)) == min(len(OTHERS), max(2, most))


def test_a_passage_that_holds_a_scrap_of_the_quote_does_not_answer() -> None:
    of = example("consent", CONSENT, BODY, "What does subletting need?")
    start = 100 + BODY.index(CONSENT)
    scrap = of.evidence.passages[0].model_copy(update={"start": 0, "end": start + 10, "text": "x" * (start + 10)})
    (answering, *rest) = lessons_of(of, [scrap, *of.evidence.passages], 4, random.Random(1))
    assert answering.answers
    assert answering.passage == of.evidence.passages[0]
    assert [lesson.passage for lesson in rest] == [scrap]
    elsewhere = of.evidence.passages[0].model_copy(update={"document": "other.md"})
    assert [lesson.answers for lesson in lessons_of(of, [elsewhere], 4, random.Random(1))] == [False]


@pytest.mark.parametrize(
    ("text", "quote", "words"),
    [
        ("700 euros", "The tenant pays 700 euros.", "700 euros"),
        ("  the TENANT. ", "The tenant pays 700 euros.", "The tenant"),
        ("Pets are allowed", "Pets are allowed.", "Pets are allowed"),
        ("Pets, are allowed!", "Pets are allowed.", "Pets are allowed."),
        ("They are.", "Pets are allowed.", None),
        ("Subletting", "Pets are allowed.", None),
        ("00 euros", "The tenant pays 700 euros.", None),
        ("ten", "The tenant pays 700 euros.", None),
        ("consent", CONSENT, "consent"),
        (".", CONSENT, None),
    ],
)
def test_the_span_is_inside_the_quote_in_whole_words(text: str, quote: str, words: str | None) -> None:
    of = example(text, quote, BODY)
    (passage,) = of.evidence.passages
    span = span_of(text, of.expert.citations[0], passage)
    assert (None if span is None else passage.text[slice(*span)]) == words


def test_a_span_keeps_its_place_where_capitals_have_another_length() -> None:
    of = example("Straße 5", "İm Weg: STRAẞE 5 links", "Ab. İm Weg: STRAẞE 5 links")
    (passage,) = of.evidence.passages
    span = span_of("Straße 5", of.expert.citations[0], passage)
    assert span is not None
    assert passage.text[slice(*span)] == "STRAẞE 5"


def test_a_quote_that_leaves_the_passage_is_cut_to_it() -> None:
    quote = Citation(document="report.md", title="R", location="", start=90, end=126, quote="x" * 36, score=1.0)
    (passage,) = example("a", "", BODY).evidence.passages
    assert span_of("tenant pays", quote, passage) == (4, 15)
    assert span_of("Subletting", quote, passage) is None


def test_a_wider_search_keeps_what_was_quoted_and_drops_what_was_only_seen() -> None:
    of = example("700 euros", "The tenant pays 700 euros.", BODY, "What is the rent?")
    (quoted,) = of.evidence.passages
    of = of.model_copy(update={"evidence": of.evidence.model_copy(update={"passages": (OTHERS[0], quoted)})})
    assert widened(of, OTHERS[3:5]) == [*OTHERS[3:5], quoted]
    found_anew = quoted.model_copy(update={"score": 0.9})
    assert widened(of, [found_anew, OTHERS[3]]) == [found_anew, OTHERS[3]], "a passage comes once"


@pytest.mark.parametrize("words", ["700 euros", "The", "allowed.", "landlord's consent", BODY.rstrip(".")])
@pytest.mark.parametrize("table", [False, True])
def test_tokens_of_the_span_say_the_words(words: str, table: bool) -> None:
    of = example(words, words, BODY, "  What is said? ")
    passage = of.evidence.passages[0].model_copy(update={"table": table, "context": "| a | b |"})
    tokenizer = encoder()
    lesson = next(lessons_of(of, [passage], 4, random.Random(1)))
    read = encoded(lesson, tokenizer)
    assert read.answers
    assert len(read.ids) == len(read.types)
    assert {read.types[read.start], read.types[read.end]} == {1}
    said = tokenizer.decode(read.ids[read.start : read.end + 1])
    assert said.replace(" ", "") == words.lower().rstrip(".").replace(" ", "")


def test_a_span_beyond_what_is_read_is_not_taught_but_that_the_passage_answers_is() -> None:
    body = "word " * 400 + "The rent is 700 euros."
    of = example("700 euros", "The rent is 700 euros.", body, "What is the rent?")
    (lesson,) = lessons_of(of, of.evidence.passages, 4, random.Random(1))
    assert lesson.start is not None
    read = encoded(lesson, encoder())
    assert (read.start, read.end, read.answers) == (0, 0, True)


def test_a_passage_that_does_not_answer_has_no_span() -> None:
    of = example("No", "", BODY, ASKED, not_in_documents=True)
    (lesson,) = lessons_of(of, of.evidence.passages, 4, random.Random(1))
    read = encoded(lesson, encoder())
    assert (read.start, read.end, read.answers) == (0, 0, False)
