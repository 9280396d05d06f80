"""Numbers that states, banks and hospitals give to people."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import NamedTuple

from understudy.privacy.redaction.found import Found

__all__ = ["national_numbers"]


class Shape(NamedTuple):
    """How a national number is written, and the module of `stdnum` that knows its checksum."""

    pattern: re.Pattern[str]
    module: str | None


def shape(pattern: str, module: str | None = None) -> Shape:
    """A shape that stands alone."""
    return Shape(re.compile(rf"(?<![\w.-]){pattern}(?![\w-]|\.\d)"), module)


# Only such as can't well be something else: by letters, by punctuation, or by a date and a checksum within.
SHAPES = (
    shape(r"\d{3}-\d{2}-\d{4}"),  # US: social security and individual taxpayer numbers, specimens too
    shape(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]"),  # UK: national insurance
    shape(r"[STFGM]\d{7}[A-Z]"),  # Singapore
    shape(r"\d{8}-?[A-Z]", "es.dni"),
    shape(r"[XYZ]-?\d{7}-?[A-Z]", "es.nie"),
    shape(r"[A-Z]{6}[0-9LMNPQRSTUV]{2}[A-EHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]", "it.codicefiscale"),
    shape(r"\d{6}[-+A]\d{3}[0-9A-Y]", "fi.hetu"),
    shape(r"\d{6}(?:\d{2})?[-+]\d{4}", "se.personnummer"),
    shape(r"\d{6}-\d{4}", "dk.cpr"),
    shape(r"\d{6}-?\d{4}", "is_.kennitala"),
    shape(r"\d{6}[ ]\d{5}", "no.fodselsnummer"),
    shape(r"[A-Z]{5}\d{4}[A-Z]", "in_.pan"),
    shape(r"[12] ?\d{2} ?[01]\d ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", "fr.nir"),
    shape(r"\d{3}\.\d{3}\.\d{3}-\d{2}", "br.cpf"),
    shape(r"756\.\d{4}\.\d{4}\.\d{2}", "ch.ssn"),
    shape(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", "be.nn"),
    shape(r"\d{6}-[1-8]\d{6}", "kr.rrn"),
    shape(r"\d{17}[0-9X]", "cn.ric"),
    shape(r"\d{13}", "za.idnr"),
    shape(r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d", "mx.curp"),
    shape(r"\d{4} \d{4} \d{4}", "in_.aadhaar"),
)

LEAD = r"(?:\s+(?:number|numbers|no|num|id|card|code|nr|identifier))*\b\.?\s*(?:is|was|are|=|:|#|№)?\s*[:#(]?\s*"
TOKEN = r"([A-Za-z]{0,6}[-/ ]?\d[\dA-Za-z]*(?:[-/. ][\dA-Za-z]*\d[\dA-Za-z]*)*)(?!\w)"


def labelled(*names: str) -> re.Pattern[str]:
    """A number after words that say what it is: `SSN: 123 45 6789`, `passport number is X1234567`."""
    return re.compile(rf"(?<!\w)(?:{'|'.join(names)}){LEAD}{TOKEN}", re.IGNORECASE)


LABELS = {
    "RECORD_NUMBER": labelled(
        r"mrn", r"medical (?:record|chart|file)", r"(?:patient|hospital|chart|health record)(?=\s+(?:id|no|num|#))",
        r"npi", r"nhs", r"medicare", r"medicaid", r"(?:member|subscriber|beneficiary)(?=\s+(?:id|no|num|#))",
        r"health (?:plan|insurance|card)", r"insurance (?:policy|card|member)", r"dea",
    ),
    "NATIONAL_ID": labelled(
        r"ssn", r"social security", r"social insurance", r"national (?:id|identity|identification|insurance)",
        r"(?:id|identity|identification)(?=\s+(?:card|number|no\b|#))", r"passport", r"visa(?=\s+(?:number|no\b))",
        r"driver'?s?'? licen[cs]e", r"driving licen[cs]e",
        r"licen[cs]e(?=\s+(?:number|no\b|#|plate))", r"licen[cs]e plate",
        r"tax(?:payer)?(?=\s+(?:id|number|no\b|identification))", r"tin", r"itin", r"ein", r"nino", r"pesel", r"bsn", 
        r"sin(?=\s+(?:number|no\b|#|:))",
        r"aadhaar", r"cpf", r"curp", r"nric", r"steuer-?id", r"personnummer", r"tfn",
    ),
    "ACCOUNT": labelled(
        r"(?:bank |savings |checking |current )?(?:account|acct|a/c)(?=\s*(?:number|no\b|num|#|:|\.|is\b))",
        r"routing", r"sort code",
        r"swift", r"bic", r"aba", r"wire (?:reference|transfer)(?=\s+(?:number|no\b|#))",
    ),
}  # fmt: skip
LEAST_DIGITS = 5


def national_numbers(text: str) -> Iterator[Found]:
    """Numbers of a known shape, with their checksum where it has one, and numbers after words that tell."""
    for known in SHAPES:
        for match in known.pattern.finditer(text):
            if known.module is None or valid(known.module, match[0]):
                yield Found(*match.span(), "NATIONAL_ID", match[0])
    for kind, pattern in LABELS.items():
        for match in pattern.finditer(text):
            if sum(c.isdigit() for c in match[1]) >= LEAST_DIGITS:
                yield Found(*match.span(1), kind, match[1])


def valid(module: str, number: str) -> bool:
    """Whether a number's checksum is right."""
    return bool(stdnum_module(module).is_valid(number))


@cache
def stdnum_module(name: str) -> ModuleType:
    """A module of `stdnum`; they are many, and most texts need none."""
    return importlib.import_module(f"stdnum.{name}")
