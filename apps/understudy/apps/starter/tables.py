"""Generated tables and questions on them, with the program of steps that answers each."""

from __future__ import annotations

import random
from dataclasses import dataclass

ROWS = {
    "finance": """revenue|net income|operating profit|gross margin|cost of sales|research and development|total assets|
cash and cash equivalents|long-term debt|accounts receivable|inventories|dividends paid|income tax expense|
depreciation and amortisation|marketing expenses|deferred revenue|goodwill|interest expense|capital expenditure|
other income|shareholders' equity|product sales|service revenue|licence fees|provisions|trade payables""",
    "people": """employees|new hires|full-time staff|apprentices|engineers|nurses|doctors|volunteers|administrative staff|
temporary workers|headcount|sick days|training hours""",
    "clinic": """patients|outpatient visits|admissions|emergency cases|operations|vaccinations|beds|laboratory tests|
prescriptions|home visits|complaints|average stay|consultations|deliveries""",
    "place": """Germany|France|Spain|Italy|Norway|Japan|Brazil|Canada|North America|Europe|Asia Pacific|United Kingdom|
Northern region|Southern region|Switzerland|Poland""",
    "product": """Model A1|Model B2|Compact scale|Field probe|Lab kit|Sensor head|Service plan|Premium plan|Starter kit|
Thermometer|Analyser|Spare battery|Pump X200|Filter set|Controller|Wall mount""",
}
COLUMNS = {
    "finance": None,
    "people": None,
    "clinic": None,
    "place": None,
    "product": ("list price", "discount", "warranty", "weight", "stock", "units sold", "unit cost", "delivery time"),
}
TITLES = ("Annual report", "Quarterly figures", "Handbook", "Price list", "Segment report", "Yearbook", "Overview")

VALUE = (
    "What was {row} in {column}?|What is the {column} of the {row}?|How much was {row} in {column}?|"
    "What was the amount of {row} in {column}?|{row} in {column}?|How high was {row} in {column}?|"
    "What did the table give for {row} in {column}?|How many {row} were there in {column}?"
)
CHANGE = (
    "What was the change in {row} from {a} to {b}?|How much did {row} change between {a} and {b}?|"
    "By how much did {row} grow from {a} to {b}?|What is the increase in {row} from {a} to {b}?|"
    "What is the difference in {row} between {a} and {b}?"
)
CHANGE_BACK = "What is the change in {row} in {b} from {a}?|How did {row} in {b} differ from {a}?"
PERCENT = (
    "By what percentage did {row} change from {a} to {b}?|What was the percentage change in {row} from {a} to {b}?|"
    "How many percent did {row} grow between {a} and {b}?|What is the growth rate of {row} from {a} to {b}?"
)
PERCENT_BACK = (
    "What is the percentage change in {row} in {b} from {a}?|What was the percentage increase of {row} in {b} from {a}?"
)
AVERAGE = "What was the average {row} in {a} and {b}?|What is the average of {row} for {a} and {b}?|What is the {b} average {row} with {a}?"
TOTAL = "What was the total {row} in {a} and {b}?|What is the sum of {row} in {a} and {b}?|How much was {row} in {a} and {b} together?"
ROW_DIFFERENCE = (
    "What is the difference between {row} and {other} in {column}?|How much higher was {row} than {other} in {column}?"
)
ROW_TOTAL = "What is the total of {row} and {other} in {column}?|How much were {row} and {other} together in {column}?"
SHARE = "What share of {other} was {row} in {column}?|What is {row} as a percentage of {other} in {column}?"
FOLLOW_COLUMN = "And in {column}?|What about {column}?|And {column}?|How about {column}?|What was it in {column}?"
FOLLOW_ROW = "And {row}?|What about {row}?|And for {row}?|How about {row}?"


@dataclass(frozen=True)
class Table:
    """A table of a document: labels, and cells as they are printed."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]

    def markdown(self) -> tuple[str, str]:
        """Header lines and body lines, as the loaders write tables."""
        header = "| " + " | ".join(("", *self.columns)) + " |\n|" + " --- |" * (len(self.columns) + 1)
        body = "\n".join(
            "| " + " | ".join((row, *cells)) + " |" for row, cells in zip(self.rows, self.cells, strict=True)
        )
        return header, body


@dataclass(frozen=True)
class TableQuestion:
    """A question, the cells to look up in order, and the expression over them (`{0}`, `{1}` are the cells found)."""

    question: str
    lookups: tuple[tuple[str, str], ...]
    expression: str | None = None
    earlier: str | None = None


def make_table(rng: random.Random) -> Table:
    """A random table."""
    kind = rng.choice(list(ROWS))
    pool = [r.strip() for r in ROWS[kind].replace("\n", "").split("|")]
    rows = rng.sample(pool, rng.randint(3, min(8, len(pool))))
    if rng.random() < 0.5:
        rows = [r[0].upper() + r[1:] for r in rows]
    named = COLUMNS[kind]
    if named:
        columns = list(rng.sample(named, rng.randint(2, 4)))
    else:
        first = rng.randint(1995, 2024)
        count = rng.randint(2, 4)
        columns = (
            [str(first - i) for i in range(count)] if rng.random() < 0.5 else [str(first + i) for i in range(count)]
        )
    style = rng.choice(("{:,.1f}", "{:,.0f}", "{:,.0f}", "$ {:,.1f}", "{:.2f}"))
    scale = 10 ** rng.randint(1, 6)
    cells = [tuple(style.format(rng.random() * scale + 1) for _ in columns) for _ in rows]
    return Table(rng.choice(TITLES), tuple(rows), tuple(columns), tuple(cells))


def ask(table: Table, rng: random.Random) -> TableQuestion:
    """A random question on a table."""
    row, other = rng.sample(table.rows, 2)
    a, b = sorted(rng.sample(table.columns, 2))
    shown = row.lower() if rng.random() < 0.5 else row
    words = {"row": shown, "other": other, "column": b, "a": a, "b": b}
    years = table.columns[0].isdigit()
    kind = rng.choice(("value", "value", "follow", "change", "percent", "average", "total", "rows", "share"))
    if not years and kind in ("change", "percent", "average", "total"):
        kind = "value"
    if kind == "follow":
        return follow_up(table, rng, words)
    forms: dict[str, tuple[str, tuple[tuple[str, str], ...], str | None]] = {
        "value": (VALUE, ((shown, b),), None),
        "change": (CHANGE + "|" + CHANGE_BACK, ((shown, b), (shown, a)), "{0} - {1}"),
        "percent": (PERCENT + "|" + PERCENT_BACK, ((shown, b), (shown, a)), "({0} - {1}) / {1} * 100"),
        "average": (AVERAGE, ((shown, b), (shown, a)), "({0} + {1}) / 2"),
        "total": (TOTAL, ((shown, b), (shown, a)), "{0} + {1}"),
        "rows": (ROW_DIFFERENCE, ((shown, b), (other, b)), "{0} - {1}"),
        "share": (SHARE, ((shown, b), (other, b)), "{0} / {1} * 100"),
    }
    if kind == "rows" and rng.random() < 0.4:
        forms["rows"] = (ROW_TOTAL, ((shown, b), (other, b)), "{0} + {1}")
    template, lookups, expression = forms[kind]
    return TableQuestion(rng.choice(template.split("|")).format(**words), lookups, expression)


def follow_up(table: Table, rng: random.Random, words: dict[str, str]) -> TableQuestion:
    """A question that only makes sense after an earlier one."""
    earlier = rng.choice(VALUE.split("|")).format(row=words["row"], column=words["a"])
    if rng.random() < 0.6:
        question = rng.choice(FOLLOW_COLUMN.split("|")).format(column=words["b"])
        return TableQuestion(question, ((words["row"], words["b"]),), None, earlier)
    question = rng.choice(FOLLOW_ROW.split("|")).format(row=words["other"])
    return TableQuestion(question, ((words["other"], words["a"]),), None, earlier)
