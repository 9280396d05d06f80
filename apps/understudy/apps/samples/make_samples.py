"""Write the demo's documents: a fictional company's annual report, a clinic's handbook, a price list, and notes.

Run by `make samples`. The results are part of the project; only this script needs reportlab, python-docx, openpyxl.
"""

from __future__ import annotations

from pathlib import Path

from docx import Document
from openpyxl import Workbook
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

HERE = Path(__file__).parent

INCOME = [
    ["EUR million", "2024", "2023", "2022"],
    ["Revenue", "412.6", "388.1", "351.9"],
    ["Cost of sales", "241.3", "230.4", "214.0"],
    ["Research and development", "48.2", "41.5", "36.7"],
    ["Operating profit", "62.5", "55.0", "43.8"],
    ["Net income", "44.1", "38.9", "30.2"],
]
SEGMENTS = [
    ["EUR million", "2024", "2023"],
    ["Laboratory balances", "188.4", "180.2"],
    ["Process sensors", "142.7", "131.5"],
    ["Calibration services", "81.5", "76.4"],
]
PEOPLE = [
    ["Employees", "2024", "2023"],
    ["Norway", "1,240", "1,195"],
    ["Germany", "615", "580"],
    ["Japan", "204", "190"],
]
REPORT: list[tuple[str, list[str], list[list[str]] | None]] = [
    (
        "Letter to shareholders",
        [
            "Halden Instruments builds precision balances and process sensors for laboratories and food plants. "
            "The company was founded in 1961 in Halden, Norway, by the physicist Astrid Lunde.",
            "Chief executive Ingrid Solheim, who took office in March 2021, thanks all employees for a strong year. "
            "Her predecessor, Peter Amundsen, now chairs the board.",
            "The board proposes a dividend of EUR 1.35 per share for 2024, up from EUR 1.20 the year before.",
        ],
        None,
    ),
    (
        "Income statement",
        ["The table shows the consolidated income statement in millions of euros."],
        INCOME,
    ),
    (
        "Segments",
        ["Process sensors grew fastest, driven by demand from dairies in Japan."],
        SEGMENTS,
    ),
    (
        "People",
        ["At the end of the year the group employed people in three countries."],
        PEOPLE,
    ),
    (
        "Risks",
        [
            "The largest risk is the supply of quartz resonators: the company buys them from one supplier, "
            "Nordkvarts AS. A second source is being qualified and should deliver from the autumn of 2025.",
            "A cyber attack in May 2024 stopped the Hamburg plant for two days. No customer data was lost.",
        ],
        None,
    ),
]
HANDBOOK: list[tuple[int, str, list[str]]] = [
    (
        1,
        "Lindenhof Clinic staff handbook",
        ["This handbook applies to all staff of the Lindenhof Clinic from January 2025."],
    ),
    (
        2,
        "Visiting hours",
        [
            "Visitors are welcome from 14:00 to 19:00. In intensive care, two visitors at a time may stay for 20 minutes."
        ],
    ),
    (
        2,
        "Prescriptions",
        [
            "Repeat prescriptions are renewed within two working days.",
            "A pharmacist must countersign every prescription for controlled drugs.",
        ],
    ),
    (
        2,
        "Records",
        [
            "Patient records are kept for ten years after the last treatment. X-ray images are kept for 30 years.",
            "Requests for copies go to the records office, which answers within 15 days.",
        ],
    ),
    (
        2,
        "Equipment",
        ["The laboratory weighs samples on a Halden balance, model HB-220, which is calibrated every six months."],
    ),
]
PRICES = [
    ["Product", "List price", "Discount percent", "Warranty months"],
    ["HB-220 balance", 4200, 10, 24],
    ["HB-520 balance", 6900, 12, 36],
    ["PS-14 sensor", 850, 5, 12],
    ["Calibration visit", 320, 0, 3],
]
NOTES = """# Notes on suppliers

## Meeting with Nordkvarts, 12 February 2025

Nordkvarts raises the price of resonators by 6% from July. They offer a three-year contract with a fixed price
if we commit to 40,000 pieces a year. Marta Brenner will answer them by the end of March.

## Trade fair

The stand at the Analytica fair in Munich costs EUR 18,500. Jonas Berg books the hotel.
"""


def write_report(path: Path) -> None:
    """The annual report as a PDF, one section a page where it has a table."""
    styles = getSampleStyleSheet()
    parts = [Paragraph("Halden Instruments annual report 2024", styles["Title"]), Spacer(1, 12)]
    grid = TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.black), ("ALIGN", (1, 0), (-1, -1), "RIGHT")])
    for number, (heading, paragraphs, table) in enumerate(REPORT):
        if number in (1, 4):
            parts.append(PageBreak())
        parts.append(Paragraph(heading, styles["Heading2"]))
        parts += [Paragraph(text, styles["BodyText"]) for text in paragraphs]
        if table is not None:
            parts += [Spacer(1, 8), Table(table, style=grid), Spacer(1, 12)]
    SimpleDocTemplate(str(path), pagesize=A4, title="Halden Instruments annual report 2024", invariant=1).build(parts)


def write_handbook(path: Path) -> None:
    """The clinic's handbook as a Word document."""
    document = Document()
    for level, heading, paragraphs in HANDBOOK:
        document.add_heading(heading, level)
        for text in paragraphs:
            document.add_paragraph(text)
    document.save(str(path))


def write_prices(path: Path) -> None:
    """The price list as a workbook."""
    book = Workbook()
    sheet = book.active
    sheet.title = "Prices"
    for row in PRICES:
        sheet.append(row)
    book.save(path)


def main() -> None:
    """Write all documents beside this script."""
    folder = HERE / "documents"
    folder.mkdir(exist_ok=True)
    write_report(folder / "annual-report-2024.pdf")
    write_handbook(folder / "clinic-handbook.docx")
    write_prices(folder / "price-list.xlsx")
    (folder / "supplier-notes.md").write_text(NOTES, encoding="utf-8")


if __name__ == "__main__":
    main()
