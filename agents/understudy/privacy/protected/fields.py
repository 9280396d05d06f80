"""Values of table columns and labelled fields that the owner marks as protected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from understudy.privacy.protected.values import Value

__all__ = ["kind_of", "marked_values"]

RULE = re.compile(r"[\s:|-]+")
LABEL_END = r"[\"'”*_]{0,3}[ \t]*[:：=][ \t]*[\"'“*_]{0,3}"
FIELD_END = re.compile(r"\s*(?:[;|\n\"”]|\*\*|[ \t]{2,}|\t|,?[ \t]+[^\W\d][\w ]{0,28}[:：=](?!//)|$)")
LONGEST = 100
"""Characters of a field's value; what is longer is prose, and ends at its first comma or sentence."""
EMPTY = frozenset(
    ["-", "–", "—", "n/a", "na", "none", "null", "nil", "unknown", "yes", "no", "true", "false", "tbd", "?"]
)
KINDS = {
    "EMAIL": "mail email e-mail",
    "PHONE": "phone telephone tel mobile fax",
    "BIRTH_DATE": "birth birthday dob born",
    "IBAN": "iban",
    "ACCOUNT": "account accounts konto",
    "ADDRESS": "address street",
    "RECORD_NUMBER": "record mrn id number no case file policy",
    "ORGANISATION": "company supplier vendor employer organisation organization",
    "PLACE": "city town place country",
    "PERSON": "patient name client customer employee doctor physician person contact author insured borrower tenant",
}


def marked_values(text: str, fields: Iterable[str]) -> Iterator[Value]:
    """The values of some fields in a document, in any order.

    Args:
        text: of the document: Markdown tables, lines such as "Patient: …", and "patient": "…" of JSON.
        fields: names of columns or labels, compared up to case, spaces, hyphens and underscores.
    """
    wanted = {plain(field): field for field in fields}
    if not wanted:
        return
    for name, found in (*cells(text, wanted), *labelled(text, wanted)):
        for part in found.split(";"):
            value = " ".join(part.strip(" \t*_`\"'“”").split())
            if value and value.casefold() not in EMPTY:
                yield Value(value, kind_of(name), f"field {name}")


def plain(label: str) -> str:
    """A label as it is compared."""
    return " ".join(re.sub(r"[\s_*`-]+", " ", label).casefold().split())


def kind_of(field: str) -> str:
    """The type of a field's values, by the words of its name; `OTHER` where they don't tell."""
    words = plain(field).split()
    return next((kind for kind, known in KINDS.items() if set(words) & set(known.split())), "OTHER")


def cells(text: str, wanted: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Cells under a marked head of a Markdown table, and beside a marked first cell."""
    heads: list[str | None] = []
    lines = text.splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        row = cells_of(line)
        if not row:
            heads = []
        elif RULE.fullmatch(below) and "-" in below and not RULE.fullmatch(line):
            heads = [wanted.get(plain(cell)) for cell in row]
        elif not RULE.fullmatch(line):
            yield from ((head, cell) for head, cell in zip(heads, row, strict=False) if head)
            name = wanted.get(plain(row[0]))
            if name and len(row) > 1 and heads[:1] != [name]:
                yield name, row[1]


def cells_of(line: str) -> list[str]:
    """The cells of a table row; none where a line isn't one."""
    bare = line.strip()
    if "|" not in bare:
        return []
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", bare.removeprefix("|").removesuffix("|"))]


def labelled(text: str, wanted: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What follows a marked label and a colon, up to the end of the line or the next label."""
    for label, name in wanted.items():
        spelled = r"[\s_-]+".join(map(re.escape, label.split()))
        for match in re.finditer(rf"(?<!\w){spelled}{LABEL_END}", text, re.IGNORECASE):
            end = FIELD_END.search(text, match.end())
            found = text[match.end() : end.start() if end else len(text)]
            if len(found) > LONGEST:
                found = re.split(r"[,.](?:\s|$)", found, maxsplit=1)[0][:LONGEST]
            yield name, found
