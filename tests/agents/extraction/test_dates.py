"""Dates of words: each form says its own day, and what can be read in two ways says none."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.extraction.dates import date_of, moment_of
from understudy.agents.extraction.numbers import Unread

FORMS = [
    "{d:%Y-%m-%d}", "{d:%Y/%m/%d}", "{d.day} {d:%B} {d.year:04}", "{d:%B} {d.day}, {d.year:04}",
    "the {d.day}th day of {d:%B}, {d.year:04}", "dated {d:%d-%b-%Y}", "on {d:%b}. {d.day}, {d.year:04}, by hand",
]  # fmt: skip
DAYS = st.dates(date(1000, 1, 1))


@given(DAYS, st.sampled_from(FORMS))
def test_every_form_says_its_day(day: date, form: str) -> None:
    assert date_of(form.format(d=day)) == day


@given(DAYS)
def test_figures_are_a_day_only_where_their_order_is_certain(day: date) -> None:
    for form in (f"{day.day}/{day.month}/{day.year:04}", f"{day.month}/{day.day}/{day.year:04}"):
        if day.day > 12 or day.day == day.month:
            assert date_of(form) == day
        else:
            with pytest.raises(Unread, match="in two ways"):
                date_of(form)


@given(DAYS, DAYS, st.sampled_from(FORMS[:6]), st.sampled_from(FORMS[:6]))
def test_two_days_are_none(a: date, b: date, first: str, second: str) -> None:
    text = f"from {first.format(d=a)} to {second.format(d=b)}"
    if a == b:
        assert date_of(text) == a
        return
    with pytest.raises(Unread, match="more than one date"):
        date_of(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("upon signing", "holds no date$"),
        ("March 2021", "with day, month and year"),
        ("12 March", "holds no date"),
        ("12/13/14", "holds no date"),
        ("30 February 2021", "no month has"),
        ("12 March 2021 until June 2022", "more than one date"),
        ("5 March 2021 and 6 March", "more than one date"),
        ("1-5 March 2021", "more than one date"),
        ("1st to 5th March 2021", "more than one date"),
        ("March 1-5, 2021", "with day, month and year"),
    ],
)
def test_what_is_no_date(text: str, why: str) -> None:
    with pytest.raises(Unread, match=why):
        date_of(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("12 March 2021", datetime(2021, 3, 12)),
        ("12 March 2021 at 10:40 pm", datetime(2021, 3, 12, 22, 40)),
        ("12:05 am on March 12, 2021", datetime(2021, 3, 12, 0, 5)),
        ("2021-03-12T22:40:00Z", datetime(2021, 3, 12, 22, 40, tzinfo=UTC)),
        ("12 March 2021, 22:40 UTC", datetime(2021, 3, 12, 22, 40, tzinfo=UTC)),
        ("12 March 2021, 22:40 +02:00", datetime(2021, 3, 12, 22, 40, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    found = moment_of(text)
    assert (found, found.tzinfo) == (moment, moment.tzinfo)


@pytest.mark.parametrize(
    "text",
    [
        "12 March 2021, 22:40 CET",
        "12 March 2021, 5 pm",
        "12 March 2021, noon",
        "12 March 2021, 8:00 to 9:00",
        "12 March 2021, 25:00",
        "12 March 2021, 13:00 pm",
    ],
)
def test_an_uncertain_time_is_no_moment(text: str) -> None:
    with pytest.raises(Unread):
        moment_of(text)


@given(DAYS, st.times().map(lambda t: t.replace(microsecond=0)))
def test_a_written_moment_is_itself(day: date, clock: time) -> None:
    assert moment_of(f"{day:%d %B} {day.year:04} at {clock:%I:%M:%S %p}") == datetime.combine(day, clock)


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("0123456789/-.: MarchT"), max_size=40))
def test_any_text_is_read_or_said_to_be_unread(text: str) -> None:
    for reads in (date_of, moment_of):
        with suppress(Unread):
            assert isinstance(reads(text), date)
