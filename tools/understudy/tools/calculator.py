"""Exact decimal arithmetic: no `eval`, percentages, thousands separators, and findings by their label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import Annotated

from pydantic import BaseModel, Field

from understudy.core.errors import ToolError
from understudy.core.types import Finding, Observation

__all__ = ["CalculateArguments", "calculate", "number_in"]

TOKEN = re.compile(r"\s*(?:(f\d{1,3})|(\d[\d,]*(?:\.\d+)?|\.\d+)|([-+*/()%])|[$€£])")
GROUPED = r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}"
"""Numbers that can only be meant as in most of Europe: points between thousands, a comma before decimals."""
NUMBER = re.compile(rf"{GROUPED}|\d[\d,]*(?:\.\d+)?|\.\d+")


class CalculateArguments(BaseModel):
    """Arguments of the calculator."""

    expression: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[-+*/().,%$€£ 0-9f]{1,80}$")]
    """Numbers, + - * / ( ) %, and findings by label, as in "(f2 - f1) / f1 * 100"."""


def calculate(expression: str, findings: Sequence[Finding]) -> Observation:
    """Work out an expression; the result is a finding that names its inputs. Raises `ToolError`."""
    parser = Parser(expression, findings)
    try:
        with localcontext() as context:
            context.prec = 40
            value = parser.value()
            result = shown(value)
    except DivisionByZero as error:
        raise ToolError(f"{expression!r} divides by zero") from error
    except (InvalidOperation, Overflow) as error:
        raise ToolError(f"{expression!r} has no finite value") from error
    used = tuple(sorted(parser.used))
    score = min((findings[i].score for i in used), default=1.0)
    return Observation(
        text=f"{expression} = {result}",
        findings=(Finding(text=result, score=score, origin="calculator", inputs=used),),
    )


def shown(value: Decimal) -> str:
    """At most four decimals (two above 10), without trailing zeros."""
    if abs(value) >= Decimal(10) ** 30:
        return f"{value:.6E}"
    text = f"{value.quantize(Decimal('0.01') if abs(value) >= 10 else Decimal('0.0001')):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def number_in(text: str) -> Decimal:
    """The number that a finding states: "(12.3)" is negative, "12%" is 12, "1.204,50" is 1204.5. Raises `ToolError`."""
    match = NUMBER.search(text)
    if match is None:
        raise ToolError(f"there is no number in {text!r}")
    digits = match[0]
    if re.fullmatch(GROUPED, digits):
        digits = digits.replace(".", "").replace(",", ".")
    value = Decimal(digits.replace(",", ""))
    before = text[: match.start()].rstrip("$€£ ")
    bracketed = before.endswith("(") and ")" in text[match.end() :]
    return -value if bracketed or before.endswith(("-", "−", "–")) else value


class Parser:
    """Recursive descent over sums, products, signs and brackets."""

    def __init__(self, expression: str, findings: Sequence[Finding]) -> None:
        self._expression = expression
        self._findings = findings
        self._tokens = self._read(expression)
        self._at = 0
        self.used: set[int] = set()

    def value(self) -> Decimal:
        """The value of the whole expression."""
        result = self._sum(0)
        if self._at < len(self._tokens):
            raise ToolError(f"{self._expression!r} goes on after its end at {self._tokens[self._at]!r}")
        return result

    def _read(self, expression: str) -> list[str]:
        tokens, at = [], 0
        while at < len(expression.rstrip()):
            match = TOKEN.match(expression, at)
            if match is None:
                raise ToolError(f"{expression!r}: {expression[at:].strip()[:1]!r} is no number, label or operator")
            tokens += [t for t in match.groups() if t]
            at = match.end()
        return tokens

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _sum(self, depth: int) -> Decimal:
        value = self._product(depth)
        while self._peek() in ("+", "-") and self._peek():
            value = value + self._product(depth) if self._take() == "+" else value - self._product(depth)
        return value

    def _product(self, depth: int) -> Decimal:
        value = self._atom(depth)
        while self._peek() in ("*", "/") and self._peek():
            value = value * self._atom(depth) if self._take() == "*" else value / self._atom(depth)
        return value

    def _atom(self, depth: int) -> Decimal:
        if depth > 40:
            raise ToolError(f"{self._expression!r} is nested too deeply")
        token = self._take()
        if token == "-":
            return -self._atom(depth + 1)
        if token == "+":
            return self._atom(depth + 1)
        if token == "(":
            value = self._sum(depth + 1)
            if self._take() != ")":
                raise ToolError(f"{self._expression!r} lacks a closing bracket")
        elif token.startswith("f"):
            value = self._finding(int(token[1:]))
        elif token[:1].isdigit() or token.startswith("."):
            value = Decimal(token.replace(",", ""))
        else:
            raise ToolError(f"{self._expression!r} lacks a number before {token or 'its end'!r}")
        while self._peek() == "%":
            self._take()
            value = value / 100
        return value

    def _finding(self, number: int) -> Decimal:
        if not 1 <= number <= len(self._findings):
            raise ToolError(f"there is no finding f{number}; there are {len(self._findings)}")
        self.used.add(number - 1)
        return number_in(self._findings[number - 1].text)
