"""What the chat page shows: nothing of a document, a person or a model becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.apps.chat import render
from understudy.apps.chat.asking import Shown
from understudy.apps.chat.words import bytes_in_words, dollars, left_in_words, step_in_words, why
from understudy.core.conversation import Excerpt, Receipt, ThreadInfo, Turn
from understudy.core.types import Answer, Citation, StepRecord
from understudy.graphs.state import Event

ATTACK = '<img src=x onerror="alert(1)">"\' onmouseover=alert(2) <script>alert(3)</script> &lt; ⟦PERSON_1⟧ \u202e'
TAGS = {
    "article", "h2", "h3", "span", "p", "div", "details", "summary", "ol", "ul", "li", "button", "svg", "path", "dl", "dt", "dd", "label",
    "textarea", "section", "pre", "mark", "strong",
}  # fmt: skip


class Reading(HTMLParser):
    """The tags and attributes of some HTML, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(html: str) -> Reading:
    read = Reading(html)
    assert read.seen <= TAGS
    assert not {name for name in read.attributes if name.startswith("on") or name in ("src", "href", "srcdoc")}
    assert read.open == []
    return read


def answer(text: str = "24.5", **changes: object) -> Answer:
    values: dict[str, object] = {
        "question": text, "text": text, "route": "local", "reason": text, "confidence": 0.8, "thread": "t",
        "citations": (Citation(document=text, title=text, location=text, start=0, end=1, quote=text, score=1.0),),
        "steps": (StepRecord(kind="search", query=text, passages=2), StepRecord(kind=text or "x", result=text)),
    }  # fmt: skip
    return Answer.model_validate(values | changes)


def turn(text: str, **changes: object) -> Turn:
    values: dict[str, object] = {
        "number": 1, "question": text, "collection": "c", "document": None, "asked": "2026-11-28", "status": "done",
        "answer": answer(text), "correction": text, "good": False,
    }  # fmt: skip
    return Turn.model_validate(values | changes)


def everything(text: str) -> list[str]:
    receipt = Receipt(bytes=5, sent=1, replaced={text: 2}, experts=(text,), refused=1, cost_usd=0.1, always_usd=0.2)
    info = ThreadInfo(id=text, title=text, collection=text, turns=1, begun="a", updated="b", status="waiting")
    held = Excerpt(document=text, title=text, location=text, start=3, end=4, offset=2, text=text, length=99)
    card = {
        "expert": text, "bytes": 9, "collection": text, "may_have_left": True,
        "payload": {"system": text, "user": text, "replaced": {text: 3}},
    }  # fmt: skip
    return [
        render.conversation([turn(text), turn(text, answer=None, status="interrupted", error=text)], {1: receipt}),
        render.thread_list([info], text),
        render.excerpt(held),
        render.card(card),
        render.live(text, (StepRecord(kind="search", query=text),), text, text),
    ]


def test_what_was_planted_stays_text() -> None:
    for html in everything(ATTACK):
        checked(html)
        assert "<img" not in html
        assert "<script" not in html


@given(st.text())
def test_no_text_becomes_markup(text: str) -> None:
    for html in everything(text):
        checked(html)


def test_the_quote_is_marked_where_it_stands() -> None:
    held = Excerpt(
        document="a.md", title="A", location="page 2", start=14, end=19, offset=10, text="the <b>quote</b>", length=40
    )
    html = render.excerpt(held)
    assert '<mark id="u-quote" tabindex="-1">&lt;b&gt;qu</mark>' in html
    assert "page 2" in html


def test_a_message_that_would_leave_is_shown_to_the_letter() -> None:
    words = "> Dear ⟦PERSON_2⟧,\n\u200bsee <b>https://x.test</b>"
    html = render.marked(words)
    assert '<mark title="person">⟦PERSON_2⟧</mark>' in html
    assert "\u200b" in html, "what can't be seen leaves too"
    assert re.sub(
        r"</?mark[^>]*>", "", html
    ) == "&gt; Dear ⟦PERSON_2⟧,\n\u200bsee &lt;b&gt;https://x.test&lt;/b&gt;".replace("'", "&#x27;")


@pytest.mark.parametrize(
    ("receipt", "words"),
    [
        (Receipt(), "Nothing left this machine"),
        (Receipt(refused=1), "Nothing left this machine; 1 message held back"),
        (Receipt(recorded=("replay",)), "Nothing left this machine; replay is a recording"),
        (Receipt(bytes=1, sent=1, experts=("gpt",)), "1 byte left this machine for gpt, no value replaced"),
        (
            Receipt(bytes=2048, sent=1, experts=("gpt",), replaced={"A": 2}),
            "2.0 KiB left this machine for gpt, 2 values replaced",
        ),
    ],
)
def test_what_left_is_said_in_one_line(receipt: Receipt, words: str) -> None:
    assert left_in_words(receipt) == words


@pytest.mark.parametrize(
    ("usd", "words"), [(0, "$0"), (1.5, "$1.50"), (0.1, "$0.10"), (0.00123, "$0.00123"), (0.0, "$0")]
)
def test_amounts(usd: float, words: str) -> None:
    assert dollars(usd) == words


def test_sizes_steps_and_reasons() -> None:
    assert [bytes_in_words(n) for n in (0, 1, 999, 1000)] == ["0 bytes", "1 byte", "999 bytes", "1.0 KiB"]
    assert step_in_words(StepRecord(kind="search", query="rent", passages=1)) == "searched for “rent”, read 1 passage"
    assert step_in_words(StepRecord(kind="calculate", expression="1+1", result="2")) == "calculate (expression 1+1): 2"
    assert why(answer(reason="confidence 0.80 is enough")) == (
        "Why didn't it ask the expert?",
        "Confidence 0.80 is enough.",
    )
    assert why(answer(reason="", route="expert"))[1] == "No reason was given."


def test_what_goes_on_is_said_while_it_does() -> None:
    shown = Shown("q", position=3)
    assert shown.doing() == "Waiting: 3 before this"
    shown.position = 0
    assert "Thinking" in shown.doing()
    for part in ('{"kind":"search","que', 'ry":"annual rep', 'ort"'):
        shown.note(Event(kind="text", text=part))
    assert shown.doing() == "Searching for “annual report”"
    shown.note(Event(kind="step", step=StepRecord(kind="search", query="annual report", passages=3)))
    assert "read 3 passages" in shown.html()
    shown.note(Event(kind="text", text='{"kind":"answer","text":"It is \\u00e9'))
    assert shown.drafted("text") == "It is é"
    for part, words in (("\\", "It is é"), ("u00", ""), ("e8 ", "It is éè ")):  # an escape comes in pieces
        shown.note(Event(kind="text", text=part))
        assert shown.drafted("text") == words


def test_a_long_draft_is_looked_at_once_and_not_over_and_over() -> None:
    shown = Shown("Why?")
    shown.writing = '{"kind":"answer","text":"' + "word " * 100_000 + '","quote":"it'
    assert (shown.drafted("text"), shown.drafted("quote")) == ("", "it")
