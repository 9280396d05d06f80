"""Files into documents: text with marks that say where each part stands (page, section, sheet, slide)."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from understudy.core.errors import DocumentError
from understudy.core.shown import visible
from understudy.core.types import Document, Mark
from understudy.retrieval.load_pdf import read_pdf
from understudy.retrieval.visible import without_comments, without_hidden

__all__ = ["DATA_SUFFIX", "SUFFIXES", "count", "load"]

DATA_SUFFIX = ".jsonl.gz"
ZIPPED = (".docx", ".pptx", ".xlsx")
HTML = (".html", ".htm")
HEADING = re.compile(r"^(#{1,6})[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)

Content = tuple[str, tuple[Mark, ...]]


def load(path: Path, name: str) -> Iterator[Document]:
    """The documents of one file; `name` becomes the id (records of `.jsonl.gz` bring their own).

    Raises `DocumentError` with one line that says what is wrong with which file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DocumentError(f"{path}: can't be read ({error.strerror})") from error
    if not raw.strip():
        raise DocumentError(f"{path}: is empty")
    if path.name.lower().endswith(DATA_SUFFIX):
        yield from records(raw, path)
        return
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DocumentError(f"{path}: can't read {path.suffix or 'this kind of file'}; known: {', '.join(SUFFIXES)}")
    text, marks = reader(raw, path)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise DocumentError(f"{path}: holds null bytes; is it really {path.suffix or 'text'}?")
    if not text.strip():
        raise DocumentError(f"{path}: holds no text (a scan needs OCR first)")
    check_unicode(name + text, path)
    yield Document(id=name, title=title_of(text, path), text=text, version=hashlib.sha256(raw).hexdigest(), marks=marks)


def check_unicode(text: str, path: Path) -> None:
    """Raise `DocumentError` for half characters, which no database or tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise DocumentError(f"{shown}: its name or text holds lone surrogates, which are no characters") from error


def count(path: Path) -> int:
    """How many documents `load` will give, without reading more than it must; a file that can't be read counts as 1."""
    if not path.name.lower().endswith(DATA_SUFFIX):
        return 1
    try:
        with gzip.open(path) as lines:
            return sum(1 for line in lines if line.strip())
    except (OSError, EOFError, zlib.error):
        return 1


def title_of(text: str, path: Path) -> str:
    """The first heading near the top, else the file's name."""
    heading = HEADING.search(text[:2000])
    return heading[2] if heading else named(path.stem.replace("-", " ").replace("_", " "))


def named(title: str) -> str:
    """A title in one line, of what can be seen."""
    return " ".join(visible(title).split())


def records(raw: bytes, path: Path) -> Iterator[Document]:
    """`{id, title, text, meta}` a line, gzipped."""
    number = 0
    try:
        # Not `splitlines`: JSON strings may hold U+2028 and U+0085 as they are.
        for line in gzip.decompress(raw).decode("utf-8").split("\n"):
            number += 1
            if not line.strip():
                continue
            record = json.loads(line)
            text = visible(str(record["text"]))
            if not text.strip():
                continue
            if "\0" in text:
                raise ValueError("null bytes in its text")
            version = hashlib.sha256(text.encode()).hexdigest()
            title = named(str(record.get("title") or record["id"]))
            yield Document(id=str(record["id"]), title=title, text=text, version=version, marks=headings(text))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DocumentError(f"{path}: is no gzipped UTF-8 text ({error})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DocumentError(f"{path}: line {number} is no record with id and text ({error})") from error


def decode(raw: bytes, path: Path) -> str:
    """UTF-8 (with or without BOM) or UTF-16 with BOM, else Windows-1252 if that leaves no control characters."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.decode("utf-16")
        except UnicodeDecodeError as error:
            raise DocumentError(f"{path}: is broken UTF-16 text; save it as UTF-8") from error
    if b"\0" in raw:
        raise DocumentError(f"{path}: holds null bytes; it is no text file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = raw.decode("cp1252", errors="replace")
        if "\ufffd" in text or re.search(r"[\x01-\x08\x0e-\x1f\x7f]", text):
            raise DocumentError(f"{path}: is neither UTF-8 nor Windows-1252 text; save it as UTF-8") from error
        return text


def headings(text: str) -> tuple[Mark, ...]:
    """Marks at Markdown headings, as "A > B"."""
    marks: list[Mark] = []
    path: list[tuple[int, str]] = []
    for match in HEADING.finditer(text):
        level = len(match[1])
        path = [(n, h) for n, h in path if n < level] + [(level, match[2])]
        marks.append(Mark(start=match.start(), location=" > ".join(h for _, h in path)))
    return tuple(marks)


def read_markdown(raw: bytes, path: Path) -> Content:
    """Markdown or plain text."""
    text = visible(decode(raw, path)).replace("\r\n", "\n").replace("\r", "\n")
    if path.suffix.lower() == ".md":
        text = without_comments(text)
    return text, headings(text)


def read_csv(raw: bytes, path: Path) -> Content:
    """A CSV file as one table."""
    text = visible(decode(raw, path))
    try:
        dialect: Any = csv.Sniffer().sniff(text[:4000], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        rows = [row for row in csv.reader(io.StringIO(text), dialect) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DocumentError(f"{path}: can't be read as CSV ({error})") from error
    return markdown_table(rows), ()


def markdown_table(rows: list[list[str]]) -> str:
    """Rows as a Markdown table, the first as its header."""
    width = max(map(len, rows), default=0)
    lines = [
        "| " + " | ".join(" ".join(c.split()).replace("|", "/") for c in row + [""] * (width - len(row))) + " |"
        for row in rows
    ]
    if lines:
        lines.insert(1, "|" + " --- |" * width)
    return "\n".join(lines)


def read_jsonl(raw: bytes, path: Path) -> Content:
    """Lines of JSON: the `text` of each, or its fields."""
    parts = []
    for number, line in enumerate(decode(raw, path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DocumentError(f"{path}: line {number} is not JSON ({error.msg})") from error
        if isinstance(record, dict) and isinstance(record.get("text"), str):
            parts.append(f"# {record['title']}\n\n{record['text']}" if record.get("title") else record["text"])
        elif isinstance(record, dict):
            parts.append("\n".join(f"{k}: {v}" for k, v in record.items()))
        else:
            parts.append(str(record))
    text = visible("\n\n".join(parts))
    return text, headings(text)


def read_office(raw: bytes, path: Path) -> Content:
    """docx, pptx, xlsx and html through markitdown."""
    from markitdown import MarkItDown, MarkItDownException

    if path.suffix.lower() in ZIPPED and not zipfile.is_zipfile(io.BytesIO(raw)):
        raise DocumentError(f"{path}: is no {path.suffix} file; is it damaged or encrypted?")
    if path.suffix.lower() in HTML:
        raw = without_hidden(raw)
    try:
        converted = MarkItDown(enable_plugins=False).convert_stream(io.BytesIO(raw), file_extension=path.suffix.lower())
    except (MarkItDownException, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise DocumentError(f"{path}: is no readable {path.suffix} file; is it damaged or encrypted?") from error
    text = visible(converted.markdown.replace("\r\n", "\n"))
    if path.suffix.lower() == ".pptx":
        text = re.sub(r"^(#{1,5} )", r"#\1", text, flags=re.MULTILINE)
        text = re.sub(r"\n*<!-- Slide number: (\d+) -->\n", r"\n\n# slide \1\n", text)
    if path.suffix.lower() == ".xlsx":
        text = re.sub(r"^## (.+)$", r"## sheet \1", text, flags=re.MULTILINE).replace("| NaN ", "|  ")
    return text, headings(text)


READERS: dict[str, Callable[[bytes, Path], Content]] = {
    ".pdf": read_pdf,
    ".docx": read_office,
    ".pptx": read_office,
    ".xlsx": read_office,
    ".html": read_office,
    ".htm": read_office,
    ".md": read_markdown,
    ".txt": read_markdown,
    ".csv": read_csv,
    ".jsonl": read_jsonl,
}
SUFFIXES = (*READERS, DATA_SUFFIX)
