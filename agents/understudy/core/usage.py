"""What an answer takes: tokens, and money."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.core.data import Data

__all__ = ["NOBODYS", "Account", "ExpertTokens", "SmallTokens", "Spend", "Tokens"]


@dataclass(frozen=True)
class Account:
    """Whose question a call is made and paid for."""

    question: str
    """An id of its own, not the words."""
    thread: str
    principal: str
    job: str | None = None


NOBODYS = Account("", "", "")
"""Of what no question asks for."""


class SmallTokens(Data):
    """Tokens of the small model: prompt tokens read or found in the KV cache, tokens forced by the grammar, sampled."""

    evaluated: int = 0
    reused: int = 0
    forced: int = 0
    generated: int = 0

    def __add__(self, other: SmallTokens) -> SmallTokens:
        """The sum, count by count."""
        return SmallTokens(
            evaluated=self.evaluated + other.evaluated,
            reused=self.reused + other.reused,
            forced=self.forced + other.forced,
            generated=self.generated + other.generated,
        )


class ExpertTokens(Data):
    """Tokens that an expert was paid for."""

    input: int = 0
    output: int = 0


class Spend(Data):
    """What expert calls cost, or may cost: dollars, calls, and tokens in and out together."""

    usd: float = 0.0
    calls: int = 0
    tokens: int = 0

    def __add__(self, other: Spend) -> Spend:
        """The sum, unit by unit."""
        return Spend(usd=self.usd + other.usd, calls=self.calls + other.calls, tokens=self.tokens + other.tokens)

    def __mul__(self, times: int) -> Spend:
        """The same several times."""
        return Spend(usd=self.usd * times, calls=self.calls * times, tokens=self.tokens * times)


class Tokens(Data):
    """All tokens an answer took."""

    small: SmallTokens = SmallTokens()
    expert: ExpertTokens = ExpertTokens()
