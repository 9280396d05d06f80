"""The books: what experts may cost, reserved before every call, settled after it, and spent even after a crash.

A reservation is the worst case of a call, so what was paid never exceeds a limit as long as no bill exceeds its worst
case; one that does is booked in full, and counts against every later call.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import BigInteger, Boolean, Column, Connection, MetaData, String, Table, func, insert, select, update

from understudy.core.errors import BudgetError
from understudy.core.history import Spent, Step, start
from understudy.core.protocols import Account
from understudy.core.settings import BudgetSettings
from understudy.core.sqlite import open_sqlite, workspace_errors
from understudy.core.usage import Spend

__all__ = ["Ledger"]

NANO = 10**9
"""Dollars are kept as whole billionths: sums of floats drift."""
PERIODS = ("question", "thread", "principal", "job", "month")
UNITS = ("usd", "calls", "tokens")

metadata = MetaData()
entries = Table(
    "spending",
    metadata,
    Column("id", String, primary_key=True),
    *(Column(period, String, index=True) for period in PERIODS),
    Column("expert", String),
    Column("usd", BigInteger),
    Column("calls", BigInteger),
    Column("tokens", BigInteger),
    Column("settled", Boolean),
    Column("created", String),
)


@dataclass(frozen=True)
class Limit:
    """What may be spent in one period, in one unit."""

    period: str
    unit: str
    most: int
    """Billionths of dollars, calls or tokens."""


class Ledger:
    """A `Budget` on SQLite: safe between threads and processes.

    Args:
        path: of the database.
        settings: the limits; those that are absent don't limit.
        now: the present time, by which months are told apart (UTC).
    """

    def __init__(
        self, path: Path, settings: BudgetSettings, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._path = path
        self._now = now
        self._limits = limits_of(settings)
        self._caps: dict[str, Limit] = {}
        self._engine = open_sqlite(path)
        with self._writing() as db:
            metadata.create_all(db)

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def cap(self, job: str, usd: float | None) -> None:
        """Let a job's experts cost so much, what it has spent before included; with `None`, as the settings say."""
        self._caps.pop(job, None)
        if usd is not None:
            self._caps[job] = Limit("job", "usd", math.floor(usd * NANO))

    def reserve(self, account: Account, expert: str, worst: Spend) -> str:
        """Set the worst case of a call aside, and give the reservation's id. Raises `BudgetError`."""
        asked = stored(worst)
        owner, cap = self._owner(account), self._caps.get(account.job or "")
        with self._writing() as db:
            for limit in self._limits if cap is None else [*self._limits, cap]:
                if owner[limit.period] is None:
                    continue
                spent = total(db, limit, owner[limit.period])
                if spent + asked[limit.unit] > limit.most:
                    raise BudgetError(refusal(limit, spent, asked[limit.unit]))
            made = uuid.uuid4().hex
            values = {"id": made, "expert": expert, "settled": False, "created": self._now().isoformat()}
            db.execute(insert(entries).values({**values, **owner, **asked}))
        return made

    def settle(self, reservation: str, actual: Spend) -> None:
        """Replace a reservation by what the call did cost."""
        with self._writing() as db:
            db.execute(update(entries).where(entries.c.id == reservation).values({**stored(actual), "settled": True}))

    def spent(self, principal: str | None = None) -> Spend:
        """What this month took so far, open reservations included: all, or what a principal spent."""
        query = select(*(func.coalesce(func.sum(entries.c[unit]), 0) for unit in UNITS))
        query = query.where(entries.c.month == month_of(self._now()))
        if principal is not None:
            query = query.where(entries.c.principal == principal)
        with self._writing() as db:
            usd, calls, tokens = map(int, db.execute(query).one())
        return Spend(usd=usd / NANO, calls=calls, tokens=tokens)

    def over_time(self, by: Step, principal: str | None = None) -> list[Spent]:
        """What every period took, open reservations included: all, or what a principal spent."""
        begun = func.substr(entries.c.created, 1, start(by))
        query = select(begun, *(func.sum(entries.c[unit]) for unit in UNITS)).group_by(begun)
        if principal is not None:
            query = query.where(entries.c.principal == principal)
        with self._writing() as db:
            rows = db.execute(query).all()
        return [Spent(at, Spend(usd=usd / NANO, calls=calls, tokens=tokens)) for at, usd, calls, tokens in rows]

    def open(self, *, priced: bool) -> bool:
        """Whether a next call may pass every limit that doesn't depend on who asks.

        Args:
            priced: whether it would cost dollars; a free one passes a spent budget of dollars.
        """
        if not self._limits:
            return True
        month = month_of(self._now())
        with self._writing() as db:
            for limit in self._limits:
                if limit.unit == "usd" and not priced:
                    continue
                spent = total(db, limit, month) if limit.period == "month" else 0
                if spent >= limit.most:
                    return False
        return True

    def unname(self, principal: str, thread: str) -> None:
        """Forget a thread's name; what it took stays spent."""
        with self._writing() as db:
            db.execute(update(entries).where(entries.c.thread == f"{principal}\0{thread}").values(thread=None))

    def _owner(self, account: Account) -> dict[str, str | None]:
        """Whom each period's sum is taken over. A thread is one principal's."""
        return {
            "question": account.question,
            "thread": f"{account.principal}\0{account.thread}",
            "principal": account.principal,
            "job": account.job,
            "month": month_of(self._now()),
        }

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that no other one runs beside: what it reads still holds when it writes."""
        with workspace_errors(self._path), self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.exec_driver_sql("BEGIN IMMEDIATE")
            with ExitStack() as undo:
                undo.callback(db.exec_driver_sql, "ROLLBACK")
                yield db
                undo.pop_all()
            db.exec_driver_sql("COMMIT")


def limits_of(settings: BudgetSettings) -> list[Limit]:
    """The limits that are set, shortest period first. Fractions of a billionth are cut off, never rounded up."""
    found = []
    for period in PERIODS:
        for unit in UNITS:
            most = getattr(settings, f"per_{period}_{unit}")
            if most is not None:
                found.append(Limit(period, unit, math.floor(most * NANO) if unit == "usd" else most))
    return found


def stored(spend: Spend) -> dict[str, int]:
    """A spend in whole numbers, dollars rounded up."""
    return {"usd": math.ceil(spend.usd * NANO), "calls": spend.calls, "tokens": spend.tokens}


def total(db: Connection, limit: Limit, owner: str | None) -> int:
    """What a period's owner has spent or set aside."""
    column = entries.c[limit.unit]
    query = select(func.coalesce(func.sum(column), 0)).where(entries.c[limit.period] == owner)
    return int(db.execute(query).scalar_one())


def month_of(moment: datetime) -> str:
    """A month's name, such as 2026-11."""
    return moment.astimezone(UTC).strftime("%Y-%m")


def refusal(limit: Limit, spent: int, asked: int) -> str:
    """Why a call is not made."""

    def said(amount: int) -> str:
        return f"${amount / NANO:.4f}" if limit.unit == "usd" else f"{amount} {limit.unit}"

    return (
        f"the budget per {limit.period} allows no expert: {said(spent)} of {said(limit.most)} are spent or set aside, "
        f"and the call may take {said(asked)}"
    )
