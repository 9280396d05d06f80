"""PDF pages into text: ruled tables as Markdown in their place, everything else as lines of text."""

from __future__ import annotations

import io
import logging
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pdfplumber
from pdfminer.pdfdocument import PDFPasswordIncorrect
from pdfminer.pdfexceptions import PDFException
from pdfplumber.utils.exceptions import PdfminerException

from understudy.core.errors import DocumentError
from understudy.core.shown import visible
from understudy.core.types import Mark

__all__ = ["read_pdf"]


def read_pdf(raw: bytes, path: Path) -> tuple[str, tuple[Mark, ...]]:
    """The text of a PDF, with a mark at every page. Raises `DocumentError`."""
    parts: list[str] = []
    marks: list[Mark] = []
    at = 0
    # pdfminer logs every oddity of a damaged file; the one line we raise is enough.
    logging.getLogger("pdfminer").setLevel(logging.ERROR)
    try:
        with pdfplumber.open(io.BytesIO(raw)) as pdf:
            for number, page in enumerate(pdf.pages, 1):
                text = visible(page_text(page)).replace("\r", "\n").strip() + "\n\n"
                marks.append(Mark(start=at, location=f"page {number}"))
                parts.append(text)
                at += len(text)
                page.close()
    except (PdfminerException, PDFException) as error:
        if isinstance(error, PDFPasswordIncorrect) or any(isinstance(a, PDFPasswordIncorrect) for a in error.args):
            raise DocumentError(f"{path}: is encrypted; remove its password first") from error
        raise DocumentError(f"{path}: is no readable PDF ({type(error).__name__}); is it damaged?") from error
    except (ValueError, LookupError, TypeError, AttributeError, OSError, struct.error, RecursionError) as error:
        raise DocumentError(f"{path}: is a damaged PDF ({type(error).__name__})") from error
    return "".join(parts), tuple(marks)


def page_text(page: Any) -> str:
    """One page from top to bottom, tables between the lines they stand between."""
    from understudy.retrieval.load import markdown_table

    tables = [t for t in page.find_tables() if len(t.rows) > 1 and len(t.rows[0].cells) > 1]
    if not tables:
        return str(page.extract_text() or "")
    page = page.filter(outside(tables))
    pieces: list[str] = []
    top = -math.inf
    for table in sorted(tables, key=lambda t: t.bbox[1]):
        upper = table.bbox[1]
        pieces.append(band(page, top, upper))
        rows = [[cell or "" for cell in row] for row in table.extract()]
        pieces.append("\n" + markdown_table(rows) + "\n")
        top = upper
    pieces.append(band(page, top, math.inf))
    return "\n".join(p for p in pieces if p.strip())


def middle(char: dict[str, Any]) -> tuple[float, float]:
    """The centre of a character, which decides what it belongs to: nothing is lost and nothing comes twice."""
    return (char["x0"] + char["x1"]) / 2, (char["top"] + char["bottom"]) / 2


def outside(tables: list[Any]) -> Callable[[dict[str, Any]], bool]:
    """A filter for what stands in no cell; text beside a table stays."""

    def keep(thing: dict[str, Any]) -> bool:
        if thing["object_type"] != "char":
            return True
        x, y = middle(thing)
        for table in tables:
            left, upper, right, lower = table.bbox
            if left <= x < right and upper <= y < lower:
                return not any(a <= x < c and b <= y < d for a, b, c, d in table.cells)
        return True

    return keep


def band(page: Any, top: float, bottom: float) -> str:
    """The text whose lines are centred between two heights of a page, in points."""
    part = page.filter(lambda thing: thing["object_type"] != "char" or top <= middle(thing)[1] < bottom)
    return str(part.extract_text() or "")
