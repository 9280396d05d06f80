"""Files into documents and passages: every format, every way to be broken, offsets always right."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from understudy.core.errors import DocumentError
from understudy.core.types import Document
from understudy.retrieval.chunk import LONGEST, chunk, header_height
from understudy.retrieval.load import count, load

SAMPLES = Path(__file__).parents[2] / "apps" / "understudy" / "apps" / "samples" / "documents"


def one(path: Path) -> Document:
    (document,) = load(path, path.name)
    return document


def document(text: str) -> Document:
    return Document(id="d", title="T", text=text, version="v")


def test_a_pdf_has_pages_and_ruled_tables() -> None:
    loaded = one(SAMPLES / "annual-report-2024.pdf")
    passages = chunk(loaded)
    assert {p.location for p in passages} == {"page 1", "page 2", "page 3"}
    table = next(p for p in passages if p.table)
    assert table.text.startswith("| Revenue | 412.6 | 388.1 | 351.9 |")
    assert "| EUR million | 2024 | 2023 | 2022 |" in table.context
    assert loaded.text.count("412.6") == 1


def test_a_word_document_has_headings_and_a_workbook_sheets() -> None:
    places = {p.location for p in chunk(one(SAMPLES / "clinic-handbook.docx"))}
    assert "Lindenhof Clinic staff handbook > Visiting hours" in places
    (prices,) = chunk(one(SAMPLES / "price-list.xlsx"))
    assert (prices.table, prices.location) == (True, "sheet Prices")
    assert "List price" in prices.context


def test_slides_and_pages(tmp_path: Path) -> None:
    from pptx import Presentation

    deck = Presentation()
    for title in ("Plans", "Costs"):
        deck.slides.add_slide(deck.slide_layouts[0]).shapes.title.text = title
    deck.save(str(tmp_path / "deck.pptx"))
    assert [p.location.split(" > ")[0] for p in chunk(one(tmp_path / "deck.pptx"))] == ["slide 1", "slide 2"]
    (tmp_path / "page.html").write_text("<h1>Rules</h1><p>No <b>smoking</b>.</p><script>evil()</script>")
    page = one(tmp_path / "page.html")
    assert page.title == "Rules"
    assert "evil" not in page.text


def test_tables_and_records_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name;price\nA;1\nB;2\n")
    (passage,) = chunk(one(tmp_path / "a.csv"))
    assert passage.text == "| A | 1 |\n| B | 2 |"
    (tmp_path / "a.jsonl").write_text('{"title": "X", "text": "hello"}\n{"a": 1, "b": "two"}\n')
    assert "# X\n\nhello\n\na: 1\nb: two" in one(tmp_path / "a.jsonl").text
    with gzip.open(tmp_path / "documents.jsonl.gz", "wt") as lines:
        lines.writelines(
            json.dumps({"id": f"id{n}", "title": "T", "text": f"text {n}", "meta": {}}) + "\n" for n in range(3)
        )
    assert [d.id for d in load(tmp_path / "documents.jsonl.gz", "x")] == ["id0", "id1", "id2"]


def test_other_encodings(tmp_path: Path) -> None:
    for number, raw in enumerate(("Müller".encode("cp1252"), "Müller".encode("utf-8-sig"), "Müller".encode("utf-16"))):
        path = tmp_path / f"{number}.txt"
        path.write_bytes(raw)
        assert one(path).text == "Müller"


def test_separators_inside_json_end_no_line(tmp_path: Path) -> None:
    line = json.dumps({"id": "1", "text": "a\u2028b\x85c"}, ensure_ascii=False)
    (tmp_path / "a.jsonl").write_text(line, encoding="utf-8")
    (tmp_path / "D.JSONL.GZ").write_bytes(gzip.compress(f"{line}\n\n{line}\n".encode()))
    assert one(tmp_path / "a.jsonl").text == "a\u2028b\x85c"
    assert [d.text for d in load(tmp_path / "D.JSONL.GZ", "x")] == ["a\u2028b\x85c"] * 2
    assert (count(tmp_path / "D.JSONL.GZ"), count(tmp_path / "a.jsonl")) == (2, 1)


def test_text_beside_a_table_is_kept_once(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "side.pdf"))
    canvas.grid([60, 140, 220], [600, 620, 640])
    for row, y in enumerate((625, 605)):
        canvas.drawString(65, y, f"row{row}")
        canvas.drawString(145, y, f"val{row}")
    for line in range(4):
        canvas.drawString(300, 645 - line * 13, f"Beside{line}.")
    canvas.save()
    text = one(tmp_path / "side.pdf").text
    assert "| row1 | val1 |" in text
    assert all(text.count(word) == 1 for word in ("row0", "val1", *(f"Beside{n}." for n in range(4))))


def test_a_caption_belongs_to_the_section_of_its_table() -> None:
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |"
    (_, apart) = chunk(document(f"# One\n\nIn thousands.\n\n# Two\n\n{table}"))
    assert "In thousands." not in apart.context
    (_, below) = chunk(document(f"# One\n\nIn thousands.\n\n{table}"))
    assert "In thousands." in below.context


def write_pdf(path: Path, *, password: str | None = None, text: str = "hello") -> None:
    canvas = Canvas(str(path), encrypt=StandardEncryption(password, canPrint=0) if password else None)
    canvas.drawString(100, 700, text)
    canvas.save()


def test_broken_files_get_one_line(tmp_path: Path) -> None:
    write_pdf(tmp_path / "locked.pdf", password="secret")
    write_pdf(tmp_path / "blank.pdf", text="")
    write_pdf(tmp_path / "cut.pdf")
    (tmp_path / "cut.pdf").write_bytes((tmp_path / "cut.pdf").read_bytes()[:200])
    for name, raw in {
        "empty.txt": b" \n",
        "null.txt": b"a\0b",
        "binary.txt": bytes(range(1, 255)),
        "bad.pdf": b"not a pdf",
        "bad.docx": b"PK not a zip",
        "bad.xlsx": b"nothing",
        "bad.jsonl": b'{"a": 1}\n{',
        "documents.jsonl.gz": b"not gzip",
        "documents-2.jsonl.gz": gzip.compress(b"x" * 99)[:10] + b"\xff" * 40,
        "documents-3.jsonl.gz": gzip.compress(b'{"id": "1", "text": "a\\u0000b"}'),
        "half.txt": b"\xff\xfea\0b",
        "surrogate.jsonl": b'{"text": "\\ud800"}',
        "unknown.xyz": b"hello",
    }.items():
        (tmp_path / name).write_bytes(raw)
    for path in tmp_path.iterdir():
        with pytest.raises(DocumentError) as caught:
            list(load(path, path.name))
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(DocumentError, match="encrypted"):
        one(tmp_path / "locked.pdf")


lines = st.sampled_from(
    [
        "# A",
        "## B b",
        "| x | y |",
        "| --- | --- |",
        "| 1 | 2 |",
        "",
        "",
        "Some words here. And more!",
        "漢字。",
        "long " * 200,
    ]
)


@given(st.lists(lines, max_size=30), st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_passages_are_slices_and_lose_no_words(parts: list[str], tail: str) -> None:
    given_document = document("\n".join([*parts, tail]))
    passages = chunk(given_document)
    for p in passages:
        assert p.text == given_document.text[p.start : p.end]
        assert p.text == p.text.strip() != ""
        assert len(p.text) <= LONGEST or p.table
    assert [p.start for p in passages] == sorted(p.start for p in passages)
    kept = "".join(p.text + p.context for p in passages)
    assert all(word in kept for word in ("Some", "more!") if any(word in part for part in parts))


def test_long_tables_keep_their_header_in_every_passage() -> None:
    rows = "\n".join(f"| item {n} | {n} | {n * 2} |" for n in range(200))
    passages = chunk(document(f"Stock:\n\n| name | now | then |\n| --- | --- | --- |\n{rows}"))
    tables = [p for p in passages if p.table]
    assert len(tables) > 3
    assert all("| name | now | then |" in p.context and "Stock:" in p.context for p in tables)
    assert sum(p.text.count("item") for p in tables) == 200


@pytest.mark.parametrize(
    ("lines", "height"),
    [
        (["|  | 2019 | 2018 |", "| --- | --- | --- |", "| Sales | 5 | 4 |", "| Costs | 3 | 2 |"], 2),
        (["|  | May, |  |", "| --- | --- | --- |", "|  | 2019 | 2018 |", "| Sales | 5 | 4 |"], 3),
        (["| Year ended |  |  |", "| --- | --- | --- |", "| (in thousands) | 2019 | 2018 |", "| Sales | 5 | 4 |"], 3),
        (["|  | 2019 | 2018 |", "| --- | --- | --- |", "| Founded | 1999 | 2001 |", "| Sales | 5 | 4 |"], 2),
        (["| Company | Acme | Beta |", "| --- | --- | --- |", "| Founded | 1998 | 2004 |", "| Staff | 5 | 4 |"], 2),
        (["|  | Ended |  |", "| --- | --- | --- |", "| Plan | May 31, 2020 | May 31, 2019 |", "| Yield | 5 | 4 |"], 3),
        (["| Item | Value |", "| --- | --- |", "| Founded | 1999 |", "| Sales | 5 |"], 2),
    ],
)
def test_the_header_of_a_table_ends_where_its_data_begin(lines: list[str], height: int) -> None:
    assert header_height(lines) == height
