"""Facts of questions: what asks the same has equal ones, what asks something else never has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.cache.facts import facts_of

SAME = [
    ("What revenue did Acme report in 2019?", "How much revenue did Acme report in 2019?"),
    ("What revenue did Acme report in 2019?", "What was the revenue that Acme reported in 2019?"),
    ("What was revenue in 2019?", "In 2019, what was revenue?"),
    ("What was revenue in 2019?", "Please tell me what revenue was in the year 2019."),
    ("Who founded Acme?", "Acme was founded by whom?"),
    ("Who founded Acme?", "Who was Acme founded by?"),
    ("When did Acme buy Beta?", "When was Beta bought by Acme?"),
    ("When was Acme founded?", "In which year was Acme founded?"),
    ("What was Acme's revenue in 2019?", "What was the revenue of Acme in 2019?"),
    ("How many offices are there in Oslo?", "how many offices are in oslo"),
    ("Who won two games?", "Who won 2 games?"),
    ("Why didn't Acme pay?", "Why did not Acme pay?"),
    ("What was due on December 31, 2019?", "What was due on 31 Dec. 2019?"),
]
OTHER = [
    ("Who bought Acme?", "Who was bought by Acme?"),
    ("When did Acme buy Beta?", "When did Beta buy Acme?"),
    ("When did Acme buy Beta?", "When was Acme bought by Beta?"),
    ("Who fired in Oslo?", "Who was fired in Oslo?"),
    ("What did the board tell?", "What was the board told?"),
    ("Who does Adam know?", "Who does Adams know?"),
    ("What is the largest city?", "What are the largest cities?"),
    ("Who is the chief executive?", "Who was the chief executive?"),
    ("Who owns Acme?", "Who owned Acme?"),
    ("What is market cost?", "What is marketing cost?"),
    ("What was sold to Acme by Beta?", "What was sold by Acme to Beta?"),
    ("How did it go from A4 to B5?", "How did it go from B5 to A4?"),
    ("How much land did they own?", "What land did they own?"),
    ("How much did Acme pay for Beta?", "How much did Acme pay Beta?"),
    ("What was revenue before 2019?", "What was revenue in 2019?"),
    ("What was revenue in fiscal 2019?", "What was revenue in 2019?"),
    ("What was Q1 revenue?", "What was Q2 revenue?"),
    ("Not all shares were sold?", "All shares were not sold?"),
    ("Which firms that do not pay tax grew?", "Which firms that pay tax did not grow?"),
]


def same(first: str, second: str) -> bool:
    a, b = facts_of(first), facts_of(second)
    return a is not None and b is not None and a.same(b)


@pytest.mark.parametrize(("first", "second"), SAME)
def test_other_words_for_the_same(first: str, second: str) -> None:
    assert same(first, second)
    assert same(second, first)


@pytest.mark.parametrize(("first", "second"), OTHER)
def test_nearly_the_same_words_for_something_else(first: str, second: str) -> None:
    assert not same(first, second)
    assert not same(second, first)


@pytest.mark.parametrize("question", ["", "?", "Who?", "…", "Please", "What is?"])
def test_nothing_to_compare(question: str) -> None:
    assert not same(question, question)


TEMPLATES = st.sampled_from(
    ["What did Acme sell in {}?", "How many of the {} stores did Acme close?", "Was {} paid?", "Who owned {} shares?"]
)


@given(TEMPLATES, st.integers(0, 10**6), st.integers(0, 10**6))
def test_another_number_never_hits(template: str, a: int, b: int) -> None:
    assert same(template.format(a), template.format(b)) == (a == b)


WORDS = st.sampled_from(
    [
        "Acme",
        "Beta",
        "revenue",
        "sold",
        "bought",
        "was",
        "did",
        "the",
        "of",
        "in",
        "by",
        "not",
        "year",
        "2019",
        "two",
        "'s",
        "who",
        "which",
        "and",
    ]
)


@given(st.sampled_from(["Who", "What", "When", "Did", "Is"]), st.lists(WORDS, min_size=1, max_size=8))
def test_a_denial_never_hits_and_hits_are_symmetric(asked: str, words: list[str]) -> None:
    question = " ".join([asked, *words])
    for at in range(1, len(words) + 2):
        parts = question.split()
        denied = " ".join([*parts[:at], "not", *parts[at:]])
        assert not same(question, denied)
        assert same(question, denied) == same(denied, question)


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_can_be_compared(first: str, second: str) -> None:
    assert same(first, second) == same(second, first)
