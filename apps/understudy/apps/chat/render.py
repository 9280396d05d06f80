"""What the chat page shows, as HTML. Every word of a document, a model or a person is escaped here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from understudy.apps.chat.words import confidence_in_words, dollars, left_in_words, route_in_words, step_in_words, why
from understudy.core.conversation import Excerpt, Receipt, ThreadInfo, Turn
from understudy.core.shown import visible
from understudy.core.types import Answer, Citation, StepRecord

__all__ = ["account", "card", "conversation", "excerpt", "live", "said", "thread_list", "welcome"]

THUMB = (
    '<svg viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" stroke-width="2" '
    'stroke-linejoin="round" aria-hidden="true"{turned}>'
    '<path d="M7 11v9H4v-9zM7 11l4-8c1.7 0 2.6 1.2 2.3 2.8L12.7 9H19a2 2 0 0 1 2 2.4l-1.4 7A2 2 0 0 1 17.6 20H7"/>'
    "</svg>"
)
PLACEHOLDER = re.compile(r"⟦([A-Z_]+)_\d+⟧")
STATUS = {"running": "being answered", "waiting": "waits for you", "interrupted": "interrupted", "done": ""}


def text(words: str) -> str:
    """Words as they are, without what can't be seen."""
    return escape(visible(words))


def button(act: str, words: str, kind: str = "", aria: dict[str, str] | None = None, **data: object) -> str:
    """A button that tells the page what was pressed.

    Args:
        act: what it does.
        words: on it, as HTML.
        kind: its class.
        aria: what screen readers are told besides; a label is its tooltip too.
        data: what it is done to.
    """
    told = {f"aria-{key}": value for key, value in (aria or {}).items()}
    if aria and "label" in aria:
        told["title"] = aria["label"]
    named = {"data-act": act, **{f"data-{key}": str(value) for key, value in data.items()}, **told}
    attributes = " ".join(f'{key}="{escape(visible(value))}"' for key, value in named.items())
    return f'<button type="button" class="u-act {kind}" {attributes}>{words}</button>'


def conversation(turns: Sequence[Turn], receipts: dict[int, Receipt]) -> str:
    """A thread's questions with their answers."""
    return "".join(turn_of(turn, receipts.get(turn.number)) for turn in turns)


def said(question: str) -> str:
    """A question as it was asked."""
    return f'<h3 class="u-question"><span class="u-hidden">You asked: </span>{text(question)}</h3>'


def turn_of(turn: Turn, receipt: Receipt | None) -> str:
    """A question and what became of it."""
    body = unanswered(turn) if turn.answer is None else answered(turn, turn.answer, receipt)
    return f'<article class="u-turn" aria-label="Question {turn.number}">{said(turn.question)}{body}</article>'


def unanswered(turn: Turn) -> str:
    """What stands in the place of an answer."""
    why_not = {
        "running": "This is still being answered.",
        "interrupted": "This answer was interrupted: it was stopped, or the program ended. Ask again to get one.",
    }.get(turn.status, "There is no answer.")
    return f'<p class="u-note" role="status">{text(turn.error or why_not)}</p>'


def answered(turn: Turn, answer: Answer, receipt: Receipt | None) -> str:
    """An answer with all that it rests on."""
    asked, reason = why(answer)
    parts = [
        plan(answer.steps, open_=False),
        f'<div class="u-answer">{paragraphs(answer.text)}</div>',
        chips(turn, answer.citations),
        badges(answer),
        f'<details class="u-why"><summary>{asked}</summary><p>{text(reason)}</p></details>',
        "" if receipt is None else receipt_of(receipt),
        feedback(turn) if turn.status == "done" else "",
    ]
    return "".join(parts)


def paragraphs(words: str) -> str:
    """Text with its line breaks."""
    return "".join(f"<p>{text(part)}</p>" for part in words.split("\n") if part.strip())


def plan(steps: Sequence[StepRecord], *, open_: bool, doing: str = "") -> str:
    """The steps that were taken, foldable."""
    if not steps and not doing:
        return ""
    items = "".join(f"<li>{text(capital(step_in_words(step)))}</li>" for step in steps)
    items += f'<li class="u-doing" aria-current="step">{text(doing)}</li>' if doing else ""
    count = f"{len(steps)} step{'s' * (len(steps) != 1)}"
    head = "Working" if doing else f"How it went: {count}"
    return f'<details class="u-plan"{" open" if open_ else ""}><summary>{head}</summary><ol>{items}</ol></details>'


def capital(words: str) -> str:
    """With a capital letter at the start."""
    return words[:1].upper() + words[1:]


def chips(turn: Turn, citations: Sequence[Citation]) -> str:
    """What an answer cites; each opens its document at the quote."""
    made = []
    for number, cited in enumerate(citations):
        place = f"{cited.title or cited.document}{' · ' + cited.location if cited.location else ''}"
        what = "searched in vain: " if cited.kind == "absence" else ""
        shown = f'<span class="u-number">{number + 1}</span> {text(what + place)}'
        chip = button("cite", shown, "u-chip", None, turn=turn.number, n=number)
        made.append(f"<li>{chip}</li>")
    return f'<ul class="u-chips" aria-label="Sources">{"".join(made)}</ul>' if made else ""


def badges(answer: Answer) -> str:
    """Route, confidence, cost and time in short."""
    word, meaning = route_in_words(answer)
    sure = f"{confidence_in_words(answer.confidence)} · {answer.confidence:.2f}"
    listed = [
        f'<li class="u-badge u-{answer.route}" title="{text(meaning)}">{text(word)}</li>',
        f'<li title="How likely the answer is as good as the expert\'s">{sure}</li>',
        f'<li title="Cost">{dollars(answer.cost_usd)}</li>',
        f'<li title="Time to answer">{answer.latency_s:.1f} s</li>',
    ]
    return f'<ul class="u-badges" aria-label="About this answer">{"".join(listed)}</ul>'


def receipt_of(receipt: Receipt) -> str:
    """What left, what it cost, and what it would have cost."""
    rows = [("Left this machine", left_in_words(receipt))]
    if receipt.replaced:
        kinds = ", ".join(f"{count} {kind.lower().replace('_', ' ')}" for kind, count in receipt.replaced.items())
        rows.append(("Replaced before it left", kinds))
    rows.append(("Cost", dollars(receipt.cost_usd)))
    if receipt.always_usd is not None:
        rows.append(("Asking the expert every time", f"about {dollars(receipt.always_usd)}"))
    listed = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in rows)
    mark = "u-left" if receipt.sent else "u-stayed"
    head = f'<summary><span class="{mark}">{text(left_in_words(receipt))}</span></summary>'
    return f'<details class="u-receipt">{head}<dl>{listed}</dl></details>'


def feedback(turn: Turn) -> str:
    """Thumbs, and room for the right answer."""

    def thumb(act: str, mark: str, label: str, *, pressed: bool) -> str:
        told = {"label": label, "pressed": str(pressed).lower()}
        return button("unsay" if pressed else act, mark, "u-thumb", told, turn=turn.number)

    good = thumb("good", THUMB.format(turned=""), "Right", pressed=turn.good is True)
    bad = thumb("bad", THUMB.format(turned=' style="transform: rotate(180deg)"'), "Wrong", pressed=turn.good is False)
    field = f"u-right-{turn.number}"
    form = (
        f'<details class="u-correct"><summary>Correct it</summary><label for="{field}">The right answer</label>'
        f'<textarea id="{field}" rows="2">{text(turn.correction or "")}</textarea>'
        f"{button('correct', 'Save the correction', '', turn=turn.number)}</details>"
    )
    kept = f'<p class="u-note">Corrected: {text(turn.correction)}</p>' if turn.correction else ""
    return f'<div class="u-feedback">{good}{bad}{form}</div>{kept}'


def live(question: str, steps: Sequence[StepRecord], doing: str, drafted: str = "") -> str:
    """A question while it is being answered."""
    draft = f'<p class="u-draft">{text(drafted)}</p>' if drafted else ""
    return (
        f'<article class="u-turn" aria-busy="true">{said(question)}'
        f"{plan(steps, open_=True, doing=doing)}{draft}</article>"
    )


def account(principal: str, token: str) -> str:
    """Who is logged in, and a button to log out by."""
    return (
        f'<form class="u-account" method="post" action="/logout"><span>{text(principal)}</span>'
        f'<input type="hidden" name="csrf" value="{escape(token)}"><button class="u-act">Log out</button></form>'
    )


def welcome(collections: Sequence[str]) -> str:
    """An empty conversation."""
    if not collections:
        return (
            '<div class="u-welcome"><h2>There are no documents yet</h2>'
            "<p>Add some under <strong>Documents</strong>, then ask about them here.</p></div>"
        )
    return (
        '<div class="u-welcome"><h2>Ask your documents</h2><p>Answers cite the words they rest on. '
        "What can be answered here, stays here.</p></div>"
    )


def thread_list(threads: Sequence[ThreadInfo], chosen: str | None) -> str:
    """The threads, latest first."""
    if not threads:
        return '<p class="u-note">What you ask appears here.</p>'
    items = []
    for info in threads:
        status = f'<span class="u-status">{STATUS[info.status]}</span>' if STATUS[info.status] else ""
        shown = f'<span class="u-title">{text(info.title)}</span>{status}'
        opener = button("open", shown, "u-open", {"current": "true"} if info.id == chosen else None, id=info.id)
        tools = "".join(
            button(act, mark, "u-small", {"label": f"{label} “{info.title}”"}, id=info.id, title=info.title)
            for act, mark, label in (("rename", "✎", "Rename"), ("delete", "✕", "Delete"))
        )
        items.append(f"<li>{opener}{tools}</li>")
    return f'<ul class="u-threads" aria-label="Earlier questions">{"".join(items)}</ul>'


def excerpt(found: Excerpt) -> str:
    """A passage in its document, the quote marked."""
    start, end = found.start - found.offset, found.end - found.offset
    before, quote, after = found.text[:start], found.text[start:end], found.text[end:]
    more = "…" if found.offset else ""
    rest = "…" if found.offset + len(found.text) < found.length else ""
    place = f'<p class="u-place">{text(found.location)}</p>' if found.location else ""
    marked = f'<mark id="u-quote" tabindex="-1">{text(quote)}</mark>' if quote else ""
    return (
        f'<section class="u-source" aria-label="Source"><h3>{text(found.title or found.document)}</h3>'
        f'<p class="u-place">{text(found.document)}</p>{place}'
        f"<pre>{more}{text(before)}{marked}{text(after)}{rest}</pre></section>"
    )


def card(shown: dict[str, object]) -> str:
    """What would leave, exactly, with what was replaced marked."""
    payload = shown["payload"]
    assert isinstance(payload, dict)
    replaced = payload["replaced"]
    kinds = ", ".join(f"{n} × {kind.lower().replace('_', ' ')}" for kind, n in replaced.items()) or "nothing"
    again = "<p>It may have been sent once already.</p>" if shown["may_have_left"] else ""
    return (
        f'<section class="u-card" aria-label="Waits for you"><h3>May this leave your machine?</h3>'
        f"<p>To expert <strong>{text(str(shown['expert']))}</strong>, {shown['bytes']} bytes, "
        f"of collection <strong>{text(str(shown['collection']))}</strong>. Replaced: {text(kinds)}.</p>{again}"
        f"<details open><summary>The message</summary><pre>{marked(str(payload['user']))}</pre></details>"
        f"<details><summary>The instructions before it</summary><pre>{marked(str(payload['system']))}</pre></details>"
        "</section>"
    )


def marked(words: str) -> str:
    """Text with its placeholders marked. Shown as it is, since it is what leaves."""
    return PLACEHOLDER.sub(lambda m: f'<mark title="{m[1].lower().replace("_", " ")}">{m[0]}</mark>', escape(words))
