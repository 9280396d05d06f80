"""Questions, quality and cost over time, as counts: no words of anybody's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from understudy.core.data import Data
from understudy.core.types import Route
from understudy.core.usage import Spend

__all__ = ["Compared", "Counted", "Period", "Spent", "Step", "periods", "start"]

Step = Literal["day", "hour"]
WIDTH: dict[Step, int] = {"day": len("2026-11-28"), "hour": len("2026-11-28T14")}
"""How much of a time names a period."""


class Counted(NamedTuple):
    """Questions of one period that were answered alike."""

    begun: str
    route: Route
    good: bool | None
    """What people said of the answers."""
    questions: int


class Spent(NamedTuple):
    """What experts took in one period."""

    begun: str
    spend: Spend


class Compared(NamedTuple):
    """A draft of the small model's that was compared with an expert's answer."""

    begun: str
    quality: float
    weight: float
    """The inverse of the probability with which it was drawn."""


class Period(Data):
    """An hour or a day of a workspace."""

    begun: str
    """When, in UTC: 2026-11-28, or 2026-11-28T14."""
    routes: dict[Route, int] = {}
    """Answered questions by how the answers came about; those of deleted threads are not among them."""
    spend: Spend = Spend()
    """What experts took."""
    compared: int = 0
    """Drafts of the small model's that were compared with an expert's answer."""
    quality: float | None = None
    """The share of them that was as good, each weighted by the inverse of its probability to be drawn."""
    good: int = 0
    """Answers that people found right."""
    bad: int = 0

    @property
    def asked(self) -> int:
        """Answered questions."""
        return sum(self.routes.values())


def start(step: Step) -> int:
    """How many characters of a time, as databases keep it, name its period."""
    return WIDTH[step]


def periods(counted: Iterable[Counted], spent: Iterable[Spent], compared: Iterable[Compared]) -> list[Period]:
    """What is known of every period, oldest first."""
    found: dict[str, Period] = {}

    def at(begun: str) -> Period:
        return found.get(begun) or Period(begun=begun)

    for c in counted:
        held = at(c.begun)
        routes = held.routes | {c.route: held.routes.get(c.route, 0) + c.questions}
        good, bad = held.good + c.questions * (c.good is True), held.bad + c.questions * (c.good is False)
        found[c.begun] = held.model_copy(update={"routes": routes, "good": good, "bad": bad})
    for s in spent:
        held = at(s.begun)
        found[s.begun] = held.model_copy(update={"spend": held.spend + s.spend})
    drafts: dict[str, list[Compared]] = {}
    for d in compared:
        drafts.setdefault(d.begun, []).append(d)
    for begun, those in drafts.items():
        quality = sum(d.quality * d.weight for d in those) / sum(d.weight for d in those)
        found[begun] = at(begun).model_copy(update={"compared": len(those), "quality": quality})
    return [found[begun] for begun in sorted(found)]
