"""Names of people, places and organisations in English, without a model: capitals, word lists, and the words around.

A run of capitalised words is a name if one of them is no common word, or is a given name; what stands before and
after it says whose. All-capitals words count only inside such runs and after a place's preposition, since most are
abbreviations. In a text that isn't mostly English words every noun may be capitalised: there only given names with
what follows them count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from understudy.privacy.redaction.found import Found
from understudy.privacy.redaction.words import CUES, Words, words

__all__ = ["Names"]

CAPITALISED = re.compile(r"(?<![\w'’])(?=[^\W\d_a-z])[^\W\d_]+(?:['’\-‐][^\W\d_]+)*")
NO_NAME = re.compile(r"\A[^\W\d_]['’][^\W\d_A-Z]|[nN]['’][tT]\Z")
"""C'mon, weren't."""
INNER_CAPITAL = re.compile(r"(?:Mc|Mac|De|La|Van|Le|Fitz)[A-Z][a-z]|.*[-‐’']|[^a-z]+\Z")
POSSESSIVE = frozenset({"'s", "’s", "'S", "’S"})
NO_NAMES = frozenset({"I", "I'm", "I’m", "I'd", "I’d", "I'll", "I’ll", "I've", "I’ve"})
JOINED_BEFORE = re.compile(r"(?:, | and |, and | or | & )\Z")
JOINED_AFTER = re.compile(r"(?:, and |, | and | or | & )")
SETTLED = re.compile(
    r"\b(?:liv(?:es?|ed|ing)|moved|here|born|based|am|arrived|travel(?:l?ed|l?ing)?|resid(?:es?|ed|ing)|raised|stay(?:s|ed|ing)?)"
    r"\s(?:in|from|to|at)\s\Z"
)
LINK = re.compile(r"(?:[ \u00a0]|\. | & |, (?=Inc|Ltd|LLC|L\.|Co|S\.))\Z")
PARTICLES = CUES["particles"]
TITLES = CUES["titles"]
CALLS = CUES["calls"]
INTO = CUES["into"]
FIRM = CUES["firm"]
WEAK_FIRM = CUES["weak_firm"]
"""Ends the name of an organisation only where another of its words is no common one."""
ANY_FIRM = FIRM | WEAK_FIRM
SITES = CUES["sites"]
NOT_OF_IT = CUES["not_of_it"]
ENDS = frozenset('.!?:;\n\t"“”•|()[]{}*#>=—–…')


class Token(NamedTuple):
    """A capitalised word of a text."""

    start: int
    end: int
    text: str
    first: bool
    """Whether a sentence or a line begins with it, so that its capital says nothing."""
    low: str
    """In small letters, without the ending of a possessive."""
    stop: int
    """Where it ends without that ending."""


class Names:
    """Finds names."""

    def find(self, text: str) -> Iterator[Found]:
        """Runs of capitalised words that are names; in a text without a capital, what would be written with one."""
        known = words()
        cased = text if any(c.isupper() for c in text) else recapitalised(text, known)
        english = is_english(text, known)
        names: list[tuple[int, int, str]] = []
        others: list[list[Token]] = []
        for run in runs(cased, capitalised(cased)):
            if len(run) == 1 and run[0].first and run[0].low in known.common:
                continue
            of_run = list(judged(cased, run, known, english))
            names += of_run
            if not of_run and len(run) == 1:
                others.append(run)
        names += listed(cased, names, others, known)
        for start, end, kind in names:
            yield Found(start, end, kind, text[start:end])


Stretch = tuple[int, int, str]


def listed(text: str, names: Sequence[Stretch], others: Iterable[list[Token]], known: Words) -> Iterator[Stretch]:
    """Surnames that are common words, too, in a list with names: "Willis and Green"."""
    starts, ends = {s: k for s, _, k in names}, {e: k for _, e, k in names}
    for (token,) in others:
        if token.low in NOT_OF_IT or not (token.low in known.surnames or token.low in known.given):
            continue
        before = JOINED_BEFORE.search(text, max(0, token.start - 6), token.start)
        after = JOINED_AFTER.match(text, token.stop)
        kind = (before and ends.get(before.start())) or (after and starts.get(after.end()))
        if kind == "PERSON":
            ends[token.stop] = kind
            yield token.start, token.stop, kind


def capitalised(text: str) -> list[Token]:
    """Every word that begins with a capital, `I` left out."""
    tokens = []
    for match in CAPITALISED.finditer(text):
        word = match[0]
        if not word[0].isupper():
            continue
        bare = word[:-2] if word[-2:] in POSSESSIVE else word
        if bare not in NO_NAMES:
            start, end = match.span()
            tokens.append(Token(start, end, word, is_first(text, start), bare.lower(), start + len(bare)))
    return tokens


def recapitalised(text: str, known: Words) -> str:
    """A text without capitals, of the same length, with those that its names would have."""

    def raised(match: re.Match[str]) -> str:
        word = match[0]
        low = word.split("'")[0].split("’")[0]
        if len(low) < 3 or (known.is_common(low) and low not in known.common_given) or len(word[0].upper()) != 1:
            return word
        return word[0].upper() + word[1:]

    return re.sub(r"(?<![\w@./-])[^\W\d_]++(?:['’\-‐][^\W\d_]++)*+(?![@/]|\.\w)", raised, text)


def is_first(text: str, at: int) -> bool:
    """Whether nothing but spaces stands between a place and the end of a sentence, a mark or the start."""
    at -= 1
    while at >= 0 and text[at] == " ":
        at -= 1
    return at < 0 or text[at] in ENDS


def is_english(text: str, known: Words) -> bool:
    """Whether at least half of the words that are written small are English ones."""
    small = [t for t in re.findall(r"\b[^\W\d_]+\b", text[:4000]) if t.islower()]
    return len(small) < 5 or sum(t in known.common for t in small) >= len(small) / 2


def runs(text: str, tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Capitalised words with nothing between them but a space, a particle, an initial's full stop or an ampersand."""
    run: list[Token] = []
    for token in tokens:
        if run and not linked(text, run[-1], token):
            yield run
            run = []
        run.append(token)
    if run:
        yield run


def linked(text: str, left: Token, right: Token) -> bool:
    """Whether two capitalised words may belong to one name."""
    between = text[left.end : right.start]
    if left.stop < left.end:
        return False  # what is somebody's is no part of the name
    if between == ". ":
        return len(left.text) == 1 or left.low in TITLES
    word = between[1:-1].lower() if len(between) > 2 and between[0] == between[-1] == " " else ""
    if word:
        return word in PARTICLES or (word == "of" and left.low in FIRM)
    return LINK.match(between) is not None


def judged(text: str, run: list[Token], known: Words, english: bool) -> Iterator[Stretch]:
    """What of a run is a name, and of what kind."""
    titled = False
    while run and run[0].low in TITLES and len(run) > 1:
        titled, run = True, run[1:]
    before = preceding(text, run[0].start)
    titled = titled or before in TITLES
    firm = firm_at(run)
    if firm is not None and english:
        start = next((i for i, t in enumerate(run) if not (t.first and t.low in NOT_OF_IT) and t.low != "the"), firm)
        if start < firm and (run[firm].low in FIRM or not all(known.is_common(t.low) for t in run[start:firm])):
            yield stretch(run[start : firm + 1], "ORGANISATION")
            run = run[firm + 1 :]
            if not run:
                return
    called = titled or before in CALLS or SETTLED.search(text, max(0, run[0].start - 32), run[0].start) is not None
    names = [is_name(t, known, called, english) for t in run]
    if not any(names):
        place = " ".join(t.text for t in run)
        if place in known.places:
            yield stretch(run, "PLACE")
        return
    first, last = names.index(True), len(names) - 1 - names[::-1].index(True)
    if not titled:
        # A common word before a name belongs to it (Ball Aerospace, New Delhi) unless its capital is the sentence's.
        while first > 0 and small_run(run) and belongs(run[first - 1], known):
            first -= 1
    while last + 1 < len(run) and small_run(run) and belongs(run[last + 1], known):
        last += 1
    part = run[first : last + 1]
    yield stretch(part, kind_of(part, before, titled, known))


def belongs(token: Token, known: Words) -> bool:
    """Whether a common word before a name may be part of it."""
    if token.low in known.neutral or token.low in NOT_OF_IT:
        return False
    return not token.first or token.low in known.given or token.low in known.surnames


def small_run(run: Sequence[Token]) -> bool:
    """Whether a run is short enough to be one name rather than a heading."""
    return len(run) <= 4


def firm_at(run: Sequence[Token]) -> int | None:
    """The last word of a run that says it is an organisation, unless it is the first."""
    return next((i for i in range(len(run) - 1, 0, -1) if run[i].low in ANY_FIRM), None)


def is_name(token: Token, known: Words, called: bool, english: bool) -> bool:
    """Whether a capitalised word is one that names somebody or somewhere."""
    low, text = token.low, token.text
    if text.isupper() and len(low) > 1 and low not in known.given and text.title() not in known.places:
        return called and len(low) > 3
    if low in known.neutral or len(low) == 1 or low in TITLES or NO_NAME.search(text):
        return False
    if low in known.common_given:
        return not token.first or low not in known.common
    if not english:
        return low in known.given and low not in known.common
    if known.is_common(low):
        return called and not token.first and (low in known.surnames or low in known.given)
    if any(c.isupper() for c in text[1:]) and not re.match(
        r"(?:Mc|Mac|O['’]|De|La|Van|Le|Fitz)?[A-Z][a-z]|.*[-‐’']", text
    ):
        return False
    return not all(known.is_common(p) for p in re.split(r"[-'‐’]", low) if len(p) > 1)


def kind_of(part: Sequence[Token], before: str, titled: bool, known: Words) -> str:
    """Of what kind a name is."""
    if " ".join(t.text for t in part) in known.places:
        return "PLACE"
    if titled or any(t.low in known.given for t in part):
        return "PERSON"
    if any(t.low in SITES for t in part) or before in INTO:
        return "PLACE"
    return "PERSON"


def preceding(text: str, at: int) -> str:
    """The word right before a place, small; empty where a mark stands between."""
    match = re.search(r"([^\W\d_]+)\.?[ \u00a0]\Z", text[max(0, at - 24) : at])
    return match[1].lower() if match else ""


def stretch(part: Sequence[Token], kind: str) -> Stretch:
    """Where a run of words is."""
    return part[0].start, part[-1].stop, kind
