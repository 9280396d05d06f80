"""Templates that ask the same in other words, as people do."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence

__all__ = ["AUXILIARY", "PARAPHRASES", "SMALL", "Template"]

Template = Callable[[str, random.Random], str | None]

PAST = {
    "win": "won", "lose": "lost", "write": "wrote", "build": "built", "buy": "bought", "sell": "sold",
    "make": "made", "take": "took", "give": "gave", "begin": "began", "become": "became", "lead": "led",
    "hold": "held", "get": "got", "find": "found", "say": "said", "see": "saw", "go": "went", "come": "came",
    "have": "had", "leave": "left", "grow": "grew", "rise": "rose", "fall": "fell", "spend": "spent", "pay": "paid",
    "teach": "taught", "know": "knew", "think": "thought", "bring": "brought", "meet": "met", "die": "died",
    "study": "studied", "try": "tried", "fight": "fought", "choose": "chose", "speak": "spoke", "draw": "drew",
    "run": "ran", "send": "sent", "mean": "meant",
}  # fmt: skip
VERBS = (
    "use call create publish establish discover invent design develop report record found name play move "
    "live happen occur receive introduce announce release sign visit attack defeat conquer replace claim "
    "describe propose believe consider support serve help need want allow cause produce start end open "
    "close join work attend recognize adopt complete acquire increase decrease change recognise earn "
    "generate issue purchase own"
)
REGULAR = tuple(VERBS.split())
SMALL = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12,
}  # fmt: skip
AUXILIARY = r"(did|does|do|was|were|is|are|has|have|had|can|could|would|will|should)"


def lower_first(text: str) -> str:
    """The text as it stands inside a sentence."""
    return text[:1].lower() + text[1:]


def upper_first(text: str) -> str:
    """The text as it begins a sentence."""
    return text[:1].upper() + text[1:]


def bare(question: str) -> str:
    """A question without its mark."""
    return question.rstrip("? .")


def rewritten(pattern: str, form: str) -> Template:
    """A template that reshapes what a pattern matches; questions that it does not match have no such variant."""
    compiled = re.compile(pattern)

    def template(question: str, _rng: random.Random) -> str | None:
        found = compiled.fullmatch(question.strip())
        return upper_first(found.expand(form)) if found else None

    return template


def polite(question: str, rng: random.Random) -> str:
    """The same words behind a courtesy."""
    opening = rng.choice(["Please tell me:", "Quick question:", "I'd like to know:", "Hi, one question -", "Please:"])
    return f"{opening} {lower_first(question)}"


def embedded(question: str, rng: random.Random) -> str | None:
    """An indirect question: "Could you tell me what the capital of France is?"."""
    opening = rng.choice(["Could you tell me", "Do you know", "I want to know", "Can you find out", "I wonder"])
    mark = "?" if opening.split()[0] in ("Could", "Do", "Can") else "."
    asked = bare(question)
    subject = r"(?:Who|What|Which|How many|How much)(?: [\w'’-]+)? ([a-z]+(?:ed|s|ought|rote|ade|ook)) .+"
    if (found := re.fullmatch(subject, asked)) and found[1] not in ("was", "is", "does", "has"):
        return f"{opening} {lower_first(asked)}{mark}"
    if found := re.fullmatch(
        r"(What|Who|Where) (is|was|are|were) (the [^,]+?)((?: in| for| at| as of| during| on) .+)?", asked
    ):
        return f"{opening} {found[1].lower()} {found[3]} {found[2]}{found[4] or ''}{mark}"
    if found := re.fullmatch(r"(When|Where|Why|How) (was|were|is|are) (.+) ([a-z]+ed)( .+)?", asked):
        return f"{opening} {found[1].lower()} {found[3]} {found[2]} {found[4]}{found[5] or ''}{mark}"
    return with_past(
        question, lambda wh, subject, past, rest: f"{opening} {lower_first(wh)} {subject} {past}{rest}{mark}"
    )


def with_past(question: str, form: Callable[[str, str, str, str], str]) -> str | None:
    """A question with "did" reshaped from its wh-phrase, subject, verb in the past, and rest."""
    verbs = "|".join([*PAST, *REGULAR])
    found = re.fullmatch(rf"(\w+(?: [\w’'-]+){{0,3}}?) did (.+?) ({verbs})( .+)?", bare(question))
    if not found:
        return None
    verb = found[3]
    past = PAST.get(verb) or (f"{verb}d" if verb.endswith("e") else f"{verb}ed")
    return form(found[1], found[2], past, found[4] or "")


def relative(question: str, _rng: random.Random) -> str | None:
    """Say "What is the title that X used?"."""

    def form(wh: str, subject: str, past: str, rest: str) -> str:
        head = re.fullmatch(r"(?:What|Which) (.+)", wh)
        return f"What was the {head[1]} that {subject} {past}{rest}?" if head else ""

    return with_past(question, form) or None


def fronted(question: str, _rng: random.Random) -> str | None:
    """What stands last, such as a time or a place, first."""
    found = re.fullmatch(
        r"((?:What|Who|How|Which|Where|When) .+?),? ((?:in|during|for|at|after|before|as of) (?:the )?[A-Z0-9][^?]*)\?",
        question,
    )
    return f"{upper_first(found[2])}, {lower_first(found[1])}?" if found else None


def by_whom(question: str, _rng: random.Random) -> str | None:
    """The passive of "Who founded X?"."""
    found = re.fullmatch(r"(Who|Which \w+|What \w+) ([a-z]+ed) ((?:the |a |an )?[A-Z“\"][^,]*)\?", question)
    if not found or re.search(r"\b(to|from|as|for|with|at|on|by|that|and|in)\b", found[3]):
        return None
    return f"{upper_first(found[3])} was {found[2]} by {'whom' if found[1] == 'Who' else lower_first(found[1])}?"


def active(question: str, _rng: random.Random) -> str | None:
    """The active form of "Who was X founded by?"."""
    found = re.fullmatch(r"(?:Who|By whom) (?:was|were) (.+?) ([a-z]+ed)(?: by)?\?", question)
    if found and ("by?" in question or question.startswith("By")):
        return f"Who {found[2]} {found[1]}?"
    found = re.fullmatch(r"(When|Where|Why|How) (?:was|were) (.+?) ([a-z]+ed) by ((?:the )?[A-Z][\w ]+)\?", question)
    return (
        f"{found[1]} did {found[4]} {found[3][:-1] if found[3][:-1] in REGULAR else found[3][:-2]} {found[2]}?"
        if found
        else None
    )


def figures(question: str, _rng: random.Random) -> str | None:
    """Number words as digits, or the other way round."""
    for word, digit in SMALL.items():
        if re.search(rf"\b{word}\b", question):
            return re.sub(rf"\b{word}\b", str(digit), question, count=1)
    names = {str(v): k for k, v in SMALL.items()}
    found = re.search(r"(?<![\w.,$-])(\d{1,2})(?![\w.,%/-]| [A-Z])", question)
    if found and found[1] in names:
        return question[: found.start()] + names[found[1]] + question[found.end() :]
    found = re.search(r"\b(\d{1,3}),(\d{3})\b", question)
    return question.replace(found[0], found[1] + found[2]) if found else None


def synonym(question: str, rng: random.Random) -> str | None:
    """A word replaced by one of the same meaning."""
    words = {
        "begin": "start", "began": "started", "film": "movie", "large": "big", "biggest": "largest",
        "located": "situated", "purchase": "buy", "purchased": "bought", "illness": "disease", "kind": "type",
        "type": "kind", "kinds": "types", "symptoms": "signs", "called": "named", "treatments": "therapies",
        "obtain": "get", "largest": "biggest", "physician": "doctor", "percentage": "percent", "United States": "US",
        "sort": "type", "happened": "occurred",
    }  # fmt: skip
    found = [w for w in words if re.search(rf"\b{w}\b", question)]
    chosen = rng.choice(found) if found else None
    return re.sub(rf"\b{chosen}\b", words[chosen], question, count=1) if chosen else None


def typed(question: str, _rng: random.Random) -> str:
    """As people type: lower case, no mark."""
    return bare(question).lower()


def named_year(question: str, _rng: random.Random) -> str | None:
    """Say "in 2019" in longer words."""
    changed = re.sub(r"\b[Ii]n (20[012]\d)\b(?! to| and|-)", r"in the year \1", question, count=1)
    return changed if changed != question else None


def possessive(question: str, _rng: random.Random) -> str | None:
    """Turn "the capital of France" into "France's capital", or back."""
    found = re.search(r"\bthe ([a-z]+) of ((?:[A-Z][\w]+)(?: [A-Z][\w]+)*)(?=\?| in\b| for\b| during\b)", question)
    if found:
        return question.replace(found[0], f"{found[2]}'s {found[1]}")
    found = re.search(r"\b((?:the )?[A-Z]\w+(?: [A-Z]\w+)*)['’]s ([a-z]+)(?=\?| in\b| for\b| during\b)", question)
    return question.replace(found[0], f"the {found[2]} of {found[1]}") if found and found.start() else None


PARAPHRASES: Mapping[str, Sequence[Template]] = {
    "courtesy": (polite,),
    "indirect": (embedded,),
    "typed": (typed,),
    "fronted": (fronted,),
    "which or what": (
        rewritten(rf"What (?!{AUXILIARY[1:-1]}|if)(.+)", r"Which \1"),
        rewritten(r"Which (.+)", r"What \1"),
    ),
    "when or which year": (
        rewritten(r"When (did|was|were) (.+)", r"In which year \1 \2"),
        rewritten(r"(?:In )?[Ww]h(?:at|ich) year (did|was|were) (.+)", r"When \1 \2"),
    ),
    "how many or number": (
        rewritten(r"How many (?!of )(.+) (is|are|was|were) there (.+)\?", r"What is the number of \1 \3?"),
        rewritten(r"What (?:is|was) the number of (.+)\?", r"How many \1?"),
        rewritten(r"How many ([a-z]+) (did|do|does) (.+)\?", r"What number of \1 \2 \3?"),
    ),
    "how much or what": (
        rewritten(r"How much (was|is|were|are) (.+)", r"What \1 \2"),
        rewritten(r"What (was|is) the (amount|value|cost|price|total) of (.+)", r"How much \1 the \2 of \3"),
        rewritten(r"How much ([a-z]+) (did|does) (.+)", r"What amount of \1 \2 \3"),
    ),
    "relative clause": (relative,),
    "passive": (by_whom, active),
    "command": (
        rewritten(r"What (?:is|was|are|were) (the .+)\?", r"Give me \1."),
        rewritten(r"Who (?:is|was|are|were) (the .+)\?", r"Name \1."),
        rewritten(r"What are (.+)\?", r"List \1."),
    ),
    "keywords": (rewritten(r"What (?:is|was|are|were) the (.+)", r"\1"),),
    "contraction": (
        rewritten(r"(What|Who|Where|When|How) is (.+)", r"\1's \2"),
        rewritten(r"(.+) did not (.+)", r"\1 didn't \2"),
    ),
    "figures": (figures,),
    "synonym": (synonym,),
    "year in words": (named_year,),
    "possessive": (possessive,),
    "question word last": (
        rewritten(r"When was (.+) ([a-z]+ed)\?", r"\1 was \2 when?"),
        rewritten(r"Where (is|was) (.+)\?", r"\2 \1 where?"),
        rewritten(r"What (is|was) the (.+)\?", r"The \2 \1 what?"),
    ),
}  # fmt: skip
