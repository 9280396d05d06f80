"""Calculator, look-up and toolbox."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.tools import BaseTool, ToolException, tool

from understudy.core.errors import Stopped, ToolError, UserError
from understudy.core.fakes import FakeRetriever
from understudy.core.types import Evidence, Finding, Observation, Passage, Scope
from understudy.core.usage import Account
from understudy.tools.calculator import calculate, number_in
from understudy.tools.cells import cells_of, match
from understudy.tools.compare import compare
from understudy.tools.lookup import lookup
from understudy.tools.toolbox import LocalToolBox, narrowed

HEADER = "Years\n| EUR million | | Years ended June 30, | |\n| | 2024 | 2023 | 2022 |\n| --- | --- | --- | --- |"
BODY = "| Revenue | $ 412.6 | 388.1 | 351.9 |\n| Net income (loss) | 44.1 | (38.9) | — |\n| Costs: | | | |\n| Sales | 1,000 | 2,000 | 3,000 |"
TABLE = Passage(
    document="d",
    title="T",
    version="v",
    location="page 2",
    start=7,
    end=7 + len(BODY),
    text=BODY,
    context=HEADER,
    table=True,
)


def value(text: str) -> Finding:
    return Finding(text=text, score=0.5, origin="table", passage=0)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("-(2 - 5)", "3"),
        ("0.1 + 0.2", "0.3"),
        ("1,000.50 - .5", "1000"),
        ("$ 4200 * (1 - 10%)", "3780"),
        ("f1 - f2", "24.5"),
        ("(f1 - f2) / f2 * 100", "6.3128"),
        ("f3 * 2", "-24.6"),
        ("10 / 3", "3.3333"),
        ("100 / 3", "33.33"),
    ],
)
def test_calculate(expression: str, result: str) -> None:
    found = calculate(expression, [value("$ 412.6"), value("388.1 million"), value("(12.3)")]).findings[0]
    assert found.text == result
    assert found.inputs == tuple(n for n in range(3) if f"f{n + 1}" in expression)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("1 / 0", "divides by zero"),
        ("0 / 0", "no finite value"),
        ("f9", "no finding f9"),
        ("(1 + 2", "closing bracket"),
        ("1 2", "goes on"),
        ("", "lacks a number"),
        ("__import__('os')", "is no number"),
        ("1 +", "lacks a number"),
        ("(" * 60 + "1", "nested too deeply"),
        ("f1", "no number in 'none'"),
    ],
)
def test_calculate_refuses(expression: str, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        calculate(expression, [value("none")])


Sum = tuple[str, Fraction]


def joined(parts: tuple[Sum, str, Sum]) -> Sum:
    (left, x), sign, (right, y) = parts
    results = {"+": x + y, "-": x - y, "*": x * y, "/": x / y if y else x}
    return f"({left} {sign if y or sign != '/' else '+'} {right})", results[sign]


numbers = st.decimals(0, 9_999, places=2)
sums = st.recursive(
    numbers.map(lambda d: (f"{d:,}", Fraction(d))) | numbers.map(lambda d: (f"-{d}%", -Fraction(d) / 100)),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(joined),
    max_leaves=6,
)


@given(sums)
@settings(max_examples=300, deadline=None)
def test_calculate_agrees_with_exact_arithmetic(expected: Sum) -> None:
    text, value = expected
    found = Fraction(calculate(text, []).findings[0].text)
    # Shown to two or four decimals, or to seven digits from 10^30 on.
    assert abs(found - value) <= max(
        Fraction(1, 100 if abs(value) >= 10 else 10_000), abs(value) / 10**6 * (abs(value) >= 10**30)
    )


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("99999999999999 * 99999999999999", "9999999999999800000000000001"),
        ("9" * 79, "1.000000E+79"),
        ("-2 * -3", "6"),
        ("--3", "3"),
        ("0 - 0", "0"),
        ("£1 + €2", "3"),
    ],
)
def test_calculate_shows(expression: str, result: str) -> None:
    assert calculate(expression, []).findings[0].text == result


@given(st.text("0123456789f+-*/().,%$ ", max_size=80))
@settings(max_examples=500, deadline=None)
def test_calculate_never_breaks(expression: str) -> None:
    with contextlib.suppress(ToolError):
        calculate(expression, [value("12")])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("(12.3)", "-12.3"),
        ("$ (1,200)", "-1200"),
        ("−5%", "-5"),
        ("about 12 (est.)", "12"),
        ("1.204,50", "1204.50"),
        ("€ 12.345.678", "12345678"),
        ("1.204", "1.204"),
        ("1,204.50", "1204.50"),
    ],
)
def test_number_in(text: str, number: str) -> None:
    assert str(number_in(text)) == number


@pytest.mark.parametrize(
    ("row", "column", "cell"),
    [
        ("revenue", "2024", "$ 412.6"),
        ("Revenue", "2022", "351.9"),
        ("net income", "2023", "(38.9)"),
        ("sales", "2022", "3,000"),
        ("the revenues", "in 2023", "388.1"),
    ],
)
def test_lookup(row: str, column: str, cell: str) -> None:
    observation = lookup(row, column, [TABLE])
    (found,) = observation.findings
    assert found.text == cell
    assert found.start is not None
    assert found.end is not None
    assert found.quote_start is not None
    assert found.quote_end is not None
    assert BODY[found.start - 7 : found.end - 7] == cell
    assert cell in BODY[found.quote_start - 7 : found.quote_end - 7]


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("revenue", "2019"),
        ("revenue", "June 30, 2021"),
        ("dividends", "2024"),
        ("revenue", "price"),
        ("gross income", "2024"),
        ("net costs", "2023"),
    ],
)
def test_lookup_refuses(row: str, column: str) -> None:
    with pytest.raises(ToolError, match="nearest are"):
        lookup(row, column, [TABLE])
    with pytest.raises(ToolError, match="none of these documents"):
        lookup(row, column, [])


def table_of(text: str, header: str) -> Passage:
    """A table passage."""
    return Passage(
        document="d", title="T", version="v", location="", start=0, end=len(text), text=text, context=header, table=True
    )


def test_a_row_that_shares_one_word_of_two_is_another_row() -> None:
    text = "| Cafe income | 260 |\n| Staff costs | 702 |"
    passage = Passage(
        document="d", title="T", version="v", location="", start=0, end=len(text), text=text,
        context="|  | 2023 |\n| --- | --- |", table=True,
    )  # fmt: skip
    assert lookup("Cafe income", "2023", [passage]).findings[0].text == "260"
    for row in ("Shop income", "Marketing costs"):
        with pytest.raises(ToolError, match="no cell at row"):
            lookup(row, "2023", [passage])


SALES = table_of(
    "| Net sales: |  |  |\n| United States | $1,197.6 | $1,000.6 |\n| Malaysia | 1,138.3 | 1,218.0 |\n|  | 3,164 | 2,873 |\n"
    "| Audit fees | 58 | 49 |\n| Total fees | 86 | 77 |",
    "|  | December31, |  |\n| --- | --- | --- |\n|  | 2019 | 2018 |",
)


@pytest.mark.parametrize(
    ("row", "column", "question", "cell"),
    [
        ("net sales", "2018", "What was the net sales from Malaysia in 2018?", "1,218.0"),
        ("fees", "2019", "What is the total fees in 2019?", "86"),
        ("fees", "2019", "What is the audit fees in 2019?", "58"),
        ("Malaysia", "December 31, 2019", "", "1,138.3"),
    ],
)
def test_the_question_decides_between_rows_that_hold_what_was_asked(
    row: str, column: str, question: str, cell: str
) -> None:
    assert lookup(row, column, [SALES], question).findings[0].text == cell


@pytest.mark.parametrize(
    ("label", "by", "question", "winner"),
    [
        ("Malaysia", "larger", "In which year was Malaysia larger?", "2018"),
        ("Malaysia", "lowest", "Which year had the lowest Malaysia?", "2019"),
        ("United States", "highest?", "When was United States highest?", "December31, 2019"),
        ("2018", "higher", "Which of United States and Malaysia was higher in 2018?", "Malaysia"),
        ("2018", "smallest", "Which is smallest in 2018?", "Audit fees"),
    ],
)
def test_compare(label: str, by: str, question: str, winner: str) -> None:
    observation = compare(label, by, [SALES], question)
    (found,) = observation.findings
    assert found.text == winner
    assert found.quote_start is not None
    assert found.start is not None
    assert found.end is not None
    assert SALES.text[found.start : found.end] in observation.text


def test_a_long_table_is_compared_whole_and_named_totals_compete() -> None:
    lines = [f"| Product {n} | {100 + n} | {n} |" for n in range(40)]
    slices = [table_of("\n".join(lines[at : at + 10]), "| | Price | Stock |\n|---|---|---|") for at in range(0, 40, 10)]
    assert compare("Price", "highest", slices, "Which has the highest price?").findings[0].text == "Product 39"
    balance = table_of(
        "| Cash | 9 |\n| Total assets | 5 |\n| Total liabilities | 4 |\n| Loss | — |", "| | 2019 |\n|---|---|"
    )
    named = "Which of Total assets and Total liabilities was higher in 2019?"
    assert compare("2019", "higher", [balance], named).findings[0].text == "Total assets"
    assert compare("2019", "lowest", [balance], "Which row is lowest in 2019?").findings[0].text == "Loss"


def test_a_footnote_mark_is_no_word_of_a_label() -> None:
    assert match("net income", "Net income (1)") == match("net income", "Net income") == 1
    assert match("plan 401", "Plan (401)") == 1


def test_of_rows_that_match_alike_the_one_with_fewer_other_words_is_compared() -> None:
    table = table_of(
        "| Net income (1) | 3 | 5 | 4 |\n| Net income per share | .3 | .5 | .7 |",
        "| | 2019 | 2018 | 2017 |\n|---|---|---|---|",
    )
    assert compare("net income", "highest", [table], "In which year was net income highest?").findings[0].text == "2018"


@pytest.mark.parametrize(
    ("label", "by", "words"),
    [
        ("Malaysia", "blue", "doesn't say whether"),
        ("dividends", "highest", "no row or column"),
        ("June 30", "highest", "no row or column"),
    ],
)
def test_compare_refuses(label: str, by: str, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        compare(label, by, [SALES])
    with pytest.raises(ToolError, match="none of these documents"):
        compare(label, by if by != "blue" else "highest", [])


@pytest.mark.data
def test_lookup_finds_the_cells_of_real_tables(real_data: Path) -> None:
    found = asked = 0
    with gzip.open(real_data / "tatqa" / "documents.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(60), strict=False)]
    for text in texts:
        for block in re.finditer(r"(?:^\|.*\n?)+", text, re.MULTILINE):
            body = block[0].rstrip("\n")
            start, end = block.start(), block.start() + len(body)
            passage = TABLE.model_copy(update={"start": start, "end": end, "text": body, "context": ""})
            for cell in cells_of(0, passage)[::5]:
                assert text[cell.start : cell.end] == cell.text
                if cell.row and cell.column:
                    asked += 1
                    found += lookup(cell.row, cell.column, [passage]).findings[0].text == cell.text
    assert asked > 100
    assert found / asked > 0.9


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def box() -> LocalToolBox:
    return LocalToolBox(FakeRetriever([TABLE]), None, lambda _c, _d: [TABLE], [weather])


def test_the_toolbox_compares_whole_tables_though_only_a_slice_was_found() -> None:
    header = "| | Price |\n|---|---|"
    shown, hidden = table_of("| Pump | 5 |\n| Valve | 7 |", header), table_of("| Boiler | 90 |\n| Tap | 1 |", header)
    asked: list[tuple[str, ...]] = []

    def tables(collection: str, documents: Sequence[str]) -> list[Passage]:
        asked.append(tuple(documents))
        return [shown, hidden]

    tools = LocalToolBox(FakeRetriever([shown]), None, tables)
    found = tools.run(
        "compare",
        {"label": "price", "by": "highest"},
        "Which has the highest price?",
        Scope(),
        Evidence(passages=(shown,)),
    )
    assert (found.error, found.findings[0].text) == (False, "Boiler")
    assert asked == [("d",)]


def test_the_toolbox_runs_them_all() -> None:
    tools = box()
    assert [t.name for t in tools.tools] == ["search", "lookup", "compare", "calculate", "weather"]
    found = tools.run("search", {"query": "revenue"}, "q", Scope(), Evidence())
    assert found.passages == (TABLE,)
    shown = Evidence(passages=found.passages)
    cell = tools.run("lookup", {"row": "revenue", "column": "2023"}, "q", Scope(), shown)
    assert (cell.passages, cell.findings[0].passage) == ((), 0)
    elsewhere = tools.run("lookup", {"row": "revenue", "column": "2023"}, "q", Scope(document="d"), Evidence())
    assert elsewhere.passages == (TABLE,)
    assert tools.run("weather", {"city": "Oslo"}, "q", Scope(), shown).findings[0].text == "sunny in Oslo"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("calculate", {"expression": "1 / 0"}), ("nothing", {}), ("search", {"query": ""}), ("lookup", {"row": "x"})],
)
def test_a_tool_that_fails_says_so(name: str, arguments: dict[str, object]) -> None:
    observation = box().run(name, arguments, "q", Scope(), Evidence())
    assert observation.error
    assert observation.text


def test_a_name_that_is_taken() -> None:
    @tool
    def answer(city: str) -> str:
        """Clash."""
        return city

    with pytest.raises(UserError, match="'answer' is taken"):
        LocalToolBox(FakeRetriever(), None, lambda _c, _d: [], [answer])


@pytest.mark.parametrize(
    "error", [KeyError("k"), OSError("no route"), ZeroDivisionError(), ToolException("closed"), TypeError()]
)
def test_a_users_tool_that_breaks_loses_nothing(error: Exception) -> None:
    @tool
    def broken(city: str) -> str:
        """Break."""
        raise error

    tools = LocalToolBox(FakeRetriever(), None, lambda _c, _d: [], [broken])
    observation = tools.run("broken", {"city": "Oslo"}, "q", Scope(), Evidence())
    assert observation.error
    assert str(error) in observation.text
    missing = tools.run("broken", {}, "q", Scope(), Evidence())
    assert missing.text == "broken: city: Field required"


def test_errors_of_ours_are_no_tools_failure() -> None:
    @tool
    def stops(city: str) -> str:
        """Stop."""
        raise Stopped("stop")

    with pytest.raises(Stopped):
        LocalToolBox(FakeRetriever(), None, lambda _c, _d: [], [stops]).run(
            "stops", {"city": "x"}, "q", Scope(), Evidence()
        )


def test_a_users_tool_may_hold_words_of_all_that_its_thread_rests_on() -> None:
    told: list[object] = []

    def call(used: BaseTool, arguments: Mapping[str, object], *whose: object) -> str:
        told.extend(whose)
        return "sunny"

    account, read = Account("q", "t", "ann"), (Scope(collection="c", document="e"),)
    box = LocalToolBox(FakeRetriever(), None, lambda _c, _d: [], [weather], call=call)
    used = box.used_by(WideReader(), FakeRetriever(), sources=["b", "a"])
    used.run("weather", {"city": "Oslo"}, "?", Scope(collection="a"), Evidence(), account, read)
    assert told == [("a", "b", "c"), account, read]


def test_a_long_result_of_a_users_tool_is_no_finding() -> None:
    observation = box().run("weather", {"city": "x" * 90}, "q", Scope(), Evidence())
    assert observation.text
    assert not observation.findings


def test_a_question_longer_than_a_query_still_finds_passages() -> None:
    found = box().run("search", {"query": "revenue " * 200}, "q", Scope(), Evidence())
    assert found.passages == (TABLE,)


ROWS = [table_of(f"| Row {n} | {n} |", "| | 2024 |\n| --- | --- |") for n in range(8)]


def from_passage(number: int | None) -> Finding:
    return Finding(text=f"of {number}", score=0.5, origin="reader", passage=number)


@pytest.mark.parametrize(
    ("places", "kept", "moved"),
    [
        ([], [0, 1, 2], []),
        ([0, 2], [0, 1, 2], [0, 2]),
        ([7, 1, 5, 7], [0, 1, 2, 5, 7], [4, 1, 3, 4]),
        ([None], [0, 1, 2], [None]),
        ([None, 6], [0, 1, 2, 6], [None, 3]),
    ],
)
def test_passages_of_findings_are_kept_beyond_the_best(
    places: list[int | None], kept: list[int], moved: list[int | None]
) -> None:
    read = Observation(findings=tuple(map(from_passage, places)), answerable=0.4)
    found = narrowed(read, ROWS, 3)
    assert found.passages == tuple(ROWS[at] for at in kept)
    assert [f.passage for f in found.findings] == moved
    assert [f.text for f in found.findings] == [f.text for f in read.findings]
    assert found.answerable == 0.4
    for finding, place in zip(found.findings, places, strict=True):
        assert finding.passage is None or found.passages[finding.passage] == ROWS[place or 0]


def test_what_was_expected_is_told_to_the_reader_and_kept() -> None:
    class Taught(FakeRetriever):
        def expect(self, question: str, scope: Scope) -> float | None:
            return 0.25 if scope.document == "d" else None

    reader = WideReader()
    tools = LocalToolBox(FakeRetriever(ROWS), None, lambda _c, _d: []).used_by(reader, Taught(ROWS))
    for document, expected in (("d", 0.25), (None, None)):
        found = tools.run("search", {"query": "rows"}, "q", Scope(document=document), Evidence(expected=0.5))
        assert reader.expected == found.expected == expected
        assert Evidence(expected=0.5).extended(found).expected == (expected or 0.5)


def test_fewer_passages_than_the_limit_are_all_kept() -> None:
    assert narrowed(Observation(findings=(from_passage(1),)), ROWS[:2], 5).passages == tuple(ROWS[:2])


class WideReader:
    """Reads more than is shown, and answers from the last passage."""

    breadth = 7

    def read(self, question: str, passages: Sequence[Passage], expected: float | None = None) -> Observation:
        self.read_passages, self.expected = list(passages), expected
        return Observation(findings=(from_passage(len(passages) - 1),), answerable=0.7)


def test_a_search_shows_the_best_and_what_the_reader_found_further_down() -> None:
    reader = WideReader()
    tools = LocalToolBox(FakeRetriever(ROWS), None, lambda _c, _d: [], limit=2).used_by(reader, FakeRetriever(ROWS))
    found = tools.run("search", {"query": "rows"}, "q", Scope(), Evidence())
    assert reader.read_passages == ROWS[:7]
    assert found.passages == (ROWS[0], ROWS[1], ROWS[6])
    assert found.findings[0].passage == 2
