"""Numbers of words: what is read is what is written, and what could be two things is read as none."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.extraction.numbers import Unread, number_of, spelled

WHOLE = st.integers(0, 10**12 - 1)
NO_NUMBER = "holds no number"
NO_WORDS = "number words that make no number"
UNCERTAIN = "can't be read with certainty"
MINUS = "may be a minus"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("$1,250.00 a month", "1250.00"),
        ("3.5%", "0.035"),
        ("3.5 per cent", "0.035"),
        ("five percent (5%)", "0.05"),
        ("two (2) years", "2"),
        ("not less than thirty (30) days", "30"),
        ("12 (twelve) months", "12"),
        ("two hundred thousand dollars ($200,000)", "200000"),
        ("EUR 412.6 million", "412600000"),
        ("one hundred and twenty days", "120"),
        ("a one-year term", "1"),
        ("(1,250)", "-1250"),
        ("a change of -5", "-5"),
        ("March 2021", "2021"),
    ],
)
def test_what_is_read(text: str, number: str) -> None:
    assert number_of(text) == Decimal(number)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", NO_NUMBER),
        ("one of the parties", NO_NUMBER),
        ("the 21st floor", NO_NUMBER),
        ("1.250,00", "holds 2 numbers"),
        ("two (3) years", "holds 2 numbers"),
        ("5 to 10", "holds 2 numbers"),
        ("2 years and 3 months", "holds 2 numbers"),
        ("two and a half (2.5) years", UNCERTAIN),
        ("$5 trillion", UNCERTAIN),
        ("5 bn", UNCERTAIN),
        ("25 basis points", UNCERTAIN),
        ("2½", UNCERTAIN),
        ("1/2", UNCERTAIN),
        ("1.250.000", UNCERTAIN),
        ("minus 5", UNCERTAIN),
        ("5 percentage points", UNCERTAIN),
        ("the twenty-first year", NO_WORDS),
        ("two five", NO_WORDS),
        ("the fee (5)", MINUS),
        ("Term - 5 years", MINUS),
        ("1" * 40, "more digits than can be kept"),
    ],
)
def test_what_is_not(text: str, why: str) -> None:
    with pytest.raises(Unread, match=why):
        number_of(text)


@given(WHOLE, st.sampled_from(["{n}", "{n:,}", "${n:,}.00 a month", "up to {n} units", "{w}", "{w} ({n:,}) days"]))
def test_a_whole_number_is_itself_however_it_is_written(number: int, form: str) -> None:
    assert number_of(form.format(n=number, w=spelled(number))) == number


@given(WHOLE, WHOLE, st.sampled_from(["{a} and {b}", "{a} ({b})", "{w}, or {b}", "from {a} to {v}"]))
def test_two_numbers_are_none(a: int, b: int, form: str) -> None:
    text = form.format(a=a, b=b, w=spelled(a), v=spelled(b))
    if a == b and "(" in form:
        assert number_of(text) == a
        return
    with pytest.raises(Unread):
        number_of(text)


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("0123456789.,-–()%$ "), max_size=40))
def test_any_text_is_read_or_said_to_be_unread(text: str) -> None:
    with suppress(Unread):
        assert number_of(text).is_finite()
