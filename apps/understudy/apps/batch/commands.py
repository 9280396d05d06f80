"""`understudy batch` and `understudy jobs`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from typer.core import TyperGroup

from understudy.apps.command import Json, located, opened, print_json
from understudy.apps.lending import lending, lent
from understudy.core.errors import Stopped, UserError

if TYPE_CHECKING:
    from understudy.agents import Agent
    from understudy.apps.batch.schema import Loaded
    from understudy.core.jobs import Job, JobEngine, Query

__all__ = ["batch", "jobs"]

err = Console(stderr=True)
out = Console()
jobs = typer.Typer(help="Jobs that were begun by understudy batch.", no_args_is_help=True)
JobId = Annotated[str, typer.Argument(help="Its id, as understudy jobs list shows it.", metavar="JOB")]
Collection = Annotated[str, typer.Option(help="Whose documents.")]
EachDocument = Annotated[
    bool, typer.Option("--each-document", help="Ask every question of every document of the collection.")
]
AtOnce = Annotated[int | None, typer.Option(min=1, max=1000, help="Questions in progress at once.")]
Engine = Annotated[
    Literal["local", "ray"], typer.Option(help="Who drafts: this process, or the workers of a Ray cluster.")
]
Crowd = Annotated[int | None, typer.Option("--workers", min=1, help="Of --engine ray; else as the settings say.")]


class QuestionsFirst(TyperGroup):
    """`understudy batch QUESTIONS` is `understudy batch run QUESTIONS`: what is no command's name is what is asked."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in, where none is named."""
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["run", *args])


batch = typer.Typer(
    cls=QuestionsFirst,
    help="Answer a file's questions, or fill a schema from documents: understudy batch QUESTIONS --out FILE.",
)


@batch.command("run")
def run(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--out", help="Where results go: .parquet, .csv or .jsonl.", parser=located, metavar="FILE")
    ],
    questions: Annotated[
        Path | None, typer.Argument(help="A .csv, .jsonl or .parquet file.", parser=located, metavar="QUESTIONS")
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:CLASS",
            help="Instead of QUESTIONS: fill this pydantic model from every document. The Python file is run.",
        ),
    ] = None,
    collection: Collection = "default",
    each_document: EachDocument = False,
    budget: Annotated[float | None, typer.Option(min=0, help="Dollars that the job's experts may cost.")] = None,
    max_quality_loss: Annotated[
        float | None,
        typer.Option("--max-quality-loss", min=0, max=1, help="What the job may lose as a whole against an expert."),
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="With which that is promised; by default as the settings say.")
    ] = None,
    at_once: AtOnce = None,
    engine: Engine = "local",
    workers: Crowd = None,
    as_json: Json = False,
) -> None:
    """Answer a file's questions, or fill a schema from documents. The same command goes on with what was broken off."""
    from understudy.apps.batch.questions import read_questions
    from understudy.apps.batch.results import check_output
    from understudy.apps.batch.schema import load_schema

    if (questions is None) == (schema is None):
        given = "both were given" if schema is not None else "neither was given"
        raise UserError(f"name either a file of QUESTIONS or a --schema FILE:CLASS; {given}")
    queries = read_questions(questions) if questions is not None else []
    with owned(context) as agent:
        fills = None if schema is None else load_schema(schema)
        name = job_at(output, agent)
        known = agent.journal.find(name)
        check_output(output, "" if known is None else known.written)
        job = agent.begin_job(
            name,
            queries_over(agent, collection, queries, each_document, fills),
            collection=collection,
            output=str(output.absolute()),
            budget_usd=budget,
            max_quality_loss=max_quality_loss,
            confidence=confidence,
            extracts=None if fills is None else fills.source,
        )
        done = carried_out(agent, job, at_once, fills, engine, workers)
    report(done, as_json)


@batch.command("plan")
def plan(
    context: typer.Context,
    questions: Annotated[
        Path, typer.Argument(help="A .csv, .jsonl or .parquet file.", parser=located, metavar="QUESTIONS")
    ],
    collection: Collection = "default",
    each_document: EachDocument = False,
    sample: Annotated[int, typer.Option(min=2, help="Questions that are tried, drawn by chance.")] = 100,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    at_once: AtOnce = None,
    as_json: Json = False,
) -> None:
    """Say what a job would take, in time and dollars, by trying some of its questions; no expert is asked for it."""
    from understudy.apps.batch.present import show_plan
    from understudy.apps.batch.questions import read_questions

    queries = read_questions(questions)
    with opened(context) as agent:
        asked = queries_over(agent, collection, queries, each_document, None)
        found = agent.plan_job(asked, collection=collection, sample=sample, seed=seed, at_once=at_once)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        show_plan(out, found)


@jobs.command("list")
def list_jobs(context: typer.Context, as_json: Json = False) -> None:
    """All jobs, the one that changed last first."""
    from understudy.apps.batch.present import show_jobs

    with opened(context) as agent:
        found = agent.jobs()
    if as_json:
        print_json({"jobs": [job.model_dump(mode="json") for job in found]})
    else:
        show_jobs(out, found)


@jobs.command("show")
def show_job(context: typer.Context, job: JobId, as_json: Json = False) -> None:
    """One job: how far it is, what it cost, and what failed."""
    from understudy.apps.batch.present import failures_of, show_one

    with opened(context) as agent:
        found = agent.job(job)
        failures = failures_of(agent.job_results(job))
    if as_json:
        print_json(found.model_dump(mode="json") | {"failures": failures})
    else:
        show_one(out, found, failures)


@jobs.command("cancel")
def cancel_job(context: typer.Context, job: JobId) -> None:
    """Stop a job; what is answered is kept, and it can be gone on with."""
    with opened(context) as agent:
        found = agent.cancel_job(job)
    out.print(f"job {job} is cancelled, with {found.done} of {found.total} done", highlight=False, markup=False)


@jobs.command("resume")
def resume_job(
    context: typer.Context,
    job: JobId,
    at_once: AtOnce = None,
    engine: Engine = "local",
    workers: Crowd = None,
    as_json: Json = False,
) -> None:
    """Go on with a job that was broken off or cancelled, with the questions that it was begun with."""
    from understudy.apps.batch.results import check_output
    from understudy.apps.batch.schema import load_again

    with owned(context) as agent:
        held = agent.job(job)
        check_output(Path(held.output), held.written)
        fills = None if held.extracts is None else load_again(held.extracts)
        done = carried_out(agent, held, at_once, fills, engine, workers)
    report(done, as_json)


@contextmanager
def owned(context: typer.Context) -> Iterator[Agent]:
    """The agent; while it works, other commands on the workspace are run here."""
    with opened(context) as agent:
        if lent() is not None:
            yield agent
        else:
            with lending(agent):
                yield agent


def job_at(output: Path, agent: Agent) -> str:
    """The id of the job that writes there: the same for the same command."""
    return hashlib.sha256(f"{output.absolute()}\0{agent.principal.name}".encode()).hexdigest()[:10]


def queries_over(
    agent: Agent, collection: str, queries: Sequence[Query], each_document: bool, fills: Loaded | None
) -> Sequence[Query]:
    """What is to be asked: the questions as they are, or every one of every document, or a schema's."""
    from understudy.agents.extraction.schema import queries_of
    from understudy.apps.batch.questions import of_each

    if fills is None and not each_document:
        return queries
    documents = [document["id"] for document in agent.documents(collection)]
    return of_each(queries, documents) if fills is None else queries_of(fills.extraction.fields, documents)


def carried_out(
    agent: Agent, job: Job, at_once: int | None, fills: Loaded | None, engine: JobEngine, workers: int | None
) -> Job:
    """Ask what is left of a job, and write its results with a report beside them. Raises `Stopped`."""
    from understudy.apps.batch.columns import Answers
    from understudy.apps.batch.present import guaranteed
    from understudy.apps.batch.records import Records
    from understudy.apps.batch.report import write_report
    from understudy.apps.batch.results import check_output, write_results
    from understudy.apps.batch.running import showing

    if job.guarantee is not None and job.guarantee.why:
        err.print(f"job {job.id}: {guaranteed(job.guarantee)}", highlight=False, markup=False, soft_wrap=True)
    if job.done:
        err.print(f"job {job.id}: {job.done} of {job.total} are known already", highlight=False, markup=False)
    with showing(job, err) as (tally, note):
        try:
            done = agent.run_job(job.id, at_once=at_once, on_row=note, engine=engine, workers=workers)
        except Stopped as error:
            left = agent.job(job.id)
            raise Stopped(
                f"job {job.id} was stopped with {left.done} of {left.total} done; "
                f"understudy jobs resume {job.id} goes on"
            ) from error
    output = Path(done.output)
    check_output(output, done.written)  # hours may have passed
    layout = Answers() if fills is None else Records(fills.extraction)
    write_results(output, agent.job_results(job.id), partial(agent.journal.writes, job.id), layout)
    fates = layout.counts(agent.job_results(job.id))
    write_report(output, done, tally, agent.job_results(job.id), agent.promise(), fates)
    return agent.job(job.id)


def report(job: Job, as_json: bool) -> None:
    """What became of a job."""
    from understudy.apps.batch.present import show_one

    if as_json:
        print_json(job.model_dump(mode="json"))
    else:
        show_one(out, job, [])
        out.print(f"results in {job.output}", highlight=False, markup=False, soft_wrap=True)
