"""Generated tables and questions on them, with the program of steps that answers each.

A phrasing is put together from parts (`{was} the {change} in {row} {span}?`), so that a few lines give thousands of
questions; labels come from real tables where the training data has some, and from the lists here.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Table", "TableQuestion", "ask", "make_table"]


def either(choices: str) -> list[str]:
    """What a `|` separates."""
    return choices.split("|")


FIGURES = either(
    "revenue|net income|operating profit|gross margin|cost of sales|research and development|total assets|"
    "cash and cash equivalents|long-term debt|accounts receivable|inventories|dividends paid|income tax expense|"
    "depreciation and amortisation|marketing expenses|deferred revenue|goodwill|interest expense|capital expenditure|"
    "other income|shareholders' equity|product sales|service revenue|licence fees|provisions|trade payables"
)
PLAIN = either(
    "employees|new hires|full-time staff|apprentices|engineers|nurses|doctors|volunteers|administrative staff|headcount|"
    "sick days|training hours|patients|outpatient visits|admissions|emergency cases|operations|vaccinations|beds|"
    "laboratory tests|prescriptions|home visits|complaints|average stay|deliveries|Germany|France|Spain|Norway|Japan|"
    "North America|Europe|Asia Pacific|United Kingdom|Northern region|Southern region|Switzerland|Poland"
)
PRODUCTS = either(
    "Model A1|Model B2|Compact scale|Field probe|Lab kit|Sensor head|Service plan|Premium plan|Starter kit|Thermometer|"
    "Analyser|Spare battery|Pump X200|Filter set|Controller|Wall mount"
)
ATTRIBUTES = either("list price|discount|warranty|weight|stock|units sold|unit cost|delivery time|capacity|power")
OPENINGS = ("What", "How", "By", "In", "For", "Which", "And", "Tell")
DAYS = ("December 31, ", "June 30, ", "March 31, ", "September 28, ")

PARTS = {
    "was": "What is|What was|What were|How much is|How much was",
    "in": "in|in|in|for|as of|as at|at the end of|for the year ended|in fiscal|for fiscal year|in the year|during",
    "change": "change|change|difference|increase|decrease|increase / (decrease)|increase/ (decrease)|growth|rise",
    "grow": "change|grow|increase|fall|rise|decrease",
    "span": "from {a} to {b}|from {a} to {b}|between {a} and {b}|between {a} and {b}|between {b} and {a}|in {b} from {a}|"
    "between fiscal years {a} and {b}|from fiscal {a} to fiscal {b}|in {b} compared to {a}",
    "pair": "in {a} and {b}|for {a} and {b}|of {a} and {b}|between {a} and {b}|from {a} to {b}|over {a} and {b}|in {b} and {a}",
    "three": "in {a}, {b} and {c}|for {a}, {b} and {c}|for {c}, {b} and {a}",
    "the": "the ||the company's ||the |",
}

Program = tuple[str, tuple[str, ...], str | None]
"""Phrasings, the cells to look up (two slot names each, "row a"), and the expression over them."""

PROGRAMS: dict[str, Program] = {
    "value": (
        "{was} {the}{row} {in} {b}?|{was} {the}{row} {in} {b}?|{was} {the}{row} in {b}?|{was} the {b} {row}?|"
        "{was} the amount of {row} {in} {b}?|What is the value of {row} {in} {b}?|How many {row} were there in {b}?|"
        "How much {row} was there in {b}?|How high was {row} {in} {b}?|In {b}, what was {the}{row}?|{row} in {b}?|"
        "{row} {b}?|For {b}, what is {the}{row}?|What did the report give for {row} {in} {b}?|Tell me {the}{row} {in} {b}.",
        ("row b",),
        None,
    ),
    "attribute": (
        "What is the {b} of the {row}?|What is the {b} of {row}?|What {b} does the {row} have?|{b} of the {row}?|"
        "How much is the {b} of the {row}?|What is the {row}'s {b}?|For the {row}, what is the {b}?|"
        "Tell me the {b} of the {row}.|What is the {b} for the {row}?",
        ("row b",),
        None,
    ),
    "change": (
        "{was} the {change} in {the}{row} {span}?|{was} the {change} in {the}{row} {span}?|"
        "How much did {the}{row} {grow} {span}?|By how much did {the}{row} {grow} {span}?|"
        "{was} the {change} of {row} {span}?|What is the nominal difference in {row} {span}?|"
        "How much is the {change} in {row} {span}?",
        ("row b", "row a"),
        "{0} - {1}",
    ),
    "percent": (
        "{was} the percentage {change} in {the}{row} {span}?|{was} the percentage {change} in {the}{row} {span}?|"
        "By what percentage did {the}{row} {grow} {span}?|How many percent did {the}{row} {grow} {span}?|"
        "What is the growth rate of {row} {span}?|{was} the percent {change} in {row} {span}?|"
        "What was the relative {change} in {row} {span}?|{was} the percentage {change} of {row} {span}?",
        ("row b", "row a"),
        "({0} - {1}) / {1} * 100",
    ),
    "average": (
        "{was} the average {row} {pair}?|{was} the average of {row} {pair}?|What is the mean {row} {pair}?|"
        "What is the {b} average {row}, taking {a} and {b}?",
        ("row b", "row a"),
        "({0} + {1}) / 2",
    ),
    "average of three": (
        "{was} the average {row} {three}?|{was} the average of {row} {three}?|What is the mean {row} {three}?",
        ("row c", "row b", "row a"),
        "({0} + {1} + {2}) / 3",
    ),
    "total": (
        "{was} the total {row} {pair}?|{was} the sum of {row} {pair}?|How much was {row} in {a} and {b} together?|"
        "{was} the combined {row} {pair}?|What do {row} {pair} add up to?",
        ("row b", "row a"),
        "{0} + {1}",
    ),
    "total of three": ("{was} the total {row} {three}?|{was} the sum of {row} {three}?",
        ("row c", "row b", "row a"),
        "{0} + {1} + {2}",
    ),
    "rows apart": (
        "What is the difference between {row} and {other} {in} {b}?|How much higher was {row} than {other} {in} {b}?|"
        "By how much does {row} exceed {other} {in} {b}?|What is the difference between {b} {row} and {b} {other}?",
        ("row b", "other b"),
        "{0} - {1}",
    ),
    "rows together": (
        "What is the total of {row} and {other} {in} {b}?|How much were {row} and {other} together {in} {b}?|"
        "What is the sum of {row} and {other} {in} {b}?",
        ("row b", "other b"),
        "{0} + {1}",
    ),
    "share": (
        "What share of {other} was {row} {in} {b}?|What is {row} as a percentage of {other} {in} {b}?|"
        "What is {row} expressed as a percentage of {other} {in} {b}?|What percentage of {other} was {row} {in} {b}?|"
        "{was} the percentage of {row} over {other} {in} {b}?|What is the percentage of {row} out of {other} {in} {b}?",
        ("row b", "other b"),
        "{0} / {1} * 100",
    ),
    "ratio": (
        "What is the ratio of {row} to {other} {in} {b}?|{was} the {row} to {other} ratio {in} {b}?",
        ("row b", "other b"),
        "{0} / {1}",
    ),
}  # fmt: skip
COMPARED: tuple[tuple[str, str], ...] = (
    ("row", "In which year was {the}{row} {more}?|In which year was the amount of {row} {more}?|"
     "In which year was {the}{row} {more}, {a} or {b}?|In which year were {the}{row} {more}?|"
     "Which year had the {most} {row}?|Which fiscal year had a {more} {row}?|Which FY has a {more} {row}?|"
     "When was {the}{row} {most}?|In which period is {the}{row} the {most}?|"
     "In which year is the amount of {row} the {most}?|Was {row} {more} in {a} or in {b}?"),
    ("b", "Which of {row} and {other} was {more} in {b}?|Which row has the {most} {b}?|"
     "Which had the {most} {b}?|Which one has the {most} {b}, the {row} or the {other}?|"
     "Which item is {most} in {b}?|Which of them was the {most} in {b}?|What was the {most} in {b}?"),
)  # fmt: skip
"""Comparisons: which slot is the label, and the phrasings."""
MORE = "higher|larger|greater|lower|smaller|bigger"
MOST = "highest|largest|lowest|smallest|greatest|biggest|most|least"
WORDY = (
    "Why did {the}{row} {grow} {span}?|What does {row} consist of?|What is included in {row}?|What is {row}?|"
    "How is {row} defined?|What led to the {change} in {row} in {b}?|Where is {row} disclosed?|What does {row} represent?|"
    "When is {row} recognised?|What was the main reason for the {change} in {the}{row}?|How does the company account for {row}?|"
    "Which method is used for {row}?|What are {row} composed of?"
)
"""Questions on what stands beside a table: for the reader, if it is sure enough."""
BEYOND = (
    "In which years did {row} exceed 100?|How many items exceeded {row} in {b}?|How many years had {row} above 500?|"
    "Which rows fell {span}?|How many rows are there for {b}?"
)
"""Questions on tables that no program answers: the expert's."""
FOLLOW_COLUMN = "And in {b}?|What about {b}?|And {b}?|How about {b}?|What was it in {b}?|And for {b}?|the same for {b}?"
REPEATED = ("change", "percent", "average", "total")
"""Arithmetic that can be asked for of another row."""
FOLLOW_ROW = (
    "And {other}?|What about {other}?|And for {other}?|How about {other}?|And the {other}?|What about the {other}?"
)


@dataclass(frozen=True)
class Table:
    """A table of a document: labels, and cells as they are printed."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    products: bool = False

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
    earlier: tuple[str, ...] = ()
    """What was asked before it, where it makes sense only then; the first of them says what it is about."""
    compared: tuple[str, str] | None = None
    """Label and superlative of a comparison."""
    beyond: bool = False
    """Whether nothing but reasoning answers it."""


def make_table(rng: random.Random, labels: Sequence[str] = ()) -> Table:
    """A random table; `labels` are more row labels to draw from."""
    products = rng.random() < 0.15
    pool = PRODUCTS if products else labels if labels and rng.random() < 0.65 else rng.choice((FIGURES, PLAIN))
    rows = list(dict.fromkeys(rng.sample(list(pool), min(len(pool), rng.randint(3, 8)))))
    if rng.random() < 0.4 and pool is not labels:
        rows = [r[0].upper() + r[1:] for r in rows]
    columns = rng.sample(ATTRIBUTES, rng.randint(2, 4)) if products else periods(rng)
    style = rng.choice(("{:,.1f}", "{:,.0f}", "{:,.0f}", "$ {:,.1f}", "{:.2f}"))
    scale = 10 ** rng.randint(1, 6)
    cells = [tuple(style.format(rng.random() * scale + 1) for _ in columns) for _ in rows]
    return Table(tuple(rows), tuple(columns), tuple(cells), products)


def periods(rng: random.Random) -> list[str]:
    """Two to four years, fiscal years or days, either way round."""
    first, count = rng.randint(1995, 2024), rng.randint(2, 4)
    years = [first + i for i in range(count)]
    kind = rng.random()
    if kind < 0.75:
        named = [str(y) for y in years]
    elif kind < 0.85:
        named = [f"FY{y % 100:02d}" for y in years]
    else:
        day = rng.choice(DAYS)
        named = [f"{day}{y}" for y in years]
    return named if rng.random() < 0.5 else named[::-1]


def year(column: str) -> int:
    """What periods are ordered by."""
    digits = int("".join(c for c in column if c.isdigit())[-4:])
    return digits if digits > 99 else digits + (1900 if digits > 90 else 2000)


def spoken(template: str, words: dict[str, str], rng: random.Random) -> str:
    """One phrasing of a template: a choice of its alternatives, with parts and words filled in."""
    text = rng.choice(either(template))
    for part, choices in PARTS.items():
        while f"{{{part}}}" in text:
            text = text.replace(f"{{{part}}}", rng.choice(either(choices)), 1)
    text = text.format(**words)
    if rng.random() < 0.08:
        text = text[:-1] if text.endswith("?") else text
    opening = text.split()[0]
    return opening.lower() + text[len(opening) :] if opening in OPENINGS and rng.random() < 0.08 else text


def ask(table: Table, rng: random.Random) -> TableQuestion:
    """A random question on a table."""
    words = slots(table, rng)
    if table.products:
        kinds = ["attribute", "attribute", "follow", "rows apart", "compared"]
    else:
        kinds = ["value", "value", "follow", "follow", "follow", "change", "change", "percent", "percent", "average",
                 "total", "share", "rows apart", "rows together", "ratio", "compared", "wordy", "wordy",
                 "beyond"]  # fmt: skip
        kinds += ["average of three", "total of three"] if "c" in words else []
    kind = rng.choice(kinds)
    if kind == "follow":
        return follow_up(table, rng, words)
    if kind == "compared":
        return comparison(words, rng, columns=table.products)
    if kind in ("wordy", "beyond"):
        return TableQuestion(spoken(WORDY if kind == "wordy" else BEYOND, words, rng), (), beyond=kind == "beyond")
    template, cells, expression = PROGRAMS[kind]
    lookups = tuple((words[row], words[column]) for row, column in (cell.split() for cell in cells))
    return TableQuestion(spoken(template, words, rng), lookups, expression)


def comparison(words: dict[str, str], rng: random.Random, *, columns: bool) -> TableQuestion:
    """A question for the highest or lowest of a row (or, with `columns`, of a column)."""
    label, template = COMPARED[1] if columns else rng.choice(COMPARED)
    ends = {"more": rng.choice(either(MORE)), "most": rng.choice(either(MOST))}
    phrasing = rng.choice(either(template))
    question = spoken(phrasing, words | ends, rng)
    return TableQuestion(question, (), compared=(words[label], ends["more" if "{more}" in phrasing else "most"]))


def slots(table: Table, rng: random.Random) -> dict[str, str]:
    """Two rows as people write them, and two or three columns in order of time."""
    row, other = (r.lower() if rng.random() < 0.4 else r for r in rng.sample(table.rows, 2))
    if table.products:
        a, b = rng.sample(table.columns, 2)
        return {"row": row, "other": other, "a": a, "b": b}
    ordered = sorted(table.columns, key=year)
    if len(ordered) > 2 and rng.random() < 0.3:
        at = rng.randrange(len(ordered) - 2)
        return {"row": row, "other": other, "a": ordered[at], "b": ordered[at + 1], "c": ordered[at + 2]}
    first, second = sorted(rng.sample(range(len(ordered)), 2))
    return {"row": row, "other": other, "a": ordered[first], "b": ordered[second]}


def follow_up(table: Table, rng: random.Random, words: dict[str, str]) -> TableQuestion:
    """A question that only makes sense after an earlier one: another column, another row, or a third column."""
    worked_out = not table.products and rng.random() < 0.2
    if not worked_out:
        columns = [words[name] for name in "abc" if name in words]
        rng.shuffle(columns)
        words |= dict(zip("abc", columns, strict=False))
    kind = rng.choice(REPEATED) if worked_out else "attribute" if table.products else "value"
    template, cells, expression = PROGRAMS[kind]
    if worked_out or rng.random() < 0.4:
        first = spoken(template, words if worked_out else words | {"b": words["a"]}, rng)
        asked = [cell.split()[1] for cell in cells] if worked_out else ["a"]
        lookups = tuple((words["other"], words[column]) for column in asked)
        return TableQuestion(spoken(FOLLOW_ROW, words, rng), lookups, expression, (first,))
    first = spoken(template, words | {"b": words["a"]}, rng)
    between = (spoken(FOLLOW_COLUMN, words | {"b": words["c"]}, rng),) if "c" in words else ()
    return TableQuestion(spoken(FOLLOW_COLUMN, words, rng), ((words["row"], words["b"]),), None, (first, *between))
