"""What is known of English words: which are common, which are names."""

from __future__ import annotations

import gzip
import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["CUES", "Words", "words"]

LISTS = Path(__file__).parent / "lists"
CUES = {k: frozenset(v.split()) for k, v in tomllib.loads((LISTS / "cues.toml").read_text("utf-8")).items()}
"""Words that say what stands beside them, or that are no names."""
CALENDAR = CUES["calendar"]
ADJECTIVE = re.compile(r"(?:ish|ese|ians?|isms?|ists?|ics?|eans?|[^aeiou]ans?)\Z")
COMMON_GIVEN = 400
"""Given names that count even where they are common words, too (Mark, Grace, Victor)."""


@dataclass(frozen=True)
class Words:
    """The lists, lower-case but for places."""

    common: frozenset[str]
    given: frozenset[str]
    common_given: frozenset[str]
    surnames: frozenset[str]
    neutral: frozenset[str]
    """Written with a capital, and no name of somebody or somewhere: days, months, nationalities, creeds."""
    places: frozenset[str]

    def is_common(self, word: str) -> bool:
        """Whether a word, or its singular, is one that is written small, or that names nobody."""
        low = word.lower()
        return any(w in self.common or w in self.neutral for w in (low, low.removesuffix("s")))


@lru_cache(maxsize=1)
def words() -> Words:
    """The lists, read once: some 40 ms and 15 MB."""
    given = read("given")
    surnames = frozenset(read("surnames"))
    neutral = {w.lower() for w in read("proper") if ADJECTIVE.search(w)} - set(given) - surnames
    return Words(
        common=frozenset(read("words")) - CALENDAR,
        given=frozenset(given) - CALENDAR,
        common_given=frozenset(given[:COMMON_GIVEN]) - CALENDAR - {"will", "art", "long", "so", "see", "an", "my"},
        surnames=surnames - CALENDAR,
        neutral=frozenset(neutral) | CALENDAR,
        places=frozenset(read("places")),
    )


def read(name: str) -> list[str]:
    """One list."""
    return gzip.decompress((LISTS / f"{name}.txt.gz").read_bytes()).decode().split("\n")[:-1]
