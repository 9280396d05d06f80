"""The books hold: whatever the order of calls, crashes and bills, no limit is passed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.agents.deferral.budget import Ledger
from understudy.core.errors import BudgetError, WorkspaceError
from understudy.core.protocols import Account
from understudy.core.settings import BudgetSettings
from understudy.core.usage import Spend

ONE = Spend(usd=0.02, calls=1, tokens=100)


def account(question: str = "q", thread: str = "t", principal: str = "p", job: str | None = None) -> Account:
    return Account(question, thread, principal, job)


@pytest.mark.parametrize("period", ["question", "thread", "principal", "month"])
@pytest.mark.parametrize(("unit", "limit"), [("usd", 0.05), ("calls", 2), ("tokens", 250)])
def test_each_limit_lets_two_calls_through_and_names_itself_at_the_third(
    tmp_path: Path, period: str, unit: str, limit: float
) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", BudgetSettings.model_validate({f"per_{period}_{unit}": limit}))
    for _ in range(2):
        ledger.reserve(account(), "e", ONE)
    with pytest.raises(BudgetError, match=f"the budget per {period} allows no expert"):
        ledger.reserve(account(), "e", ONE)
    ledger.close()


def test_a_limit_is_one_owners(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", BudgetSettings(per_thread_calls=1, per_job_calls=1))
    ledger.reserve(account(thread="a", job="j"), "e", ONE)
    ledger.reserve(account(thread="b"), "e", ONE)
    ledger.reserve(account(thread="a", principal="other"), "e", ONE)  # the same name, another person's thread
    with pytest.raises(BudgetError, match="per thread"):
        ledger.reserve(account(thread="a"), "e", ONE)
    with pytest.raises(BudgetError, match="per job"):
        ledger.reserve(account(thread="c", job="j"), "e", ONE)
    ledger.close()


def test_a_new_month_begins_at_nothing(tmp_path: Path) -> None:
    now = [datetime(2026, 11, 30, 23, 59, tzinfo=UTC)]
    ledger = Ledger(tmp_path / "l.sqlite", BudgetSettings(per_month_calls=1), lambda: now[0])
    ledger.reserve(account(), "e", ONE)
    assert ledger.spent() == ONE
    now[0] = datetime(2026, 12, 1, tzinfo=UTC)
    assert ledger.spent() == Spend()
    ledger.reserve(account(), "e", ONE)
    ledger.close()


def test_what_is_settled_is_free_again_and_what_crashed_stays_spent(tmp_path: Path) -> None:
    limits = BudgetSettings(per_month_usd=0.05)
    ledger = Ledger(tmp_path / "l.sqlite", limits)
    ledger.settle(ledger.reserve(account(), "e", ONE), Spend(usd=0.001, calls=1, tokens=3))
    ledger.reserve(account(), "e", ONE)  # and the process dies
    ledger.close()
    again = Ledger(tmp_path / "l.sqlite", limits)
    assert again.spent() == Spend(usd=0.021, calls=2, tokens=103)
    again.reserve(account(), "e", ONE)
    with pytest.raises(BudgetError):
        again.reserve(account(), "e", ONE)
    again.close()


def test_a_bill_above_its_worst_case_is_booked_in_full(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", BudgetSettings(per_month_usd=1.0))
    ledger.settle(ledger.reserve(account(), "e", ONE), Spend(usd=0.99, calls=1, tokens=3))
    with pytest.raises(BudgetError, match=r"\$0\.9900 of \$1\.0000 are spent"):
        ledger.reserve(account(), "e", ONE)
    ledger.close()


def test_zero_is_no_spending_but_an_expert_in_the_house_is_free(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", BudgetSettings(per_question_usd=0))
    ledger.reserve(account(), "house", Spend(usd=0.0, calls=1, tokens=100))
    with pytest.raises(BudgetError):
        ledger.reserve(account(), "cloud", ONE)
    ledger.close()


def test_a_ledger_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "l.sqlite").write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(WorkspaceError, match="corrupt or unwritable"):
        Ledger(tmp_path / "l.sqlite", BudgetSettings())


CALL = st.tuples(
    st.integers(0, 2),  # question
    st.integers(0, 1),  # principal
    st.floats(0, 0.03),  # worst case in dollars
    st.floats(0, 1),  # the bill as a share of it
    st.sampled_from(["settle", "settle", "crash", "late"]),
)


@settings(max_examples=30, deadline=None)
@given(schedules=st.lists(st.lists(CALL, max_size=8), min_size=1, max_size=4), limit=st.floats(0, 0.2))
def test_no_schedule_of_callers_passes_a_limit(
    tmp_path_factory: pytest.TempPathFactory, schedules: list[list[tuple[int, int, float, float, str]]], limit: float
) -> None:
    """Callers run at once, each on a connection of its own; some crash, some settle only after all the others."""
    path = tmp_path_factory.mktemp("ledger") / "l.sqlite"
    limits = BudgetSettings(per_month_usd=limit, per_principal_usd=limit / 2, per_question_calls=2)
    paid: list[tuple[str, str, float]] = []

    def caller(calls: list[tuple[int, int, float, float, str]]) -> None:
        ledger = Ledger(path, limits)
        late: list[tuple[str, Spend]] = []
        for question, principal, worst, share, end in calls:
            owner = account(question=f"q{question}", principal=f"p{principal}")
            try:
                made = ledger.reserve(owner, "e", Spend(usd=worst, calls=1, tokens=1))
            except BudgetError:
                continue
            paid.append((owner.question, owner.principal, worst * share))
            if end != "crash":
                bill = Spend(usd=worst * share, calls=1, tokens=1)
                late.append((made, bill)) if end == "late" else ledger.settle(made, bill)
        for made, bill in late:
            ledger.settle(made, bill)
        ledger.close()

    threads = [threading.Thread(target=caller, args=(calls,)) for calls in schedules]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(usd for *_, usd in paid) <= limit + 1e-12
    for name in {principal for _, principal, _ in paid}:
        assert sum(usd for _, principal, usd in paid if principal == name) <= limit / 2 + 1e-12
    for name in {question for question, *_ in paid}:
        assert sum(question == name for question, *_ in paid) <= 2


def test_whether_any_call_may_pass(tmp_path: Path) -> None:
    def opened(**limits: float) -> Ledger:
        return Ledger(tmp_path / "l.sqlite", BudgetSettings.model_validate(limits))

    assert opened().open(priced=True)
    assert not opened(per_thread_calls=0).open(priced=False)
    dollars = opened(per_month_usd=0.02)
    assert dollars.open(priced=True)
    dollars.reserve(account(), "e", ONE)
    assert not dollars.open(priced=True)
    assert dollars.open(priced=False), "an expert in the house is free"
