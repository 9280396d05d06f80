"""Where the drafts of a guaranteed job lie meanwhile: in the journal, or for a batch that leaves nothing, in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from understudy.agents.batch.drafts import Pending, Standing
from understudy.agents.batch.journal import Journal
from understudy.agents.batch.pipeline import Keep
from understudy.core.errors import UnderstudyError
from understudy.core.jobs import Guarantee
from understudy.core.types import Answer, Scope
from understudy.graphs.state import AskState

__all__ = ["Desk", "KeptDesk", "PassingDesk"]

Measured = Callable[[Pending, Answer | UnderstudyError, tuple[Scope, ...], float | None], None]
"""What is done with an answer, or with an error, what it rests on, and the draft's loss, where it was measured."""


class Desk(Protocol):
    """The drafts of one job, and what has become of them. Nothing of it is called on an event loop."""

    def undrafted(self) -> Sequence[Pending]:
        """What is still to be drafted, one of each row that is the same."""
        ...

    def put_down(self, row: Pending, state: AskState, confidence: float, rests_on: Sequence[Scope]) -> None:
        """Keep a draft."""
        ...

    def standing(self) -> Sequence[Standing]:
        """All rows that were drafted, those that are the same too."""
        ...

    def taken_up(self, number: int) -> tuple[Pending, AskState] | None:
        """The draft of a row, with the row that stands for it; none where it was answered, or erased."""
        ...

    def keep(
        self, row: Pending, outcome: Answer | UnderstudyError, rests_on: tuple[Scope, ...], loss: float | None
    ) -> None:
        """Keep what has become of a row, with the loss of its draft, where it was measured."""
        ...

    def sound(self) -> int:
        """How many rows have not failed."""
        ...

    def guarantee(self) -> Guarantee:
        """What is to be promised."""
        ...

    def promise(self, guarantee: Guarantee) -> None:
        """Note what has become of it."""
        ...


@dataclass(frozen=True)
class KeptDesk:
    """A desk in the journal.

    Args:
        journal: of jobs.
        job: which one.
        kept: keeps what becomes of a row.
    """

    journal: Journal
    job: str
    kept: Measured

    def undrafted(self) -> list[Pending]:
        """What is still to be drafted."""
        return self.journal.undrafted(self.job)

    def put_down(self, row: Pending, state: AskState, confidence: float, rests_on: Sequence[Scope]) -> None:
        """Keep a draft."""
        self.journal.put_down(self.job, row, state, confidence, rests_on)

    def standing(self) -> list[Standing]:
        """All rows that were drafted."""
        return self.journal.standing(self.job)

    def taken_up(self, number: int) -> tuple[Pending, AskState] | None:
        """The draft of a row."""
        return self.journal.taken_up(self.job, number)

    def keep(
        self, row: Pending, outcome: Answer | UnderstudyError, rests_on: tuple[Scope, ...], loss: float | None
    ) -> None:
        """Keep what has become of a row."""
        self.kept(row, outcome, rests_on, loss)

    def sound(self) -> int:
        """How many rows have not failed."""
        return self.journal.sound(self.job)

    def guarantee(self) -> Guarantee:
        """What is to be promised."""
        held = self.journal.guarantee(self.job)
        assert held is not None
        return held

    def promise(self, guarantee: Guarantee) -> None:
        """Note what has become of it."""
        self.journal.promise(self.job, guarantee)


@dataclass
class PassingDesk:
    """A desk in memory.

    Args:
        asked: one of each row that is the same.
        same: the numbers of all that are the same as that of a row, it included.
        goal: what is to be promised.
        kept: takes what becomes of a row.
    """

    asked: Sequence[Pending]
    same: Mapping[int, Sequence[int]]
    goal: Guarantee
    kept: Keep
    _states: dict[int, AskState] = field(default_factory=dict)
    _standing: dict[int, Standing] = field(default_factory=dict)
    _failed: int = 0

    def __post_init__(self) -> None:
        self._rows = {number: row for row in self.asked for number in self.same[row.number]}

    def undrafted(self) -> Sequence[Pending]:
        """All."""
        return self.asked

    def put_down(self, row: Pending, state: AskState, confidence: float, _rests_on: Sequence[Scope]) -> None:
        """Keep a draft."""
        self._states[row.number] = state
        for number in self.same[row.number]:
            self._standing[number] = Standing(number, row.number, confidence, None, None, False)

    def standing(self) -> list[Standing]:
        """All rows that were drafted."""
        return list(self._standing.values())

    def taken_up(self, number: int) -> tuple[Pending, AskState] | None:
        """The draft of a row."""
        row = self._rows[number]
        state = self._states.get(row.number)
        return None if state is None else (row, state)

    def keep(
        self, row: Pending, outcome: Answer | UnderstudyError, rests_on: tuple[Scope, ...], loss: float | None
    ) -> None:
        """Hand over what has become of a row."""
        self._states.pop(row.number, None)
        numbers = self.same[row.number]
        route = outcome.route if isinstance(outcome, Answer) else None
        self._failed += len(numbers) * (route is None)
        for number in numbers:
            held = self._standing.get(number)
            if held is not None:
                self._standing[number] = replace(held, loss=loss, route=route, failed=route is None)
        self.kept(row, outcome, rests_on)

    def sound(self) -> int:
        """How many rows have not failed."""
        return sum(map(len, self.same.values())) - self._failed

    def guarantee(self) -> Guarantee:
        """What is to be promised."""
        return self.goal

    def promise(self, guarantee: Guarantee) -> None:
        """Note what has become of it."""
        self.goal = guarantee
