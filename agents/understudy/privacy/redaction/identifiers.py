"""Identifiers with a pattern of their own: of the net, cards, accounts, telephones, states, dates of birth.

What has a checksum is checked (python-stdnum). What has neither a checksum nor a shape of its own counts only
after a word that says what it is, as in Presidio's context words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from stdnum import iban, luhn

from understudy.privacy.redaction.excerpts import within
from understudy.privacy.redaction.found import Found
from understudy.privacy.redaction.national import national_numbers
from understudy.privacy.redaction.net import net_addresses

__all__ = ["Identifiers"]

# Issuers' ranges: 2 to 6 at the head, JCB's old 1800 and 2131; 12 digits (Maestro) to 19.
CARD = re.compile(
    r"(?<![\w.,/-])(?:[3-6]\d{3}|2[2-7]\d{2}|1800|2131)"
    r"(?:\d{8,15}|([ -])\d{4}\1\d{4}\1\d{1,7}|([ -])\d{6}\2\d{4,5})(?![\w-]|[.,]\d)"
)
IBAN = re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?(?!\w)")

EXTENSION = r"(?:\s?(?:x|ext\.?|extension)\s?\d{1,6})?"
END = r"(?![\w%]|[.,:/-]\d)"
PHONE = re.compile(
    rf"""(?<![\w.,/+(:$€£-])(?:
      (?:\+|00)[ .-]?[1-9]\d{{0,3}}(?:[ .()/-]{{0,2}}\d{{1,6}}){{2,6}}
    | (?:\+?1[ .-]?|001[ .-]?)?\(\d{{3}}\)[ .-]?\d{{3}}[ .-]?\d{{4}}
    | \(0?\d{{1,4}}\)[ .-]?\d{{2,4}}[ .-]\d{{3,4}}
    | (?:\+?1[ .-]|001[ .-])?\d{{3}}([.-])\d{{3}}\1\d{{4}}
    | 0\d{{1,4}}(?:([ /-])\d{{2,8}})(?:[ -]\d{{2,4}}){{1,3}}
    ){EXTENSION}{END}""",
    re.VERBOSE,
)
CALLED = re.compile(
    r"\b(?:(?:tele)?phones?|tel|fax|mobile|cell(?:phone)?|call(?:s|ed|ing)?|dial|text|sms|whatsapp|reach(?:ed)?|contact"
    r"|ring|answer(?:ing|s)?|hotline|helpline|extension|voicemail)\b",
    re.IGNORECASE,
)
FOLLOWED = re.compile(r"\s?\(?(?:office|home|work|fax|mobile|cell|phone|tel)\b", re.IGNORECASE)
NUMBER = re.compile(rf"(?<![\w.,/+(:$€£-])\(?\d{{1,5}}\)?(?:[ .-]?\d{{2,8}}){{1,5}}{EXTENSION}{END}")

BIRTH = re.compile(
    r"\b(?:born|dob|d\.o\.b\.?|date of birth|birth ?dates?|birthdays?|birth)\b[^\n.;]{0,30}?(?<!\w)("
    r"\d{1,2}[/.-]\d{1,2}[/.-](?:\d{4}|\d{2})|\d{4}[/.-]\d{1,2}[/.-]\d{1,2}"
    r"|\d{1,2}(?:st|nd|rd|th)?(?: of)? (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?,? \d{4}"
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4})(?!\w)",
    re.IGNORECASE,
)
OLD = re.compile(r"\b(?:aged?:? (9\d|1[0-2]\d)\b|(9\d|1[0-2]\d)[ -]years?[ -]olds?\b)", re.IGNORECASE)
"""Ages from 90 on tell who somebody is, as HIPAA's rule of safe harbour has it; younger ones don't."""

DATE = re.compile(r"(?:19|20)\d\d([.-])\d\d?\1\d\d?|\d\d?([.-])\d\d?\2(?:19|20)?\d\d|(?:19|20)\d\d ?- ?(?:19|20)?\d\d")

SEVERAL_DIGITS = re.compile(r"\d(?:[ ./()-]{0,2}[A-Za-z]{0,2}\d){4}|[A-Z]{5}\d{4}[A-Z]")
BORN = re.compile(r"\b(?:[Bb]orn|[Bb]irth|[Dd]ate of [Bb]|BORN|DATE OF B|BIRTH|dob|DOB|D\.O\.B|d\.o\.b)")
NINETY = re.compile(r"\b(?:9\d|1[0-2]\d)\b")
MOST_BEFORE, MOST_AFTER = 45, 12


class Identifiers:
    """Finds identifiers by their patterns."""

    def find(self, text: str) -> Iterator[Found]:
        """Every one; a stretch may be found as more than one."""
        yield from net_addresses(text)
        yield from within(text, SEVERAL_DIGITS, 64, 24, numbers)
        if BORN.search(text):
            yield from (Found(*m.span(1), "BIRTH_DATE", m[1]) for m in BIRTH.finditer(text))
        yield from within(text, NINETY, 8, 16, ages)


def numbers(text: str) -> Iterator[Found]:
    """Everything that has at least five digits close together."""
    yield from checked(text, CARD, "CARD", is_card)
    yield from checked(text, IBAN, "IBAN", is_iban)
    yield from national_numbers(text)
    yield from phones(text)


def ages(text: str) -> Iterator[Found]:
    """Ages from 90 on."""
    for match in OLD.finditer(text):
        yield Found(*match.span(match.lastindex or 0), "AGE", match[match.lastindex or 0])


def checked(text: str, pattern: re.Pattern[str], kind: str, right: Callable[[str], bool]) -> Iterator[Found]:
    """What matches a pattern and passes its check."""
    for match in pattern.finditer(text):
        if right(match[0]):
            yield Found(*match.span(), kind, match[0])


def is_card(number: str) -> bool:
    """Luhn's checksum."""
    return bool(luhn.is_valid(re.sub("[ -]", "", number)))


def is_iban(number: str) -> bool:
    """ISO 7064's checksum; the country's own rules may change, so they don't count."""
    return bool(iban.is_valid(number, check_country=False))


def phones(text: str) -> Iterator[Found]:
    """Telephone numbers by their shape; those without a shape of their own where a word beside tells."""
    for match in PHONE.finditer(text):
        if 7 <= digits(match[0]) <= 21:
            yield Found(*match.span(), "PHONE", match[0])
    called = [m.span() for m in CALLED.finditer(text)]
    for match in NUMBER.finditer(text):
        near = any(s - MOST_AFTER <= match.end() and match.start() <= e + MOST_BEFORE for s, e in called)
        if (near or FOLLOWED.match(text, match.end())) and 6 <= digits(match[0]) <= 15 and not is_date(match[0]):
            yield Found(*match.span(), "PHONE", match[0])


def digits(text: str) -> int:
    """How many digits."""
    return sum(c.isdigit() for c in text)


def is_date(text: str) -> bool:
    """Whether a number is rather a date, or a span of years."""
    return bool(DATE.fullmatch(text))
