"""How a placeholder is written (`⟦PERSON_2⟧`), and how it is known again in what an expert made of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

__all__ = ["Slot", "lookalikes", "replace", "written"]

Slot = tuple[str, int]
"""Type and number."""

OPENING = r"⟦|〚|【|⟨|〈|«|\\u27e6|&\#10214;|&\#x27e6;|&lobrk;|%E2%9F%A6|&lt;|\\?\[|\\?\{|<"
CLOSING = r"⟧|〛|】|⟩|〉|»|\\u27e7|&\#10215;|&\#x27e7;|&robrk;|%E2%9F%A7|&gt;|\\?\]|\\?\}|>"
OURS = frozenset({"⟦", "〚", "⟧", "〛", "\\u27e6", "\\u27e7", "%e2%9f%a6", "%e2%9f%a7", "&lobrk;", "&robrk;"})
"""Brackets that nobody writes but around a placeholder: one of them alone goes too."""
DISTINCT = frozenset(("PERSON", "ORGANISATION", "EMAIL", "IBAN", "NATIONAL_ID", "BIRTH_DATE", "IP", "URL"))
"""Types that stand for a placeholder without brackets or underscores too; "age 1" or "account 1" may be just that."""
NAMED = frozenset(("PLACE", "ADDRESS", "PHONE", "CARD", "NAME"))
"""Types that do so with a capital letter: "Place 3" was sent as a placeholder, "phone 2" may be just that."""
BETWEEN = r"(?:\\?_|[\s\#-]|&\#95;|%5F){0,2}"
NUMBERED = re.compile(r"[A-Za-z](?:\\?_|[\s#-]|&#95;|%5F){0,2}[0-9]", re.IGNORECASE)
# Experts spell one type the American way.
SPELLINGS = {"ORGANISATION": r"ORGANI[SZ]ATION"}


def written(slot: Slot) -> str:
    """A placeholder as it is sent."""
    return f"⟦{slot[0]}_{slot[1]}⟧"


def lookalikes(text: str, types: Iterable[str]) -> Iterator[tuple[int, int, Slot]]:
    """Where a text has something that `replace` could take for a placeholder of one of the types.

    Inside a longer word, too: what stands before it may be replaced.
    """
    kinds = frozenset(types)
    pattern = loose(kinds, within_words=True)
    endings = tuple({t.rsplit("_", 1)[-1].lower() for t in kinds} | {"organization"})
    at = 0
    for gate in NUMBERED.finditer(text):
        if not text[max(0, gate.start() - 32) : gate.start() + 1].lower().endswith(endings):
            continue
        # A number stands at its end: what comes before is short, brackets and their escapes included.
        start = max(at, gate.start() - 64)
        for match in pattern.finditer(text, start, min(len(text), gate.end() + 32)):
            if match.end() > at:
                at = match.end()
                yield *match.span(), slot_of(match)


def replace(text: str, types: Iterable[str], value_of: Callable[[Slot], str | None]) -> str:
    """A text with values in place of placeholders, in one pass, so that nothing in a value is replaced again.

    Endings ("…'s", plurals), other brackets or none, other case, and escapes by Markdown, HTML, JSON and URLs are
    understood. What names a slot without a value stays as it is.
    """
    kinds = frozenset(types)
    if not kinds:
        return text
    pieces, at = [], 0
    for match in exact(kinds).finditer(text):
        value = value_of((match[1], int(match[2])))
        if value is not None:
            pieces += [mended(text[at : match.start()], kinds, value_of), value]
            at = match.end()
    return "".join([*pieces, mended(text[at:], kinds, value_of)])


def mended(text: str, types: frozenset[str], value_of: Callable[[Slot], str | None]) -> str:
    """A text between placeholders that came back as they were sent, with those restored that did not."""

    def filled(match: re.Match[str]) -> str:
        slot = slot_of(match)
        value = value_of(slot)
        capital = slot[0] in NAMED and match["kind"][0].isupper()
        if value is None or not (slot[0] in DISTINCT or capital or marked(match)):
            return match[0]
        opening, closing, ending = match["open"] or "", match["close"] or "", match["ending"] or ""
        if opening and closing:
            return value + ending
        return left(opening) + value + ending + left(closing)

    return loose(types).sub(filled, text)


def marked(match: re.Match[str]) -> bool:
    """Whether a match has a pair of brackets, one that only placeholders have, or an underscore before its number."""
    opening, closing = match["open"] or "", match["close"] or ""
    ours = left(opening) != opening or left(closing) != closing
    return bool(ours or (opening and closing) or re.search("_|&#95;|%5F", match["between"], re.IGNORECASE))


def left(brackets: str) -> str:
    """What of brackets without their other half stays."""
    return "" if brackets.strip().lower() in OURS else brackets


def slot_of(match: re.Match[str]) -> Slot:
    """What a match names, whatever became of its case, its underscores and its spelling."""
    name = re.sub(r"(?:\\?_|[\s-]|&#95;|%5F)+", "_", match["kind"].upper())
    return name.replace("ORGANIZATION", "ORGANISATION"), int(match["number"])


@lru_cache(maxsize=64)
def exact(types: frozenset[str]) -> re.Pattern[str]:
    """Placeholders as they are written."""
    return re.compile(rf"⟦({'|'.join(sorted(types))})_([1-9][0-9]{{0,5}})⟧")


@lru_cache(maxsize=64)
def loose(types: frozenset[str], within_words: bool = False) -> re.Pattern[str]:
    """What is taken for a placeholder of one of the types."""
    names = "|".join(SPELLINGS.get(t, t.replace("_", BETWEEN)) for t in sorted(types, key=lambda t: (-len(t), t)))
    alone = "" if within_words else r"(?<![^\W_])"
    return re.compile(
        rf"""(?:(?P<open>(?:{OPENING}){{1,2}}\s?)|{alone})
        (?P<kind>{names})(?P<between>{BETWEEN})(?P<number>[0-9]{{1,6}})(?![0-9])
        (?:(?P<ending>(?:['’]|&\#39;)?[a-z]{{1,3}}|['’])?(?P<close>\s?(?:{CLOSING}){{1,2}}))?""",
        re.IGNORECASE | re.VERBOSE,
    )
