"""The owner's own patterns, `[[privacy.patterns]]` of the settings."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import regex

from understudy.core.errors import EgressRefused
from understudy.core.settings import PatternSettings
from understudy.privacy.redaction.found import Found

__all__ = ["OwnPatterns"]

SECONDS = 2.0
"""That all of the owner's patterns together may take over one text."""


class OwnPatterns:
    """Finds what the owner's regular expressions match, in the syntax of the `regex` module.

    Args:
        patterns: valid ones; the settings were checked when they were read.
        seconds: after which a text is given up, and with it the call.
    """

    def __init__(self, patterns: Iterable[PatternSettings], seconds: float = SECONDS) -> None:
        self._patterns = [(p.type, regex.compile(p.regex)) for p in patterns]
        self._seconds = seconds

    def find(self, text: str) -> Iterator[Found]:
        """Every match. Raises `EgressRefused` when one takes too long: what it would have found can't be known."""
        deadline = time.monotonic() + self._seconds
        for kind, pattern in self._patterns:
            try:
                for match in pattern.finditer(text, timeout=max(deadline - time.monotonic(), 0.001)):
                    if match.start() < match.end():
                        yield Found(match.start(), match.end(), kind, match[0])
            except TimeoutError as error:
                raise EgressRefused(
                    f"the pattern of type {kind} in [[privacy.patterns]] takes over {self._seconds:g} s on a text of"
                    f" {len(text):,} characters; nothing was sent: simplify it",
                    "pattern",
                ) from error
