"""The parts of a text that can hold what is looked for, so that slow patterns run over little."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from understudy.privacy.redaction.found import Found

__all__ = ["within"]

SEPARATOR = " \0 "
"""No pattern of ours passes over it."""


def within(
    text: str, gate: re.Pattern[str], before: int, after: int, find: Callable[[str], Iterable[Found]]
) -> Iterator[Found]:
    """What `find` finds around the matches of a gate, as if it had read the whole text.

    Args:
        text: to look in.
        gate: a fast pattern that matches within everything that `find` is after.
        before: code points before the gate that `find` may need; it gets whole words.
        after: code points after it.
        find: a recogniser that looks no further than that.
    """
    spans: list[tuple[int, int]] = []
    for match in gate.finditer(text):
        if spans and match.end() + after <= spans[-1][1]:
            continue
        start, end = to_space(text, match.start() - before, -1), to_space(text, match.end() + after, 1)
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    if not spans:
        return
    starts, at = [], 0
    for start, end in spans:
        starts.append(at)
        at += end - start + len(SEPARATOR)
    for found in find(SEPARATOR.join(text[start:end] for start, end in spans)):
        which = bisect_right(starts, found.start) - 1
        shift = spans[which][0] - starts[which]
        if found.end + shift <= spans[which][1]:
            yield Found(found.start + shift, found.end + shift, found.type, found.text)


def to_space(text: str, at: int, step: int) -> int:
    """The nearest edge of a word before or after a place, at most 256 code points away."""
    limit = max(0, at - 256) if step < 0 else min(len(text), at + 256)
    at = min(max(at, 0), len(text))
    while at != limit and not (text[at - 1] if step < 0 else text[at]).isspace():
        at += step
    return at
