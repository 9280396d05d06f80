"""A question's words in one form each: numbers and dates as figures, inflections off, names as they are written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

__all__ = ["BE", "DATE", "Word", "form_of", "is_participle", "is_past", "listed", "words_of"]


@dataclass(frozen=True)
class Word:
    """A word: `form` is what must be equal, `text` how it is written in lower case."""

    form: str
    text: str
    name: bool = False
    """Whether it has a capital inside a sentence: a name's own letters count, "Adam" is not "Adams"."""


def listed(words: str) -> tuple[str, ...]:
    """Words written in one string, as a tuple."""
    return tuple(words.split())


BE = frozenset(["is", "are", "was", "were", "be", "been", "being", "am"])
IRREGULAR = {
    "bought": "buy", "sold": "sell", "made": "make", "built": "build", "wrote": "write", "written": "write",
    "won": "win", "lost": "lose", "took": "take", "taken": "take", "gave": "give", "given": "give", "began": "begin",
    "begun": "begin", "became": "become", "led": "lead", "held": "hold", "got": "get", "gotten": "get",
    "said": "say", "saw": "see", "seen": "see", "went": "go", "gone": "go", "came": "come", "had": "have",
    "has": "have", "left": "leave", "grew": "grow", "grown": "grow", "rose": "rise", "risen": "rise", "fell": "fall",
    "fallen": "fall", "spent": "spend", "paid": "pay", "taught": "teach", "knew": "know", "known": "know",
    "thought": "think", "brought": "bring", "met": "meet", "fought": "fight", "chose": "choose", "chosen": "choose",
    "spoke": "speak", "spoken": "speak", "drew": "draw", "drawn": "draw", "ran": "run", "sent": "send",
    "meant": "mean", "kept": "keep", "told": "tell", "caught": "catch", "drove": "drive", "driven": "drive",
    "ate": "eat", "eaten": "eat", "broke": "break", "broken": "break", "stole": "steal", "stolen": "steal",
    "hid": "hide", "hidden": "hide", "sang": "sing", "sung": "sing", "threw": "throw", "thrown": "throw",
    "wore": "wear", "worn": "wear", "flew": "fly", "flown": "fly", "sought": "seek", "struck": "strike",
    "lent": "lend", "dealt": "deal", "stood": "stand", "sat": "sit", "understood": "understand",
    "withdrew": "withdraw", "withdrawn": "withdraw", "overcame": "overcome", "shot": "shoot", "does": "do",
    "did": "do", "done": "do",
}  # fmt: skip
PAST_ONLY = frozenset(
    listed(
        "bought sold made built wrote won lost took gave began became led held got said saw went came had left "
        "grew rose fell spent paid taught knew thought brought met fought chose spoke drew ran sent meant kept "
        "told caught drove ate broke stole hid sang threw wore flew sought struck lent dealt stood sat understood "
        "withdrew overcame shot did"
    )
)
PARTICIPLES = frozenset(
    listed(
        "bought sold made built written won lost taken given begun led held got gotten said seen gone left grown "
        "risen fallen spent paid taught known thought brought met fought chosen spoken drawn run sent meant kept "
        "told caught driven eaten broken stolen hidden sung thrown worn flown sought struck lent dealt understood "
        "withdrawn overcome shot done"
    )
)
ALIKE = {
    "begin": "start", "purchase": "buy", "movie": "film", "big": "large", "bigger": "larger", "biggest": "largest",
    "kind": "type", "percentage": "percent", "%": "percent",
}  # fmt: skip
"""Words of one meaning in any subject, in their base forms. Few: in most pairs of synonyms the two differ somewhere."""
SYNONYMS: dict[str, str] = {}
"""`ALIKE` by form; filled below."""

SMALL = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
UNITS = {word: number for number, word in enumerate(SMALL)}
TENS = {
    word: 10 * number for number, word in enumerate(listed("twenty thirty forty fifty sixty seventy eighty ninety"), 2)
}
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
ORDINALS = dict(
    zip(listed("first second third fourth fifth sixth seventh eighth ninth tenth"), range(1, 11), strict=True)
)
MONTHS = listed("january february march april may june july august september october november december")
MONTH = "|".join(f"{m}|{m[:3]}\\.?" for m in MONTHS if m != "may") + "|sept\\.?|may"
DATE = re.compile(r"\d{4}(-\d\d){0,2}")
ROUND = re.compile(r"\d+(?:\.\d+)?")
DAY, YEAR = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?", r"(?P<year>\d{4})"
DAYS = [
    re.compile(rf"\b(?P<month>{MONTH})\s+{DAY}\s*,?\s*{YEAR}\b", re.IGNORECASE),
    re.compile(rf"\b{DAY}\s+(?:of\s+)?(?P<month>{MONTH})\s*,?\s*{YEAR}\b", re.IGNORECASE),
    re.compile(rf"\b(?P<month>{MONTH})\s*,?\s*(?:of\s+)?{YEAR}\b", re.IGNORECASE),
]  # fmt: skip
CONTRACTIONS = [
    (re.compile(r"\bcan(?:['’]t|not)\b", re.IGNORECASE), "can not"),
    (re.compile(r"\bwon['’]t\b", re.IGNORECASE), "will not"),
    (re.compile(r"n['’]t\b", re.IGNORECASE), " not"),
    (re.compile(r"\b(what|who|where|when|how|which|why|it|that|there|he|she)['’]s\b", re.IGNORECASE), r"\1 is"),
    (re.compile(r"['’]re\b"), " are"),
    (re.compile(r"['’]ve\b"), " have"),
    (re.compile(r"\bU\.\s?S\.(?:\s?A\.)?|\bUSA?\b|\b(?i:united states(?: of america)?)\b"), "Unitedstates"),
    (re.compile(r"\b(?:FY|[Ff]iscal [Yy]ear|[Ff]inancial [Yy]ear|[Ff]iscal)\s?(?=\d{4}\b)"), "fiscal "),
    (re.compile(r"\bQ([1-4])\b"), r"\1st quarter"),
]
TOKEN = re.compile(
    r"\d[\d,]*(?:\.\d+)?(?:st|nd|rd|th)\b|\d{4}-\d\d(?:-\d\d)?\b|\d[\d,]*(?:\.\d+)?|['’]s\b|[^\W\d_]+(?:['’](?!s\b)[^\W\d_]+)*|\S"
)
BREAKS = frozenset(".?!:")
SILENT = frozenset("?!.,;:\"'“”‘’()[]-–—¿¡")


def words_of(question: str) -> list[Word]:
    """The words in order. Punctuation goes, other signs are words; a possessive stays as the word "'s"."""
    text = dated(unicodedata.normalize("NFKC", question))
    for pattern, full in CONTRACTIONS:
        text = pattern.sub(full, text)
    return list(counted(list(plain(text))))


def dated(text: str) -> str:
    """Dates as 2019-12-31 and 2019-12."""

    def iso(found: re.Match[str]) -> str:
        parts = found.groupdict()
        month = 1 + [m[:3] for m in MONTHS].index(parts["month"][:3].lower())
        return f"{parts['year']}-{month:02d}" + (f"-{int(parts['day']):02d}" if parts.get("day") else "")

    for pattern in DAYS:
        text = pattern.sub(iso, text)
    return text


def plain(text: str) -> Iterator[Word]:
    """Words one by one."""
    begins = True
    for found in TOKEN.finditer(text):
        token = found.group()
        if token in SILENT:
            begins = begins or token in BREAKS
            continue
        lower = token.lower().replace("’", "'")
        if token[0].isdigit():
            figure = lower.replace(",", "")
            yield Word(f"#{figure[:-2]}" if figure[-1].isalpha() else figure, figure)
        else:
            yield Word(form_of(lower), lower, name=not begins and token[0].isupper())
        begins = False


def counted(words: list[Word]) -> Iterator[Word]:
    """The words with number words as figures: "twelve thousand" is 12000, "first" is #1."""
    at = 0
    while at < len(words):
        value, taken = number_at(words, at)
        if taken:
            yield Word(f"{value:g}" if value < 1e15 else str(value), f"{value:g}")
            at += taken
        else:
            word = words[at]
            ordinal = ORDINALS.get(word.text)
            yield word if ordinal is None or word.name else Word(f"#{ordinal}", word.text)
            at += 1


def number_at(words: list[Word], at: int) -> tuple[float, int]:
    """The number that begins at a word, and how many words it takes; none where there is no number."""
    first = words[at].text
    if ROUND.fullmatch(first) and not DATE.fullmatch(first):
        value, taken = float(first), 1
    elif first in UNITS and first != "one":  # "which one" counts nothing
        value, taken = float(UNITS[first]), 1
    elif first in TENS:
        value, taken = float(TENS[first]), 1
        if at + 1 < len(words) and 0 < UNITS.get(words[at + 1].text, 0) < 10:
            value, taken = value + UNITS[words[at + 1].text], 2
    else:
        return 0.0, 0
    while at + taken < len(words) and words[at + taken].text in SCALES:
        value, taken = value * SCALES[words[at + taken].text], taken + 1
    return value, taken


@cache
def stemmer() -> Any:
    """Snowball's English one (Porter 2)."""
    import snowballstemmer

    return snowballstemmer.stemmer("english")


@cache
def form_of(word: str) -> str:
    """A word without the ending of its tense: its stem, what else the stemmer took off, and whether it is a plural.

    So "report" and "reported" are one, but "market" and "marketing", "organ" and "organic", "city" and "cities" are
    not.
    """
    base = IRREGULAR.get(word, word)
    stem = str(stemmer().stemWord(base))
    rest = next((w[len(stem) :] for w in (uninflected(base), base) if w.startswith(stem)), "")
    rest = "" if rest == stem[-1:] else rest.rstrip("e")  # stopp-ed; incom-e
    form = f"{stem}+{rest}" if rest else stem
    plural = base.endswith("s") and not base.endswith(("ss", "us", "is")) and not stem.endswith("s")
    return SYNONYMS.get(form, form) + ("+s" if plural else "")


def uninflected(word: str) -> str:
    """A word without the ending of a plural or a past."""
    if word.endswith(("ies", "ied")) and len(word) > 4:
        return f"{word[:-3]}i"
    if word.endswith("y"):
        return f"{word[:-1]}i"
    for ending in ("ed", "es", "s", "d"):
        if word.endswith(ending) and len(word) > len(ending) + 2 and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


SYNONYMS.update({form_of(a): form_of(b) for a, b in ALIKE.items()})


def is_participle(word: Word) -> bool:
    """Whether a word may be a verb's past participle."""
    return word.text in PARTICIPLES or (word.text.endswith("ed") and len(word.text) > 4)


def is_past(word: Word) -> bool:
    """Whether a word may be a verb in the past."""
    return word.text in PAST_ONLY or (word.text.endswith("ed") and len(word.text) > 4)
