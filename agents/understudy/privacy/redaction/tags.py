"""What token classifiers call what they find, in the redactor's types, and words with such tags as stretches."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from understudy.privacy.redaction.found import Found
from understudy.privacy.redaction.words import words

__all__ = ["Tag", "Tagged", "spans", "tag_of"]

NAMES: Mapping[str, str] = {
    "PERSON": "PER PERSON PERSONS NAME FULLNAME FIRSTNAME MIDDLENAME LASTNAME GIVENNAME SURNAME PATIENT STAFF DOCTOR",
    "PLACE": "LOC LOCATION GPE FAC FACILITY PLACE CITY STATE COUNTY COUNTRY LOCATIONOTHER",
    "ORGANISATION": "ORG ORGANIZATION ORGANISATION CORPORATION COMPANY COMPANYNAME GROUP HOSP HOSPITAL PATORG",
    "ADDRESS": "ADDRESS STREET STREETADDRESS BUILDING BUILDINGNUM BUILDINGNUMBER ZIP ZIPCODE POSTCODE",
    "EMAIL": "EMAIL EMAILADDRESS",
    "PHONE": "PHONE PHONENUMBER TELEPHONE TELEPHONENUM FAX",
    "IBAN": "IBAN IBANCODE",
    "CARD": "CREDITCARD CREDITCARDNUMBER",
    "ACCOUNT": "ACCOUNT ACCOUNTNUM ACCOUNTNUMBER USERNAME",
    "NATIONAL_ID": "SSN USSSN SOCIALNUM IDCARD IDCARDNUM PASSPORT PASSPORTNUM DRIVERLICENSE DRIVERLICENSENUM TAXNUM",
    "RECORD_NUMBER": "ID MEDICALRECORD",
    "BIRTH_DATE": "DATEOFBIRTH DOB BIRTHDATE",
    "IP": "IP IPADDRESS IPV4 IPV6",
    "URL": "URL",
    "OTHER": "MISC MISCELLANEOUS",
}
"""Labels of CoNLL-2003, OntoNotes, WNUT, i2b2 and of models for personal data, without marks between their words.
Others, such as DATE, MONEY or NORP, say what questions need and are left alone."""
TYPES_OF = {label: kind for kind, labels in NAMES.items() for label in labels.split()}
LABEL = re.compile(r"(?:([BIEMSLU])[-_])?(.+)", re.DOTALL)
BEGINS, ENDS = frozenset("BSU"), frozenset("ESLU")


class Tag(NamedTuple):
    """A label taken apart."""

    position: str
    """`B`, `I` and so on, in any of the schemes BIO, BIOES and BILOU; empty where the label says none."""
    type: str | None
    """The redactor's type; `None` for what is left alone."""


OUTSIDE = Tag("", None)


class Tagged(NamedTuple):
    """A word, or a piece of one, with its tag."""

    start: int
    end: int
    tag: Tag


def tag_of(label: str) -> Tag:
    """A label such as `B-PER`, `I_GPE`, `FIRST NAME` or `O`."""
    match = LABEL.fullmatch(label.strip().upper())
    if match is None:
        return OUTSIDE
    kind = TYPES_OF.get(re.sub(r"[\W_]", "", match[2]))
    return Tag(match[1] or "", kind) if kind else OUTSIDE


def spans(text: str, tagged: Iterable[Tagged]) -> Iterator[Found]:
    """Neighbouring words of one type as one stretch.

    It ends where a word begins a name of its own, at the end of a line, and where the type changes. A type that begins
    with `I` begins a stretch all the same, as in the older form of BIO (Ramshaw and Marcus 1995).

    Args:
        text: that was read.
        tagged: all of its words in order, those outside of names too.
    """
    run: Tagged | None = None
    for word in tagged:
        if run is not None and goes_on(text, run, word):
            run = Tagged(run.start, word.end, word.tag)
            continue
        if run is not None:
            yield from found(text, run)
        run = word if word.tag.type else None
    if run is not None:
        yield from found(text, run)


def goes_on(text: str, run: Tagged, word: Tagged) -> bool:
    """Whether a word belongs to the stretch before it."""
    if word.tag.type != run.tag.type or word.tag.position in BEGINS or run.tag.position in ENDS:
        return False
    return "\n" not in text[run.end : word.start]


def found(text: str, run: Tagged) -> Iterator[Found]:
    """A stretch without white space at its edges, with the marks that belong to its last letter.

    Nothing without a letter or digit, and nothing of mere common words that only counts as something else.
    """
    start, end = run.start, run.end
    while start > 0 and clings(text[start]):
        start -= 1
    while end < len(text) and clings(text[end]):
        end += 1
    stretch = text[start:end]
    start, stretch = start + len(stretch) - len(stretch.lstrip()), stretch.strip()
    if not any(c.isalnum() for c in stretch) or run.tag.type is None:
        return
    if run.tag.type == "OTHER" and all(words().is_common(w) for w in re.findall(r"[^\W\d_]+", stretch)):
        return
    yield Found(start, start + len(stretch), run.tag.type, stretch)


def clings(character: str) -> bool:
    """Whether a character is none by itself: a combining mark, or one that shows nothing, such as a joiner."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")
