"""Finds protected values in a text, however they are written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ahocorasick

from understudy.privacy.protected.base64_views import base64_views
from understudy.privacy.protected.folding import BARRIER, Squeezed, readings
from understudy.privacy.protected.values import ORDINARY, Hit, Value, telling
from understudy.privacy.protected.views import View, escapes, hexadecimal, tag_characters, whole

__all__ = ["ProtectedValues"]

ANYWHERE = 10
"""Letters from which on a value is found inside longer words too."""
EDGE = 5
"""Letters that a phrase's first word must have to begin inside another word, and its last one to end in one."""
DIGITS_ANYWHERE = 12
"""Digits from which on a number is found inside longer numbers too."""
TELLING = 8
"""Letters from which on a value may be split anywhere, and may begin at a capital inside a word."""
REVERSED = 6
MIXED = 5
"""Letters from which on 0 and O, 1 and I and l may stand for each other."""
DEEP = 3
"""Encodings inside each other that are undone."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One way that a value may read when squeezed."""

    value: Value
    key: str
    breaks: tuple[bool, ...]
    """Where the value's own words part, before each character but the first."""
    backwards: bool = False
    blocks: bool = True


class ProtectedValues:
    """The protected values of a collection, ready to be looked for.

    All of them are looked for at once, by an Aho-Corasick automaton (CACM 18(6), 1975) over the letters and digits of
    a text. A value stands as a whole word, or as several where it was split; long ones are found inside words too.
    Values that don't block are found only as they are written.

    What a text encodes is looked at as well: percent, HTML, JSON and quoted-printable escapes, hexadecimal digits,
    base64 at any offset, tag characters; inside each other too. Ciphers and compression are not undone.

    Args:
        values: the values; those without any letter or digit can't be looked for.
    """

    def __init__(self, values: Iterable[Value]) -> None:
        self.values: Sequence[Value] = tuple(dict.fromkeys(values))
        patterns = list(patterns_of(self.values)) if self.values else []
        self._plain = automaton((p.key, p) for p in patterns)
        mixable = (p for p in patterns if p.blocks and not p.backwards and len(p.key) >= MIXED)
        self._alike = automaton((alike, p) for p in mixable if (alike := alike_letters(p.key)))

    def __len__(self) -> int:
        return len(self.values)

    def find(self, text: str) -> list[Hit]:
        """Where values stand in a text, in order; each place of a value once, in the plainest way it can be read."""
        found: dict[tuple[Value, int, int], Hit] = {}
        if self.values:
            for view in views(whole(text.replace(BARRIER, " ")), DEEP):
                for hit in self._in_view(view):
                    found.setdefault((hit.value, hit.start, hit.end), hit)
        return sorted(found.values(), key=lambda h: (h.start, -h.end, h.value.text))

    def _in_view(self, view: View) -> Iterator[Hit]:
        for bare in readings(view.text):
            yield from self._matched(view, bare)
            yield from self._mixed(view, bare)

    def _matched(self, view: View, bare: Squeezed) -> Iterator[Hit]:
        if self._plain is None:
            return
        for last, patterns in self._plain.iter(bare.text):
            for pattern in patterns:
                first = last - len(pattern.key) + 1
                if stands_apart(pattern, bare, first, last, loose=view.loose):
                    hit = hit_of(pattern, view, int(bare.at[first]), int(bare.at[last]), bare, first)
                    if hit is not None:
                        yield hit

    def _mixed(self, view: View, bare: Squeezed) -> Iterator[Hit]:
        """Values in which digits stand for letters that look like them, or the other way round."""
        if self._alike is None or view.loose:
            return
        for last, patterns in self._alike.iter(alike_letters(bare.text)):
            for pattern in patterns:
                first = last - len(pattern.key) + 1
                apart = bare.gaps[first] and bare.gaps[last + 1]
                if apart and swaps(pattern.key, bare.text[first : last + 1], view.text, bare, first):
                    span = view.span(int(bare.at[first]), int(bare.at[last]))
                    yield Hit(pattern.value, *span, " in ".join(("letters", *reversed(view.how))))


def views(root: View, deep: int) -> Iterator[View]:
    """A text and all that it hides, encodings inside each other undone so many times."""
    texts = {view.text: view for view in (root, *escapes(root), *tag_characters(root))}
    yield from texts.values()
    for view in texts.values():
        for inner in (hexadecimal(view), *base64_views(view)):
            if inner is not None:
                yield from views(inner, deep - 1) if deep > 1 else (inner,)


def patterns_of(values: Sequence[Value]) -> Iterator[Pattern]:
    """How values may read, each way once."""
    texts = BARRIER.join(value.text.replace(BARRIER, " ") for value in values)
    by_language, *by_looks = [list(bare.pieces()) for bare in readings(texts)]
    for number, (value, bare) in enumerate(zip(values, by_language, strict=True)):
        blocking = not value.common and telling(value.text, bare.text)
        ways = {way.text: way for way in (bare, *(pieces[number] for pieces in by_looks)) if way.text}
        for key, way in ways.items():
            inner = tuple(way.breaks[1:-1].tolist())
            yield Pattern(value, key, inner, blocks=blocking)
            if blocking and len(key) >= REVERSED and key[::-1] != key:
                yield Pattern(value, key[::-1], inner[::-1], backwards=True)


def automaton(keyed: Iterable[tuple[str, Pattern]]) -> Any:
    """An automaton that gives the patterns of each key; `None` where there is none."""
    held: dict[str, list[Pattern]] = {}
    for key, pattern in keyed:
        held.setdefault(key, []).append(pattern)
    if not held:
        return None
    made = ahocorasick.Automaton()
    for key, patterns in held.items():
        made.add_word(key, tuple(patterns))
    made.make_automaton()
    return made


def alike_letters(text: str) -> str:
    """Squeezed text with one letter for each group that is easily taken for one another."""
    return text.replace("i", "l").replace("1", "l").replace("0", "o")


def stands_apart(pattern: Pattern, bare: Squeezed, first: int, last: int, *, loose: bool) -> bool:
    """Whether what matches is the value, not a piece of other words."""
    size, number = len(pattern.key), pattern.key.isdigit()
    anywhere = pattern.blocks and size >= (DIGITS_ANYWHERE if number else TELLING if loose else ANYWHERE)
    # "Sponsorship agreement" holds no "IP Agreement": of a phrase's outer words, more than a syllable must be there.
    cuts = [0, *(at for at, is_ in enumerate(pattern.breaks, 1) if is_), size]
    phrase = not loose and pattern.key.isalpha() and len(pattern.value.text.split()) > 1
    begins = opens(pattern, bare, first, number) or (anywhere and not (phrase and cuts[1] < EDGE))
    ends = closes(pattern, bare, last, number) or (anywhere and not (phrase and size - cuts[-2] < EDGE))
    if not (begins and ends):
        return False
    breaks = bare.breaks[first + 1 : last + 1]
    odd = [at for at, (is_, own) in enumerate(zip(breaks.tolist(), pattern.breaks, strict=True), 1) if is_ and not own]
    if not odd:
        return True
    if not pattern.blocks:
        return False
    if len(odd) + sum(pattern.breaks) == size - 1 or size >= (9 if number else TELLING):
        return True  # spelled letter by letter, or too long for chance
    pieces = [pattern.key[a:b] for a, b in zip([0, *odd], [*odd, size], strict=True)]
    if number:
        return size >= 6 and len(pieces) <= 3
    return not all(piece in ORDINARY for piece in pieces) and not (size < 5 and any(p in ORDINARY for p in pieces))


def opens(pattern: Pattern, bare: Squeezed, first: int, number: bool) -> bool:
    """Whether a word may begin here."""
    return bool(bare.breaks[first] or (not number and len(pattern.key) >= TELLING and bare.humps[first]))


def closes(pattern: Pattern, bare: Squeezed, last: int, number: bool) -> bool:
    """Whether a word may end here, or only a plural or genitive s follows."""
    size, after = len(pattern.key), last + 1
    if bare.breaks[after] or (not number and size >= TELLING and bare.humps[after]):
        return True
    return bool(pattern.blocks and size >= 5 and bare.text[after] == "s" and bare.breaks[after + 1])


def hit_of(pattern: Pattern, view: View, first: int, last: int, bare: Squeezed, at: int) -> Hit | None:
    """A match as a hit; `None` where the value only counts as it is written."""
    written = view.text[first : last + 1]
    exact = same(written) == same(pattern.value.text)
    if not pattern.blocks and (not exact or view.how):
        return None
    if pattern.backwards:
        kind = "reversed"
    elif exact:
        kind = ""
    elif plainly(written).casefold() == plainly(pattern.value.text).casefold():
        kind = "case"
    elif bare.breaks[at + 1 : at + len(pattern.key)].tolist() != list(pattern.breaks):
        kind = "spacing"
    else:
        kind = "letters"
    ways = [way for way in (kind, *reversed(view.how)) if way]
    return Hit(pattern.value, *view.span(first, last), " in ".join(ways) or "plain")


def same(text: str) -> str:
    """A text up to the form of its characters and its white space, from its first letter or digit to its last."""
    return " ".join(re.sub(r"^[\W_]+|[\W_]+$", "", plainly(text)).split())


def plainly(text: str) -> str:
    """A text in the one form of its characters."""
    return unicodedata.normalize("NFC", text)


def swaps(key: str, read: str, text: str, bare: Squeezed, first: int) -> bool:
    """Whether a digit stands for a letter in what was read, or a letter for a digit, or some foreign letter for one."""
    return any(
        own != other and (own.isdigit() != other.isdigit() or not text[int(bare.at[first + at])].isascii())
        for at, (own, other) in enumerate(zip(key, read, strict=True))
    )
