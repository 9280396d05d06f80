"""Calculator, look-up and toolbox."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.tools import tool

from understudy.core.errors import ToolError, UserError
from understudy.core.fakes import FakeRetriever
from understudy.core.types import Evidence, Finding, Passage, Scope
from understudy.tools.calculator import calculate, number_in
from understudy.tools.lookup import lookup
from understudy.tools.toolbox import LocalToolBox

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


terms = st.recursive(
    st.integers(0, 999).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=8,
)


@given(terms)
@settings(max_examples=150, deadline=None)
def test_calculate_agrees_with_exact_arithmetic(expression: str) -> None:
    expected = Fraction(eval(expression, {"__builtins__": {}}))
    if abs(expected) < 10**20:
        assert Fraction(calculate(expression, []).findings[0].text) == expected


@pytest.mark.parametrize(
    ("text", "number"), [("(12.3)", "-12.3"), ("$ (1,200)", "-1200"), ("−5%", "-5"), ("about 12 (est.)", "12")]
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


@pytest.mark.parametrize(("row", "column"), [("revenue", "2019"), ("dividends", "2024"), ("revenue", "price")])
def test_lookup_refuses(row: str, column: str) -> None:
    with pytest.raises(ToolError, match="nearest are"):
        lookup(row, column, [TABLE])
    with pytest.raises(ToolError, match="none of these documents"):
        lookup(row, column, [])


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def box() -> LocalToolBox:
    return LocalToolBox(FakeRetriever([TABLE]), None, lambda _c, _d: [TABLE], [weather])


def test_the_toolbox_runs_them_all() -> None:
    tools = box()
    assert [t.name for t in tools.tools] == ["search", "lookup", "calculate", "weather"]
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
