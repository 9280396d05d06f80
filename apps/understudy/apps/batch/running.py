"""Run a job, and show how far it is: a live line on a terminal, else a line a minute."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from understudy.core.jobs import Job, Result

__all__ = ["Tally", "showing"]

EVERY_S = 60.0


@dataclass
class Tally:
    """What has become of the questions of a job so far.

    Args:
        job: as it was begun; what it had then counts.
        clock: in seconds.
    """

    job: Job
    clock: Callable[[], float] = time.monotonic
    began: float = 0.0
    now: int = 0
    """Done since it was begun."""
    failed: int = 0
    cost_usd: float = 0.0
    routes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.began = self.clock()
        self.failed, self.cost_usd, self.routes = self.job.failed, self.job.cost_usd, Counter(self.job.routes)

    def note(self, result: Result) -> None:
        """A question is done."""
        self.now += 1
        if result.answer is None:
            self.failed += 1
        else:
            self.routes[result.answer.route] += 1
            self.cost_usd += result.answer.cost_usd

    @property
    def per_minute(self) -> float:
        """Questions a minute."""
        return 60 * self.now / max(1e-9, self.clock() - self.began)

    def line(self) -> str:
        """In words."""
        shares = [f"{count} {route}" for route, count in sorted(self.routes.items())]
        budget = "" if self.job.budget_usd is None else f" of ${self.job.budget_usd:.4f}"
        said = [f"{self.per_minute:.0f} a minute", *shares, f"{self.failed} failed", f"${self.cost_usd:.4f}{budget}"]
        return ", ".join(said)


@contextmanager
def showing(job: Job, err: Console) -> Iterator[tuple[Tally, Callable[[Result], None]]]:
    """Show a job in progress; gives its tally, and what is to be told of every question that is done."""
    tally = Tally(job)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns,
        console=err,
        transient=True,
        disable=not err.is_terminal,
        redirect_stdout=False,  # or what a lent command prints would go through it
        redirect_stderr=False,
    ) as progress:
        task = progress.add_task("asking", total=job.total, completed=job.done)
        last, one = tally.began, threading.Lock()
        here = copy_context()  # in which it is known where the command was typed

        def note(result: Result) -> None:
            with one:
                here.run(noted, result)

        def noted(result: Result) -> None:
            nonlocal last
            tally.note(result)
            progress.update(task, completed=job.done + tally.now, description=tally.line())
            if not err.is_terminal and tally.clock() - last >= EVERY_S:
                last = tally.clock()
                left = (job.total - job.done - tally.now) / max(1e-9, tally.per_minute)
                done = f"{job.done + tally.now} of {job.total}"
                err.print(f"{done} done, about {left:.0f} minutes left; {tally.line()}", highlight=False, markup=False)

        yield tally, note
