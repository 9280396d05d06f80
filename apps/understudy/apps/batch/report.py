"""The report of a job, in Markdown beside its results, with a picture where matplotlib is installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from understudy.apps.batch.present import SHOWN, guaranteed
from understudy.apps.batch.records import FATES
from understudy.apps.batch.running import Tally
from understudy.apps.picture import draw_routes
from understudy.core.errors import UserError
from understudy.core.jobs import Job, Result
from understudy.core.workspace import write_atomically

__all__ = ["write_report"]

BINS = 10


def write_report(
    output: Path,
    job: Job,
    tally: Tally,
    results: Iterable[Result],
    promise: Mapping[str, Any],
    fields: Mapping[str, Mapping[str, int]] | None = None,
) -> Path:
    """Write `OUTPUT.report.md`, and `OUTPUT.report.png`; gives the former. Raises `UserError`.

    Args:
        output: the results.
        job: done.
        tally: of the run that finished it.
        results: all of them.
        promise: what the threshold in force promises.
        fields: what became of every field of a schema.
    """
    confidence: Counter[tuple[str, int]] = Counter()
    failures: list[Result] = []
    for result in results:
        if result.answer is not None:
            at = min(BINS - 1, int(result.answer.confidence * BINS))
            confidence[result.answer.route, at] += 1
        elif len(failures) < SHOWN:
            failures.append(result)
    path = output.with_name(f"{output.name}.report.md")
    drawn = path.with_suffix(".png") if find_spec("matplotlib") and confidence else None
    try:
        if drawn is not None:
            draw_routes(confidence, BINS, drawn)
        write_atomically(path, text_of(output, job, tally, failures, promise, drawn, fields or {}))
    except OSError as error:
        raise UserError(f"{path}: can't be written ({error.strerror or error}); the results are whole") from error
    return path


def text_of(
    output: Path,
    job: Job,
    tally: Tally,
    failures: Sequence[Result],
    promise: Mapping[str, Any],
    drawn: Path | None,
    fields: Mapping[str, Mapping[str, int]],
) -> str:
    """The report's words."""
    answered = job.done - job.failed
    lines = [f"# Job {job.id}", "", f"Results: `{output.name}`. Collection: `{job.collection}`.", ""]
    lines += ["| | |", "|---|---|", f"| questions | {job.total} |", f"| answered | {answered} |"]
    for route, count in sorted(job.routes.items()):
        lines.append(f"| {route} | {count} ({count / max(1, answered):.1%}) |")
    budget = "" if job.budget_usd is None else f" of a budget of ${job.budget_usd:.4f}"
    lines += [f"| failed | {job.failed} |", f"| experts cost | ${job.cost_usd:.4f}{budget} |"]
    if tally.now:
        lines.append(f"| pace of the last run | {tally.per_minute:.0f} questions a minute, {tally.now} of them |")
    lines += ["", promised(promise) if job.guarantee is None else f"As a whole: {guaranteed(job.guarantee)}.", ""]
    if drawn is not None:
        lines += [f"![Answers by confidence]({drawn.name})", ""]
    if fields:
        lines += ["## Fields", "", f"| field | {' | '.join(FATES)} |", f"|---{'|---' * len(FATES)}|"]
        lines += [f"| {name} | {' | '.join(str(counts.get(f, 0)) for f in FATES)} |" for name, counts in fields.items()]
        lines += [""]
    if failures:
        more = f", the first {SHOWN}" if job.failed > SHOWN else ""
        lines += [f"## What failed{more}", ""]
        lines += [f"- {place_of(r, fields)}: {r.error}" for r in failures]
    return "\n".join(lines).rstrip() + "\n"


def place_of(result: Result, fields: Mapping[str, Mapping[str, int]]) -> str:
    """Where a question stands in the results."""
    return f"{result.query.id} of {result.query.document}" if fields else f"row {result.number}"


def promised(promise: Mapping[str, Any]) -> str:
    """What is promised of the answers that were given without an expert."""
    if promise.get("threshold") is None or promise.get("why"):
        why = promise.get("why") or "there are too few labels; understudy calibrate says how many are missing"
        return f"Nothing is promised of the quality of local answers: {why}."
    return (
        f"Against always asking the expert, {promise['max_quality_loss']:.1%} of quality is lost at most, with "
        f"{promise['confidence']:.0%} confidence, over questions like those that the threshold was derived from."
    )
