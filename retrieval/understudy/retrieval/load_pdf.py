"""PDF pages into text: ruled tables as Markdown in their place, everything else as lines of text."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pdfplumber
from pdfminer.pdfdocument import PDFPasswordIncorrect
from pdfminer.pdfexceptions import PDFException
from pdfplumber.utils.exceptions import PdfminerException

from understudy.core.errors import DocumentError
from understudy.core.types import Mark

__all__ = ["read_pdf"]


def read_pdf(raw: bytes, path: Path) -> tuple[str, tuple[Mark, ...]]:
    """The text of a PDF, with a mark at every page. Raises `DocumentError`."""
    parts: list[str] = []
    marks: list[Mark] = []
    at = 0
    try:
        with pdfplumber.open(io.BytesIO(raw)) as pdf:
            for number, page in enumerate(pdf.pages, 1):
                text = page_text(page).strip() + "\n\n"
                marks.append(Mark(start=at, location=f"page {number}"))
                parts.append(text)
                at += len(text)
                page.close()
    except (PdfminerException, PDFException) as error:
        if isinstance(error, PDFPasswordIncorrect) or any(isinstance(a, PDFPasswordIncorrect) for a in error.args):
            raise DocumentError(f"{path}: is encrypted; remove its password first") from error
        raise DocumentError(f"{path}: is no readable PDF ({type(error).__name__}); is it damaged?") from error
    except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
        raise DocumentError(f"{path}: is a damaged PDF ({type(error).__name__})") from error
    return "".join(parts), tuple(marks)


def page_text(page: Any) -> str:
    """One page from top to bottom, tables between the lines they stand between."""
    from understudy.retrieval.load import markdown_table

    tables = [t for t in page.find_tables() if len(t.rows) > 1 and len(t.rows[0].cells) > 1]
    if not tables:
        return str(page.extract_text() or "")
    pieces: list[str] = []
    top = 0.0
    for table in sorted(tables, key=lambda t: t.bbox[1]):
        _, upper, _, lower = table.bbox
        if upper > top:
            pieces.append(band(page, top, upper))
        rows = [[cell or "" for cell in row] for row in table.extract()]
        pieces.append("\n" + markdown_table(rows) + "\n")
        top = max(top, lower)
    pieces.append(band(page, top, float(page.height)))
    return "\n".join(p for p in pieces if p.strip())


def band(page: Any, top: float, bottom: float) -> str:
    """The text between two heights of a page, in points."""
    if bottom - top < 1:
        return ""
    area = (page.bbox[0], max(top, page.bbox[1]), page.bbox[2], min(bottom, page.bbox[3]))
    return str(page.crop(area).extract_text() or "")
