"""Jobs on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from understudy.core.jobs import Between, Guarantee, Job, Plan, Result

__all__ = ["failures_of", "guaranteed", "show_jobs", "show_one", "show_plan"]

SHOWN = 20
"""Failures at most."""


def failures_of(results: Iterable[Result]) -> list[dict[str, str | int]]:
    """The rows that have no answer, and why: the first of them."""
    found: list[dict[str, str | int]] = []
    for result in results:
        if result.error is not None:
            found.append({"number": result.number, "question": result.query.question, "error": result.error})
        if len(found) == SHOWN:
            break
    return found


def show_jobs(out: Console, jobs: Sequence[Job]) -> None:
    """A line a job."""
    if not jobs:
        out.print("no jobs yet; begin one with: understudy batch QUESTIONS --out FILE", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for name in ("job", "status", "done", "failed", "cost", "changed", "output"):
        table.add_column(name, justify="right" if name in ("done", "failed", "cost") else "left", overflow="fold")
    for job in jobs:
        done = f"{job.done} of {job.total}"
        table.add_row(job.id, job.status, done, str(job.failed), f"${job.cost_usd:.4f}", job.changed[:19], job.output)
    out.print(table)


def show_one(out: Console, job: Job, failures: Sequence[dict[str, str | int]]) -> None:
    """A job in full."""
    budget = "" if job.budget_usd is None else f" of ${job.budget_usd:.4f}"
    routes = ", ".join(f"{count} {route}" for route, count in sorted(job.routes.items())) or "none yet"
    rows = {
        "job": f"{job.id}, {job.status}",
        "questions": f"{job.done} of {job.total} done, {job.failed} failed",
        "answers": routes,
        "experts cost": f"${job.cost_usd:.4f}{budget}",
        "collection": job.collection,
    }
    if job.extracts is not None:
        rows["schema"] = job.extracts.name
    if job.guarantee is not None:
        rows["promise"] = guaranteed(job.guarantee)
    for name, value in rows.items():
        out.print(f"{name:<14}{value}", highlight=False, markup=False, soft_wrap=True)
    for failure in failures:
        said = f"row {failure['number']}: {failure['error']}"
        out.print(f"  {said}", highlight=False, markup=False, soft_wrap=True)


def show_plan(out: Console, plan: Plan) -> None:
    """What a job would take, on machines like this one too."""
    failed = f", {plan.failed} of which failed" if plan.failed else ""
    long = plan.hours.high >= 1
    time = plan.hours if long else Between(**{name: 60 * hours for name, hours in plan.hours.model_dump().items()})
    cost = f"${said(plan.usd, '{:.2f}')}, ${plan.most_usd:.2f} at the most; {plan.priced_by}"
    rows = {
        "questions": f"{plan.questions}, by a sample of {plan.sampled}{failed}",
        "a question": f"{said(plan.seconds_a_question, '{:.2f}')} s, {60 / plan.seconds_a_question.value:.0f} a minute",
        "this machine": f"{said(time, '{:.1f}')} {'hours' if long else 'minutes'}, and as long as its experts take",
        "to an expert": f"{said(plan.consulted, '{:.1%}')} of the questions",
        "experts cost": cost if plan.usd.high else "nothing: none can be asked, or those that can are free",
    }
    for name, value in rows.items():
        out.print(f"{name:<14}{value}", highlight=False, markup=False, soft_wrap=True)


def said(estimate: Between, form: str) -> str:
    """A value with its interval."""
    value, low, high = (form.format(number) for number in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def guaranteed(guarantee: Guarantee) -> str:
    """What is promised of a job as a whole."""
    if guarantee.why:
        return f"nothing is promised: {guarantee.why}"
    promise = f"{guarantee.max_quality_loss:.1%} of quality is lost at most over all its answers, against an expert's, "
    promise += f"with {guarantee.confidence:.0%} confidence"
    if not guarantee.tested:
        return f"not yet; to be tested: {promise}"
    above = (
        "no draft" if guarantee.threshold is None else f"drafts of a confidence of {guarantee.threshold:.2f} or more"
    )
    found = f"{above} given, on {guarantee.labelled} rows that were compared"
    return f"{promise} ({found})" if guarantee.given else f"not yet; tested: {promise} ({found})"
