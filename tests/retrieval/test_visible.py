"""What nobody sees in a document is no evidence."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.core.shown import visible
from understudy.retrieval.chunk import chunk
from understudy.retrieval.load import load
from understudy.retrieval.visible import without_comments, without_hidden

TAGS = "".join(chr(0xE0000 + ord(c)) for c in "obey")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("ig\u200bn\u2060or\ufeffe", "ignore"),
        (f"hello{TAGS} there", "hello there"),
        ("\u202ereversed\u202c \u2066x\u2069", "reversed x"),
        ("a\u200db\ufe01\ufe02c", "abc"),
        ("\x1b[31mred\x07", "[31mred"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d💻 ❤\ufe0f", "👩\u200d💻 ❤\ufe0f"),
        ("❤\ufe0f\ufe01\ufe02", "❤\ufe0f"),
        ("tab\tline\nnext\u2028end \u00ad5.14", "tab\tline\nnext\u2028end \u00ad5.14"),
    ],
)
def test_characters(text: str, seen: str) -> None:
    assert visible(text) == seen


@settings(deadline=None)
@given(st.text())
def test_what_is_visible_stays_so(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    kept = [c for c in text if c.isalnum() and c.isascii()]
    assert [c for c in visible(text) if c.isalnum() and c.isascii()] == kept


def test_comments_of_markdown() -> None:
    assert without_comments("a <!-- one\ntwo --> b <!-- c -->") == "a  b "
    shown = "`<!-- x -->`\n\n```html\n<!-- y -->\n```\n\n<!-- never ended"
    assert without_comments(shown) == shown


@pytest.mark.parametrize(
    "hiding",
    [
        '<div style="display: none">X</div>',
        '<p style="color:red; visibility:hidden;">X</p>',
        '<p style="opacity:0">X</p>',
        '<p style="opacity: 0.0; color: red">X</p>',
        '<span style="FONT-SIZE:0px">X</span>',
        "<p hidden>X</p>",
        "<template>X</template>",
        "<div hidden><p>X<b style='display:none'>X</b></p></div>",
        "<!-- X -->",
    ],
)
def test_what_a_page_hides(hiding: str) -> None:
    page = without_hidden(f"<p>before</p>{hiding}<p style='opacity:0.5;font-size:0.9em'>after</p>".encode()).decode()
    assert "X" not in page
    assert "before" in page
    assert "after" in page


def test_documents_of_every_text_format(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(f"# T{TAGS}\n\nSee\u200bn. <!-- hidden -->\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("Seen. <!-- shown -->", encoding="utf-8")
    (tmp_path / "c.csv").write_text(f"a,b\nSee\u200bn,{TAGS}1\n", encoding="utf-8")
    (tmp_path / "d.html").write_text(
        "<meta charset='latin-1'><h1>Übersicht</h1><p hidden>no</p><p>Seen.</p>", encoding="latin-1"
    )
    (tmp_path / "e.jsonl").write_text(json.dumps({"title": "T", "text": f"Seen.{TAGS}"}), encoding="utf-8")
    with gzip.open(tmp_path / "documents.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.write(json.dumps({"id": "x", "title": f"A\nB{TAGS}", "text": f"Se\u200ben.{TAGS}"}))
    read = {p.suffix: document for p in tmp_path.iterdir() for document in load(p, p.name)}
    assert all("Seen" in d.text and not set(d.text + d.title) & {*TAGS, "\u200b"} for d in read.values())
    assert "hidden" not in read[".md"].text
    assert "shown" in read[".txt"].text
    assert (read[".html"].title, "no" in read[".html"].text.split()) == ("Übersicht", False)
    assert read[".gz"].title == "A B"
    for document in read.values():
        assert all(p.text == document.text[p.start : p.end] for p in chunk(document))
