"""What a question asks, in one form for all its wordings: two questions with equal facts ask the same.

Only changes that keep the meaning are undone: courtesies, a fronted phrase, the passive with its agent named, a
possessive, another word for the same question word, tenses, ways to write numbers and dates. Everything else, the order
of words and every preposition among it, is a fact. So a negation, another number, name, unit or period, and a relation
the other way round make other facts; a wording that isn't foreseen makes other facts too, and the question is answered
anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from understudy.agents.cache.words import BE, DATE, Word, form_of, is_participle, is_past, listed, words_of

__all__ = ["VERSION", "Facts", "facts_of"]

VERSION = "facts-1"
"""Recorded with all that rests on the facts: other rules make other facts."""

OPENINGS = [
    tuple(opening.split())
    for opening in (
        "could you please", "can you please", "would you please", "could you", "can you", "would you", "will you",
        "do you know", "do you happen to know", "i would like to know", "i'd like to know", "i want to know",
        "i need to know", "i wish to know", "i wonder", "i am wondering", "i was wondering", "let me know", "tell me",
        "tell us", "please", "hi", "hello", "hey", "quick question", "one question", "any idea", "find out",
        "have you any idea", "explain to me",
    )
]  # fmt: skip
COMMANDS = [
    tuple(c.split()) for c in ("give me", "give us", "show me", "tell me", "give", "name", "list", "state", "find")
]
QUESTION = frozenset(["who", "whom", "whose", "when", "where", "why", "how", "what", "which"])
ARTICLES = frozenset(("a", "an", "the"))
DO = frozenset(("do", "does", "did"))
NOW = frozenset(["is", "are", "am", "do", "does", "has", "have"])
THEN = frozenset(["was", "were", "did", "had"])
MODALS = frozenset(listed("can could may might must shall should will would"))
PREPOSITIONS = frozenset(
    listed(
        "in on at by for to from of with under during through about into after before since until against between "
        "among within without over above below per as than towards toward upon onto across behind near like "
        "despite"
    )
)
RELATIVES = frozenset(listed("that which who whose whom when where while because if"))
CLAUSES = frozenset(
    listed("and or but that which who whose whom when where while because if all every any each although")
)
AMOUNTS = frozenset(
    form_of(w).removesuffix("+s")
    for w in listed(
        "revenue income profit loss cost price expense sale tax debt salary fee rate earnings cash dividend asset "
        "liability equity amount total value margin interest expenditure capital goodwill depreciation "
        "amortization inventory change difference"
    )
)
KINDS = {
    ("year",): "when", ("date",): "when", ("place",): "where", ("location",): "where", ("person",): "who",
    ("reason",): "why", ("amount", "of"): "how much", ("quantity", "of"): "how much", ("number", "of"): "how many",
}  # fmt: skip
"""What "what" or "which" asks for, by the words after it."""
OF_TIME = frozenset(("in", "on", "for", "during"))


@dataclass(frozen=True)
class Facts:
    """All that must be equal. `words` holds names, numbers, prepositions and denials in their order."""

    kind: str
    """Who, when, where, why, how, how much, how many, what, whether; "" for what is no question in form."""
    words: tuple[Word, ...]
    tense: str = ""
    """Now or then, where no date says it."""
    passive: bool = False
    """Whether something is done to what is asked about, by nobody that is named."""
    denied: bool = False
    modal: str = ""
    date: str = ""
    """The question's one date, where it says when: "in 2019"."""

    @property
    def digest(self) -> str:
        """A hash of all but the spelling of names."""
        parts = [VERSION, self.kind, [w.form for w in self.words], self.tense, self.passive, self.denied]
        return hashlib.sha256(json.dumps([*parts, self.modal, self.date]).encode()).hexdigest()

    def same(self, other: Facts) -> bool:
        """Whether both ask the same: equal facts, and names letter by letter, since "Adams" is no plural of "Adam"."""
        pairs = zip(self.words, other.words, strict=False)
        return self.digest == other.digest and all(a.text == b.text for a, b in pairs if a.name or b.name)


@dataclass(frozen=True)
class Parts:
    """A question on its way to facts."""

    kind: str
    body: tuple[Word, ...]
    hanging: str = ""
    """A preposition of the question word: "by" of "by whom"."""
    last: int | None = None
    """Where the question word stood after its sentence, how many words stood after it; they are the body's first."""
    fronted: tuple[Word, ...] = ()
    passive: bool = False


def facts_of(question: str) -> Facts | None:
    """The facts of a question; `None` where there is nothing to compare."""
    words = opened(words_of(question))
    dates = [w for w in words if is_date(w)]
    tense = "" if dates else tense_of(words)
    parts = voiced(split(bare(words)))
    body, date = timed([*parts.body, *parts.fronted], single=len(dates) == 1)
    body, denied = undenied(body)
    modals = [w.text for w in body if w.text in MODALS and not w.name]
    if len(modals) == 1:
        body = [w for w in body if w.text != modals[0]]
    kept = tuple(w for w in without_auxiliaries(body) if w.text != "that")
    if not kept:
        return None
    return Facts(parts.kind, kept, tense, parts.passive, denied, modals[0] if len(modals) == 1 else "", date)


def opened(words: list[Word]) -> list[Word]:
    """The words without courtesies before and after them."""
    while words and words[-1].text in ("please", "thanks"):
        words = words[:-1]
    while opening := next((o for o in OPENINGS if starts(words, o) and len(words) > len(o)), None):
        words = words[len(opening) :]
        if words[0].text in ("if", "whether") or (words[0].text in ("me", "us") and len(words) > 1):
            words = words[1:]
    return words


def starts(words: Sequence[Word], texts: Sequence[str]) -> bool:
    """Whether the words begin with these."""
    return tuple(w.text for w in words[: len(texts)]) == tuple(texts)


def bare(words: list[Word]) -> list[Word]:
    """The words without articles, "there is" and "year" before a year; "fiscal 2019" becomes one word."""
    kept: list[Word] = []
    for at, word in enumerate(words):
        after = words[at + 1] if at + 1 < len(words) else None
        if word.text in ARTICLES or (
            word.text == "there" and ((kept and kept[-1].text in BE) or (after and after.text in BE))
        ):
            continue
        if word.text in ("year", "of") and after is not None and is_date(after):
            continue
        if is_date(word) and kept and kept[-1].text == "fiscal":
            kept[-1] = Word(f"fiscal {word.form}", f"fiscal {word.text}")
        else:
            kept.append(word)
    return kept


def is_date(word: Word) -> bool:
    """Whether a word is a year, a month of one, or a day."""
    text = word.text.removeprefix("fiscal ")
    return bool(DATE.fullmatch(text)) and 1500 <= int(text[:4]) < 2100


def tense_of(words: Sequence[Word]) -> str:
    """Now or then, by the first auxiliary, else by the verbs."""
    for word in words:
        if word.text in NOW or word.text in MODALS:
            return "now"
        if word.text in THEN:
            return "then"
    asks = any(w.text in QUESTION for w in words)  # a command or keywords: "the revenue reported in Asia"
    return "then" if asks and any(is_past(w) for w in words) else "now"


def split(words: list[Word]) -> Parts:
    """What is asked, what about, and what stands before the question word."""
    command = next((c for c in COMMANDS if starts(words, c) and len(words) > len(c)), None)
    if command is not None:
        return measured(Parts("what", tuple(words[len(command) :])))
    if words and (words[0].text in BE | DO | MODALS or words[0].text in ("has", "have", "had")):
        return Parts("whether", tuple(words))
    at = next((i for i, w in enumerate(words) if w.text in QUESTION and not w.name), None)
    if at is None:
        verbs = any(w.text in BE | DO | MODALS for w in words)
        return Parts("" if verbs else "what", tuple(words))
    before, after = words[:at], words[at + 1 :]
    hanging = before.pop().text if before and before[-1].text in PREPOSITIONS else ""
    kind, after, hanging = kind_of(words[at].text, after, hanging)
    if not after or (len(after) == 1 and before and len(before) > 2):
        return measured(Parts(kind, (*after, *before), hanging, last=len(after)))
    return measured(Parts(kind, tuple(after), hanging, fronted=tuple(before)))


def kind_of(asked: str, after: list[Word], hanging: str) -> tuple[str, list[Word], str]:
    """What a question word asks, with the words after it that say so taken off."""
    kind = {"whom": "who", "which": "what"}.get(asked, asked)
    texts = [w.text for w in after]
    if asked == "how" and texts[:1] in (["many"], ["much"]):
        return f"how {texts[0]}", after[1:], hanging
    if asked in ("what", "which"):
        skipped = 1 if texts and texts[0] in BE else 0
        for named, meant in KINDS.items():
            related = texts[skipped + 1 : skipped + 2] in (["that"], ["when"])  # "what was the year that"
            start = skipped if related or meant in ("how much", "how many") else 0
            if tuple(texts[start : start + len(named)]) == named:
                kind, after = meant, [*after[:start], *after[start + len(named) :]]
                break
    if (kind in ("when", "where") and hanging in ("in", "on", "at", "during")) or (kind == "why" and hanging == "for"):
        hanging = ""
    return kind, after, hanging


def measured(parts: Parts) -> Parts:
    """Take "how much revenue" for "what revenue", where the noun itself is an amount."""
    if parts.kind == "what" and starts(parts.body, ("amount", "of")):
        parts = replace(parts, kind="how much", body=parts.body[2:])
    if parts.kind == "what" and starts(parts.body, ("number", "of")):
        return replace(parts, kind="how many", body=parts.body[2:])
    if parts.kind != "how much":
        return parts
    if starts(parts.body[1:], ("amount", "of")):
        parts = replace(parts, body=(parts.body[0], *parts.body[3:]))
    noun: Word | None = None
    for at, word in enumerate(parts.body):
        if word.text in PREPOSITIONS or word.text in DO or (word.text in BE and at):
            break
        noun = word
    return replace(parts, kind="what") if noun is not None and noun.form.removesuffix("+s") in AMOUNTS else parts


def voiced(parts: Parts) -> Parts:
    """The active form of what is passive with its agent named; else whether it is passive; possessives as "of"."""
    body = owned(list(parts.body))
    be = next((i for i, w in enumerate(body) if w.text in BE), None)
    if be is None:
        return replace(parts, body=(*body, *hung(parts.hanging)))
    by = next((i for i, w in enumerate(body) if w.text == "by" and i > be + 1 and is_participle(body[i - 1])), None)
    if by is not None and (by > be + 2 or (by + 1 < len(body) and not ends_phrase(body[by + 1]))):
        return replace(parts, body=by_agent(parts, body, be, by))
    verb = next((i for i, w in enumerate(body) if i > be and is_participle(w)), None)
    if verb is not None and parts.hanging == "by":
        asked, patient = body[: be if parts.last is None else parts.last], body[be + 1 : verb]
        subject = [] if parts.last is None else body[parts.last : be]
        return replace(parts, body=(*asked, body[verb], *subject, *patient, *body[verb + 1 :]))
    done = [i for i, w in enumerate(body) if i > be and is_participle(w) and ends_verb(body, be, i)]
    passive = bool(done) and not any(w.text in RELATIVES for w in body[be : done[0]])
    return replace(parts, body=(*body, *hung(parts.hanging)), passive=passive)


def ends_verb(body: Sequence[Word], be: int, at: int) -> bool:
    """Whether a participle belongs to the verb, not to a noun after it as in "diluted shares"."""
    return at == be + 1 or at + 1 == len(body) or ends_phrase(body[at + 1])


def hung(preposition: str) -> tuple[Word, ...]:
    """The question word's preposition, where it stands when it is left behind."""
    return (Word(preposition, preposition),) if preposition else ()


def by_agent(parts: Parts, body: list[Word], be: int, by: int) -> tuple[Word, ...]:
    """The active form of "… was … bought by …": what the question word stands for first, then who, did it, to what."""
    asked, patient, verb = body[:be], body[be + 1 : by - 1], body[by - 1]
    end = next((i for i in range(by + 1, len(body)) if ends_phrase(body[i])), len(body))
    agent, rest = body[by + 1 : end], body[end:]
    if not agent:  # "Who was it founded by?"
        return (*asked, verb, *patient, *rest, *hung(parts.hanging))
    if parts.kind in ("what", "who", "how much", "how many") and not asked:  # "What was the revenue reported by Acme?"
        return (*patient, *agent, verb, *rest, *hung(parts.hanging))
    return (*asked, *agent, verb, *patient, *rest, *hung(parts.hanging))


def ends_phrase(word: Word) -> bool:
    """Whether a word is the first after a noun phrase."""
    return word.text in PREPOSITIONS or word.text in BE or word.text in DO or word.text in CLAUSES or is_date(word)


def owned(body: list[Word]) -> list[Word]:
    """Turn "Acme's revenue" into "revenue of Acme", where it is certain how far what is owned reaches."""
    at = next((i for i, w in enumerate(body) if w.text == "'s"), None)
    if at is None or at == 0 or [w.text for w in body].count("'s") > 1:
        return body
    before = next((i for i in range(at - 1, -1, -1) if ends_phrase(body[i]) and not body[i].name), -1)
    start = before + 1 if before >= 0 and body[before].text in BE | PREPOSITIONS else named_from(body, at)
    if start == at:
        return body
    end = next((i for i in range(at + 1, len(body)) if ends_phrase(body[i])), len(body))
    thing = body[at + 1 : end]
    plain = body[0].text in BE and not any(is_participle(w) for w in thing)
    if len(thing) != 1 and not (plain and thing):
        return body
    return [*body[:start], *thing, Word("of", "of"), *body[start:at], *body[end:]]


def named_from(body: Sequence[Word], end: int) -> int:
    """Where the name begins that ends before a place; the last word alone where it is no name."""
    start = end - 1
    while body[end - 1].name and start > 0 and body[start - 1].name:
        start -= 1
    return start


def timed(body: list[Word], *, single: bool) -> tuple[list[Word], str]:
    """The words without prepositions before dates; the date by itself if it is the only one and says when."""
    kept: list[Word] = []
    date = ""
    for word in body:
        if is_date(word) and kept and kept[-1].text in OF_TIME:
            kept.pop()
            if single:
                date = word.form
                continue
        kept.append(word)
    return kept, date


def undenied(body: list[Word]) -> tuple[list[Word], bool]:
    """The words without the one "not" that denies all of a plain question, and whether there was one."""
    at = [i for i, w in enumerate(body) if w.text == "not"]
    if len(at) != 1 or any(w.text in CLAUSES for w in body):
        return body, False
    before = body[at[0] - 1].text if at[0] else ""
    if before not in BE and before not in DO and before not in MODALS:
        return body, False
    return [*body[: at[0]], *body[at[0] + 1 :]], True


def without_auxiliaries(body: list[Word]) -> list[Word]:
    """The words without forms of "be", and without the first of "do"."""
    kept = [w for w in body if w.text not in BE]
    do = next((i for i, w in enumerate(kept) if w.text in DO), None)
    return kept if do is None or len(kept) == 1 else [*kept[:do], *kept[do + 1 :]]
