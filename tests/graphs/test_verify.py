"""From steps to drafts: quotes and findings located, numbers supported."""

from __future__ import annotations

from typing import Any

import pytest

from understudy.core.steps import AnswerStep, Consult, Point, Quote, Step, Taken
from understudy.core.types import Evidence, Finding, Passage
from understudy.core.usage import SmallTokens
from understudy.graphs.verify import absence, draft_of, unsupported_numbers


def passage(text: str, start: int = 100, document: str = "d") -> Passage:
    return Passage(
        document=document, title="T", version="v", location="page 1", start=start, end=start + len(text), text=text
    )


def taken(step: Step) -> Taken:
    return Taken(step, "{}", SmallTokens(), 0.1, -0.1, -0.3, 0.02, 0.0)


def answer(text: str, *quotes: tuple[int, str]) -> Taken:
    return taken(AnswerStep(quotes=[Quote(passage=n, quote=q) for n, q in quotes], text=text))


STAFF = Evidence(passages=(passage("Staff rose to 2,059."), passage("Costs were 12.50 EUR.", start=900)))


@pytest.mark.parametrize("quote", ['He said "no\\yes".', "two\nlines", "売上は412億円", "هذا نص", "e\u0301te"])
def test_quotes_of_any_script_are_located(quote: str) -> None:
    found = Evidence(passages=(passage(f"Before. {quote} After."),))
    draft = draft_of(answer("yes", (1, quote)), "q", found)
    (citation,) = draft.citations
    assert not draft.problems
    assert (citation.start, citation.end, citation.quote) == (108, 108 + len(quote), quote)


def test_white_space_around_a_quote_is_not_cited() -> None:
    (citation,) = draft_of(answer("yes", (1, " rose to ")), "q", STAFF).citations
    assert (citation.start, citation.end, citation.quote) == (106, 113, "rose to")


@pytest.mark.parametrize("number", [-1, 0, 3])
def test_a_quote_of_no_passage_is_a_problem(number: int) -> None:
    draft = draft_of(answer("yes", (number, "Costs")), "q", STAFF)
    assert draft.problems
    assert draft.citations == ()


@pytest.mark.parametrize("words", ["Staff fell", "   ", "staff rose"])
def test_a_quote_that_is_not_in_its_passage_is_a_problem(words: str) -> None:
    assert draft_of(answer("yes", (1, words)), "q", STAFF).problems


def test_numbers_stand_in_a_quote_a_finding_or_the_question() -> None:
    counted = STAFF.model_copy(update={"findings": (Finding(text="7.0", score=1, origin="calculator"),)})
    supported = answer("In 2024, 2059 people on 7 sites", (1, "Staff rose to 2,059."))
    assert draft_of(supported, "And in 2024?", counted).problems == ()
    (problem,) = draft_of(answer("12 people", (1, "Staff rose to 2,059.")), "q", counted).problems
    assert "12" in problem


def test_a_number_of_a_passage_that_is_not_quoted_is_unsupported() -> None:
    assert draft_of(answer("12.50", (1, "Staff rose to 2,059.")), "q", STAFF).problems


@pytest.mark.parametrize(
    ("text", "source", "missing"),
    [
        ("1,234.50", "1234.5", []),
        ("12.", "12", []),
        ("12", "112", ["12"]),
        ("12", "12.5", ["12"]),
        ("100", "1", ["100"]),
        ("no digits", "", []),
    ],
)
def test_numbers_are_compared_by_value(text: str, source: str, missing: list[str]) -> None:
    assert unsupported_numbers(text, [source]) == missing


def reader(text: str, start: int, end: int, passage: int = 0) -> Finding:
    return Finding(text=text, score=0.5, origin="reader", passage=passage, quote_start=start, quote_end=end)


def test_findings_are_joined_and_cited_once() -> None:
    evidence = STAFF.model_copy(update={"findings": (reader("2,059", 100, 120), reader("Staff", 100, 120))})
    draft = draft_of(taken(Point(findings=[1, 2, 1])), "q", evidence)
    assert draft.text == "2,059; Staff"
    assert [c.quote for c in draft.citations] == ["Staff rose to 2,059."]
    assert (draft.mean_logprob, draft.min_logprob, draft.removed_mass) == (-0.1, -0.3, 0.02)


def test_calculations_cite_their_inputs_recursively() -> None:
    first = Finding(text="4,118", score=1, origin="calculator", inputs=(0,))
    second = Finding(text="8,236", score=1, origin="calculator", inputs=(1, 0))
    evidence = STAFF.model_copy(update={"findings": (reader("2,059", 100, 120), first, second)})
    assert [c.start for c in draft_of(taken(Point(findings=[3])), "q", evidence).citations] == [100]


def test_a_result_of_nothing_in_the_documents_is_a_problem() -> None:
    evidence = Evidence(findings=(Finding(text="4", score=1, origin="calculator"),))
    assert draft_of(taken(Point(findings=[1])), "2 + 2?", evidence).problems


@pytest.mark.parametrize("numbers", [[5], [0], [-1]])
def test_pointing_at_nothing_is_a_problem(numbers: list[int]) -> None:
    evidence = STAFF.model_copy(update={"findings": (reader("2,059", 100, 120),)})
    draft = draft_of(taken(Point(findings=numbers)), "q", evidence)
    assert draft.problems
    assert draft.text == ""


@pytest.mark.parametrize("span", [(90, 120), (100, 130), (900, 910), (110, 110), (120, 100)])
def test_a_finding_outside_its_passage_is_a_problem(span: tuple[int, int]) -> None:
    evidence = STAFF.model_copy(update={"findings": (reader("2,059", *span),)})
    draft = draft_of(taken(Point(findings=[1])), "q", evidence)
    assert draft.problems
    assert draft.citations == ()


def test_only_answers_are_drafts() -> None:
    with pytest.raises(TypeError, match="Consult"):
        draft_of(taken(Consult(reason="unsure")), "q", STAFF)


def test_absence_cites_three_documents_with_empty_spans() -> None:
    evidence = Evidence(passages=tuple(passage("text", start=n, document=f"d{n // 2}") for n in range(10)))
    found = absence(evidence)
    assert [(c.document, c.start, c.end, c.quote, c.kind) for c in found] == [
        (f"d{n}", 2 * n, 2 * n, "", "absence") for n in range(3)
    ]


def test_the_least_score_of_what_was_pointed_at_goes_with_the_draft() -> None:
    spans = (
        Finding(
            text="2,059", score=0.3, origin="reader", passage=0, start=114, end=119, quote_start=100, quote_end=120
        ),
        Finding(text="12.50", score=0.6, origin="table", passage=1, start=911, end=916, quote_start=900, quote_end=921),
    )
    found = STAFF.model_copy(update={"findings": spans})
    assert draft_of(taken(Point(findings=[1])), "q", found).support == 0.3
    assert draft_of(taken(Point(findings=[2])), "q", found).support == 0.6
    assert draft_of(taken(Point(findings=[2, 1])), "q", found).support == 0.3
    assert draft_of(answer("Staff rose", (1, "Staff rose")), "q", found).support == 1.0


NO = Finding(text="No", score=0.9, origin="reader")


def test_a_readers_no_cites_what_was_searched_in_vain() -> None:
    found = STAFF.model_copy(update={"findings": (NO,)})
    draft = draft_of(taken(Point(findings=[1])), "Is there a pension?", found)
    assert (draft.text, draft.problems, draft.support) == ("No", (), 0.9)
    assert draft.citations == absence(found)
    assert {c.kind for c in draft.citations} == {"absence"}


def test_a_no_without_a_search_is_a_problem() -> None:
    draft = draft_of(taken(Point(findings=[1])), "Is there a pension?", Evidence(findings=(NO,)))
    assert draft.problems == ("nothing was searched",)
    assert draft.citations == ()


def test_a_readers_yes_cites_its_quote() -> None:
    found = STAFF.model_copy(update={"findings": (reader("Yes", 100, 120),)})
    draft = draft_of(taken(Point(findings=[1])), "Did staff rise?", found)
    assert (draft.text, draft.problems) == ("Yes", ())
    assert [(c.kind, c.quote) for c in draft.citations] == [("quote", "Staff rose to 2,059.")]


def test_a_no_beside_words_cites_the_words_alone() -> None:
    found = STAFF.model_copy(update={"findings": (NO, reader("2,059", 100, 120))})
    draft = draft_of(taken(Point(findings=[1, 2])), "q", found)
    assert [(c.kind, c.quote) for c in draft.citations] == [("quote", "Staff rose to 2,059.")]


@pytest.mark.parametrize("origin", ["tool", "calculator", "table"])
def test_only_a_reader_denies(origin: Any) -> None:
    found = STAFF.model_copy(update={"findings": (Finding(text="No", score=1, origin=origin),)})
    assert draft_of(taken(Point(findings=[1])), "q", found).citations == ()
