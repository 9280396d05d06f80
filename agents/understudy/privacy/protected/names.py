"""Capitalised names that a collection repeats, told from ordinary words that only begin a sentence or a heading.

Both are told by the collection itself: what is no name is written small somewhere else in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from understudy.privacy.protected.values import ORDINARY, Value

__all__ = ["Wording", "parts_of", "repeated_names", "wording_of"]

CAPITAL = r"[^\W\d_a-zß-öø-ÿ][\w'’-]*[^\W\d_]"
PARTICLE = r"(?:de|del|della|den|der|di|da|dos|du|la|le|van|von|zu|bin|ibn|al|el|ten|ter|y)"
NAME = re.compile(
    rf"(?<![\w'’-]){CAPITAL}(?: (?:[^\W\d_a-z]\.|{PARTICLE}(?: {PARTICLE})?(?= [^\W\d_a-z])|{CAPITAL}))+(?![\w'’-])"
)
SMALL = re.compile(r"(?<![\w'’-])[a-zß-öø-ÿ][\w'’-]{2,}")
WORD = re.compile(r"\w[\w'’.-]*")
TITLES = frozenset(
    """mr mrs ms miss dr prof sir dame lord lady herr frau madame monsieur""".split()  # noqa: SIM905
)
COMPANY = frozenset(
    """inc ltd llc llp plc corp corporation company co gmbh ag sa bv group bank university hospital
    clinic institute""".split()  # noqa: SIM905
)
CALENDAR = frozenset(
    """january february march april may june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday""".split()  # noqa: SIM905
)
REPEATED = 2
"""Times that a name must stand in a collection."""
PART = 4
"""Letters of a word of a name that is looked for on its own."""


@dataclass(frozen=True)
class Wording:
    """How a document writes its words: runs of capitalised words with their counts, and the words it writes small."""

    runs: Mapping[str, int]
    small: frozenset[str]


def wording_of(text: str) -> Wording:
    """The wording of a text. Headings, and lines where every word is capitalised, say nothing of names."""
    runs: Counter[str] = Counter()
    for line in text.splitlines():
        if not is_heading(line):
            runs.update(match[0] for match in NAME.finditer(line))
    return Wording(runs, frozenset(SMALL.findall(text)))


def is_heading(line: str) -> bool:
    """Whether a line is a heading, or looks like one: capitalised words and nothing else, no table row."""
    if line.startswith("#"):
        return True
    words = [word for word in WORD.findall(line) if len(word) > 3]
    prose = "|" in line or re.search(r"[.:,;]\s*\S", line)
    return not prose and len(words) > 1 and all(word[0].isupper() for word in words)


def repeated_names(wordings: Iterable[Wording]) -> Iterator[Value]:
    """The names that documents repeat, together.

    A run of capitalised words is a name if some word of it stands nowhere in small letters. Words at its beginning
    that do stand so, as after a full stop, are left out, titles and months too.
    """
    held = list(wordings)
    small = frozenset().union(*(wording.small for wording in held))
    counts: Counter[str] = Counter()
    for wording in held:
        for run, count in wording.runs.items():
            counts[bare_name(run, small)] += count
    for name, count in counts.items():
        if count >= REPEATED and " " in name:
            yield Value(name, "ORGANISATION" if company(name) else "NAME", "repeated name")


def bare_name(run: str, small: frozenset[str]) -> str:
    """A run without what is no name of it at either end; empty where nothing is left."""
    words = run.split()
    while words and ordinary(words[0], small):
        del words[0]
    while words and words[-1].casefold() in CALENDAR:
        del words[-1]
    return " ".join(words)


def ordinary(word: str, small: frozenset[str]) -> bool:
    """Whether a capitalised word is an ordinary one."""
    low = word.casefold().rstrip(".")
    return low in small or low in ORDINARY or low in TITLES or low in CALENDAR


def company(name: str) -> bool:
    """Whether a name says that it is an organisation's."""
    return not COMPANY.isdisjoint(name.casefold().replace(".", "").split())


def parts_of(values: Iterable[Value], small: frozenset[str]) -> Iterator[Value]:
    """Surnames and forenames of people's names, where the collection knows them as nothing else."""
    for value in values:
        if value.type == "PERSON":
            for word in WORD.findall(value.text):
                if len(word) >= PART and word[0].isupper() and word.isalpha() and not ordinary(word, small):
                    yield Value(word, value.type, f"part of a {value.origin}")
