"""Postal addresses: a street with its number, a box, a flat, and the lines that follow down to the postcode."""

from __future__ import annotations

import re
from collections.abc import Iterator

from understudy.privacy.redaction.excerpts import within
from understudy.privacy.redaction.found import Found
from understudy.privacy.redaction.words import CALENDAR, CUES, words

__all__ = ["Addresses"]

SMALL = r"(?:de|da|do|dos|das|del|della|di|la|las|los|le|les|den|der|van|von|of|the|y|e|i)(?=\s)"
CAP = rf"(?:[^\W\d_a-z][\w'’.-]*|{SMALL})"
TOWN = rf"(?:[^\W\d_a-z](?:[\w'’-]|\.(?=\w)|(?<=\b[A-Z])\.|(?<=\b[A-Z][a-z])\.)*|{SMALL})"
"""A word after the street: a full stop ends a sentence unless the word is short, as in St. or D.C."""
KIND = (
    r"(?i:(?:st|ave|rd|dr|ln|blvd|ct|pl|sq|hwy|pkwy)\b\.?|(?:street|avenue|road|drive|lane|boulevard|court|way|place"
    r"|square|terrace|circle|highway|parkway|crescent|close|grove|row|mews|walk|parade|alley|loop|trail|gardens"
    r"|esplanade)\b)"
)
LEADING = (
    r"(?i:rue|via|viale|corso|piazza|largo|calle|avenida|av\.?|rua|praça|paseo|camino|carrer|rambla|chemin|boulevard|avenue"
    r"|impasse|allée|allee|quai|strada|ul\.?|ulica|trg|plaza|travessa|estrada|cours|contrada|vicolo|ronda|passeig)"
)
TRAILING = (
    r"(?i:stra(?:ß|ss)e|str\.|weg|gasse|platz|allee|ufer|damm|vej|gade|allé|plads|gatan|gata|vägen|väg|gränd|straat|laan"
    r"|plein|kade|gracht|dijk|singel|tie|katu|kuja|polku|utca|út|tér|u\.|veien|vei|gate|bakken|stræti|gatu|vegur"
    r"|ulice|třída|náměstí|cesta|ulica|poort|hof|ring|steig|pad|dreef|stasse|straeti)"
)
STREET_WORD = re.compile(KIND)
FLAT = r"(?:(?i:suite|apt|apartment|flat|unit|floor|room|ste)\b\.?\s?\#?\s?[A-Za-z]?\d{1,5}[A-Za-z]?)"
BOX = r"(?i:(?:p\.?\s?o\.?\s?)?box\s\d{1,7}|psc\s\d+,?\s+box\s\d+|(?:unit|cmr)\s\d+,?\s+box\s\d+)"
NUMBER = r"\d{1,5}[A-Za-z]?(?:[-/]\d{1,5})?"
STREET = rf"""(?:
    {NUMBER},?\s(?:{NUMBER}\s)?(?:(?:{CAP}|\d{{1,3}}(?:st|nd|rd|th))\s){{1,4}}?{KIND}
  | (?:{NUMBER},?\s)?{LEADING}\s(?:{CAP}\s?){{1,5}}?(?:,?\s?{NUMBER}\b)
  | {NUMBER},?\s(?:{NUMBER}\s)?{LEADING}\s{CAP}(?:\s{CAP}){{0,3}}
  | (?:{NUMBER}\s)?(?:{CAP}\s){{0,3}}\w*{TRAILING}\s{NUMBER}\b
  | {NUMBER}\s(?:{CAP}\s){{1,4}}{NUMBER}\b(?=\s?[,\n]|\s{FLAT})
  | (?:{CAP}[ ,\n]){{0,3}}(?:FPO|APO|DPO)\sA[AEP]\s\d{{5}}
  | \b{BOX} | \b{FLAT}
)"""
# What may follow a street in its address: flats, towns, states, countries, postcodes, on its line or the next ones.
MORE = rf"""(?:[\s,]{{1,6}}
    (?:{FLAT}|{BOX}|[A-Z]{{1,2}}\d[\dA-Z]?\s?\d[A-Z]{{2}}|{TOWN}|\d{{4,6}}(?:-\d{{3,4}})?|\d{{2,3}}[ -]\d{{2,3}})
    (?![\w%]))"""
ANCHORED = re.compile(rf"(?<![\w$€£.,-])(?P<street>{STREET}){MORE}{{0,9}}", re.VERBOSE)
GIVEN = re.compile(
    r"\b(?:address(?: of [^.\n]{1,40}?)?(?: is| to|:)|lives? at|living at|resid(?:es?|ing) at|located at|office is at"
    r"|meet (?:me|us|him|her|them) at|(?:return|sent?|ship|deliver|mail)(?: it| one)? to|arrived at|moved to"
    r"|corner of)\s+",
    re.IGNORECASE,
)
BLOCK = re.compile(
    rf"(?:the corner of\s)?"
    rf"(?:(?:{CAP}|{NUMBER}|{FLAT}|{BOX}|\d{{4,6}}(?:-\d{{3,4}})?|and)[\s,]{{0,6}}){{2,14}}(?<![\s,])",
    re.VERBOSE,
)
POSTCODE = re.compile(
    r"\b(?:zip(?:[ -]?code)?|post(?:al)?[ -]?code)(?: is|:|\s#)?\s*([A-Z]{0,2}\d[\dA-Z -]{2,8}\d[A-Z]{0,2})\b", re.I
)
STATE_ZIP = re.compile(r"\b[A-Z][\w'. -]{1,30}?,\s[A-Z]{2}\s\d{5}(?:-\d{4})?\b")
NUMBERS = re.compile(
    r"(?<![\w$€£.,-])(?!(?:19|20)\d\d\b)\d{1,5}[A-Za-z]?(?![\w%]|[.,]\d),?\s{1,2}(?=[^\W_a-z]|rue |via )"
    r"|(?:[^\W\d_]{2}|\.)\s(?!(?:19|20)\d\d\b)\d{1,5}(?![\w%.]|,\d)"
)
"""Numbers beside words, years left out: no table of figures has many."""


LAST = re.compile(r"(?P<gap>[\s,.]+)(?P<word>[^\W\d_]+(?:['’-][^\W\d_]+)*)\.?\Z")
LAST_CODE = re.compile(r"\d{4}|\d[A-Z]{2}\b")
GOES_ON = re.compile(r"\.?(?:,?\s[a-z]|\s?:)")
PRONOUNS = frozenset({"i", "we", "you", "he", "she", "it", "they"})
AFTER = CUES["not_of_it"] | CUES["calls"] | CUES["titles"] | PRONOUNS
"""Words that an address doesn't end with, capital or not."""


class Addresses:
    """Finds postal addresses."""

    def find(self, text: str) -> Iterator[Found]:
        """Addresses with a number in them."""
        return within(text, NUMBERS, 80, 120, addresses)


def addresses(text: str) -> Iterator[Found]:
    """By their streets, by what is said before them, by their postcodes."""
    for match in ANCHORED.finditer(text):
        yield from kept(text, match.start(), without_tail(text, match.end("street"), match.end()))
    for lead in GIVEN.finditer(text):
        block = BLOCK.match(text, lead.end())
        if block and any(c.isdigit() for c in block[0]):
            yield from kept(text, block.start(), without_tail(text, block.start(), block.end()))
    yield from (Found(*m.span(1), "ADDRESS", m[1]) for m in POSTCODE.finditer(text))
    yield from (Found(*m.span(), "ADDRESS", m[0]) for m in STATE_ZIP.finditer(text))


def without_tail(text: str, least: int, end: int) -> int:
    """Where an address ends, without the words of what follows it: "Please call", "Phone:", "Dear".

    Past an empty line an address goes on only where a postcode follows. A common word after a comma is left, since
    towns are called Bath and Reading.
    """
    blank = text.rfind("\n\n", least, end)
    if blank >= 0 and not LAST_CODE.search(text, blank, end):
        end = blank
    known, cut = words(), False
    while last := LAST.search(text, least, end):
        word, low = last["word"], last["word"].lower()
        if STREET_WORD.fullmatch(word) or word.title() in known.places or (word.isupper() and len(word) == 2):
            break  # ON and OR are provinces and states
        day = known.is_common(low) and (low in CALENDAR or low.removesuffix("s") in CALENDAR)
        stray = known.is_common(low) and "," not in last["gap"] and (cut or GOES_ON.match(text, end) is not None)
        if not (low in AFTER or day or stray):
            break
        end, cut = last.start(), True
    return end


def kept(text: str, start: int, end: int) -> Iterator[Found]:
    """An address without the line ends and commas at its edges."""
    stretch = text[start:end]
    end -= len(stretch) - len(stretch.rstrip(" ,\n"))
    if start < end:
        yield Found(start, end, "ADDRESS", text[start:end])
