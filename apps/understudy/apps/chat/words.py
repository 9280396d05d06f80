"""How figures are said to people."""

from __future__ import annotations

from understudy.core.conversation import Receipt
from understudy.core.types import Answer, StepRecord

__all__ = [
    "bytes_in_words",
    "confidence_in_words",
    "dollars",
    "left_in_words",
    "route_in_words",
    "step_in_words",
    "why",
]

LEVELS = ((0.9, "very sure"), (0.7, "fairly sure"), (0.4, "unsure"), (0.0, "very unsure"))
ROUTES = {
    "local": ("Answered here", "by the small model, on this machine"),
    "cache": ("Remembered", "answered before; nothing was asked again"),
    "expert": ("Expert", "answered by a large model"),
    "declined": ("No answer", "nothing was found that could be answered with"),
}


def confidence_in_words(confidence: float) -> str:
    """Such as "fairly sure"."""
    return next(words for least, words in LEVELS if confidence >= least)


def route_in_words(answer: Answer) -> tuple[str, str]:
    """A badge's word, and what it means."""
    word, meaning = ROUTES[answer.route]
    if answer.route == "expert" and answer.expert is not None and answer.expert.startswith("person:"):
        return "Corrected", f"as {answer.expert.partition(':')[2]} answered it"
    return word, f"{meaning}: {answer.expert}" if answer.route == "expert" and answer.expert else meaning


def step_in_words(step: StepRecord) -> str:
    """A step as a sentence without its full stop."""
    given = step.model_dump()
    match step.kind:
        case "search":
            found = given.get("passages", 0)
            return f"searched for “{given.get('query', '')}”, read {found} passage{'s' * (found != 1)}"
        case "answer":
            return "wrote a draft"
        case "consult":
            return f"chose to ask the expert ({reason_of(given)})"
        case "decline":
            return f"chose not to answer ({reason_of(given)})"
        case "recall":
            return f"remembered the answer to “{given.get('question', '')}”"
    inputs = {k: v for k, v in given.items() if k not in ("kind", "seconds", "result", "passages")}
    told = ", ".join(f"{k} {v}" for k, v in inputs.items())
    result = f": {given['result']}" if given.get("result") else ""
    return f"{step.kind.replace('_', ' ')} ({told}){result}" if told else f"{step.kind}{result}"


def reason_of(given: dict[str, object]) -> str:
    """Why a step was taken, as words."""
    return str(given.get("reason", "no reason given")).replace("_", " ")


def why(answer: Answer) -> tuple[str, str]:
    """A question about the route, and its answer in one sentence."""
    asked = {
        "expert": "Why did it ask the expert?",
        "local": "Why didn't it ask the expert?",
        "cache": "Where does this come from?",
        "declined": "Why is there no answer?",
    }[answer.route]
    reason = answer.reason or "no reason was given"
    return asked, f"{reason[0].upper()}{reason[1:].rstrip('.')}."


def dollars(usd: float) -> str:
    """An amount, with as many places as it needs."""
    if usd == 0:
        return "$0"
    return f"${usd:.2f}" if usd >= 0.1 else f"${usd:.5f}".rstrip("0")


def bytes_in_words(count: int) -> str:
    """A size in bytes, or in KiB from a thousand on."""
    return f"{count} byte{'s' * (count != 1)}" if count < 1000 else f"{count / 1024:.1f} KiB"


def left_in_words(receipt: Receipt) -> str:
    """What left the machine, in one line."""
    if not receipt.sent:
        held = f"; {receipt.refused} message{'s' * (receipt.refused != 1)} held back" if receipt.refused else ""
        asked = f"; {', '.join(receipt.recorded)} is a recording" if receipt.recorded else ""
        return f"Nothing left this machine{asked}{held}"
    values = sum(receipt.replaced.values())
    hidden = f"{values} value{'s' * (values != 1)} replaced" if values else "no value replaced"
    return f"{bytes_in_words(receipt.bytes)} left this machine for {', '.join(receipt.experts)}, {hidden}"
