"""Known values of a collection, found again in a text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Protocol

from understudy.privacy.redaction.found import Found

__all__ = ["Dictionary", "Named"]

WORD = re.compile(r"\w+")


class Named(Protocol):
    """A value of a collection, such as `understudy.privacy.protected.Value`."""

    @property
    def text(self) -> str:
        """As it stands in the documents."""
        ...

    @property
    def type(self) -> str:
        """What it is, such as `PERSON`."""
        ...


class Dictionary:
    """Finds values word by word: in any case, with any punctuation or space between their words, but no half words.

    A text is read once, however many values there are. A value without a letter or digit is found as it stands.

    Args:
        values: empty ones are left out.
    """

    def __init__(self, values: Iterable[Named]) -> None:
        self._longest: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        self._wordless: list[tuple[str, str]] = []
        for value in values:
            words = tuple(WORD.findall(value.text.casefold()))
            if words:
                self._longest[words[0]].append((words, value.type))
            elif value.text.strip():
                self._wordless.append((value.text.strip(), value.type))
        for known in self._longest.values():
            known.sort(key=lambda k: -len(k[0]))

    def find(self, text: str) -> Iterator[Found]:
        """The longest value at each word."""
        words = [(m.start(), m.end(), m[0].casefold()) for m in WORD.finditer(text)] if self._longest else []
        for at, (start, _, word) in enumerate(words):
            for value, kind in self._longest.get(word, ()):
                stretch = words[at : at + len(value)]
                if tuple(w for _, _, w in stretch) == value and close(text, stretch):
                    yield Found(start, stretch[-1][1], kind, text[start : stretch[-1][1]])
                    break
        for mark, kind in self._wordless:
            for match in re.finditer(re.escape(mark), text):
                yield Found(match.start(), match.end(), kind, match[0])


def close(text: str, stretch: list[tuple[int, int, str]]) -> bool:
    """Whether nothing but a few marks and spaces lies between the words."""
    return all(b[0] - a[1] <= 4 for a, b in pairwise(stretch))
