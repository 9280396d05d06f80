"""The command line. Errors become one line and an exit code here, and nowhere else."""

from __future__ import annotations

import asyncio
import importlib.metadata
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from understudy.apps.approvals import approvals
from understudy.apps.auditing import audit
from understudy.apps.batch.commands import batch, jobs
from understudy.apps.command import Json, located, opened, print_json
from understudy.apps.exporting import examples
from understudy.apps.key_commands import keys
from understudy.apps.mcp.command import mcp
from understudy.apps.serving import chat, serve
from understudy.core.errors import UnderstudyError, UserError

if TYPE_CHECKING:
    from understudy.agents import Agent
    from understudy.core.types import Answer

app = typer.Typer(
    help="Answers questions from private documents with a small local model; asks a large one when it must.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
starter = typer.Typer(help="The model that ships with Understudy.", no_args_is_help=True)
app.add_typer(starter, name="starter")
app.add_typer(examples, name="examples")
adapters = typer.Typer(help="What was learned, by version.", no_args_is_help=True)
app.add_typer(adapters, name="adapters")
app.add_typer(audit, name="audit")
documents = typer.Typer(help="What was ingested.", no_args_is_help=True)
app.add_typer(documents, name="documents")
app.add_typer(approvals, name="approvals")
app.add_typer(batch, name="batch")
app.add_typer(jobs, name="jobs")
app.command("mcp")(mcp)
app.command()(serve)
app.command()(chat)
app.add_typer(keys, name="keys")
err = Console(stderr=True)
out = Console()

Collection = Annotated[str, typer.Option(help="Whose documents.")]


def print_version(wanted: bool) -> None:
    """The installed version, and nothing else."""
    if wanted:
        out.print(f"understudy {importlib.metadata.version('understudy')}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    workspace: Annotated[
        Path, typer.Option(envvar="UNDERSTUDY_WORKSPACE", help="The folder that holds everything.")
    ] = Path(".understudy"),
    principal: Annotated[str, typer.Option(help="Who asks.")] = "owner",
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that every command shares."""
    context.obj = {"workspace": workspace, "principal": principal}


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option(help="Use this workspace, and keep it.")] = None,
) -> None:
    """Show the whole story on sample documents, in a temporary workspace."""
    from understudy.apps.demo import run_demo

    run_demo(out, keep=keep)


@app.command()
def ingest(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Folders and files.", parser=located, metavar="PATH...")],
    collection: Collection = "default",
    sensitivity: Annotated[str | None, typer.Option(help="open, redacted (default) or local.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Take out documents whose file is gone.")] = False,
    as_json: Json = False,
) -> None:
    """Bring a collection up to date with files and folders."""
    from dataclasses import asdict

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from understudy.apps.present import show_ingest

    if sensitivity not in (None, "open", "redacted", "local"):
        raise UserError(f"--sensitivity {sensitivity!r} is none of open, redacted, local")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        opened(context) as agent,
        Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress,
    ):
        task = progress.add_task("reading", total=None)

        def on_progress(done: int, total: int, passages: int) -> None:
            seconds = progress.tasks[task].elapsed or 1.0
            progress.update(task, completed=done, total=total, description=f"{passages / seconds:.0f} passages/s")

        report = agent.ingest(
            paths, collection=collection, sensitivity=sensitivity, prune=prune, on_progress=on_progress
        )
    if as_json:
        print_json(asdict(report))
    else:
        show_ingest(out, report)
    if report.failed and not (report.added or report.updated or report.unchanged):
        raise typer.Exit(2)


@app.command()
def ask(
    context: typer.Context,
    question: str,
    collection: Collection = "default",
    document: Annotated[str | None, typer.Option(help="Only this document.")] = None,
    thread: Annotated[str | None, typer.Option(help="An earlier answer's thread, to follow up on it.")] = None,
    as_json: Json = False,
) -> None:
    """Answer a question."""
    from understudy.apps.present import answer_panel

    with opened(context) as agent:
        answer = asyncio.run(show_steps(agent, question, collection, document, thread))
    if as_json:
        print_json(answer.model_dump(mode="json"))
    else:
        out.print(answer_panel(answer))
        out.print(f"[dim]follow up with --thread {answer.thread}[/]", highlight=False)
        if answer.approval is not None:
            out.print(f"see what would leave: understudy approvals show {answer.approval}", highlight=False)


async def show_steps(agent: Agent, question: str, collection: str, document: str | None, thread: str | None) -> Answer:
    """Ask, with every step on stderr as it is taken."""
    async for event in agent.astream(question, collection=collection, document=document, thread=thread):
        if event.step is not None:
            shown = {k: v for k, v in (event.step.model_extra or {}).items() if k != "seconds"}
            err.print(f"· {event.step.kind} {shown or ''}", style="dim", highlight=False, markup=False)
        if event.kind == "answer":
            answer: Answer = event.answer
    return answer


@documents.command("list")
def list_documents(
    context: typer.Context,
    collection: Annotated[str | None, typer.Option(help="Only this collection's.")] = None,
    as_json: Json = False,
) -> None:
    """The ids of documents, as --document takes them."""
    from understudy.apps.present import show_documents

    with opened(context) as agent:
        found = agent.documents(collection)
    if as_json:
        print_json({"documents": found})
    else:
        show_documents(out, found)


@app.command()
def status(context: typer.Context, as_json: Json = False) -> None:
    """Show the workspace: model, collections, experts and their answers, the promise, what was learned and spent."""
    from understudy.apps.present import show_status

    with opened(context) as agent:
        found = agent.status()
    if as_json:
        print_json(found)
    else:
        show_status(out, found)


@app.command()
def calibrate(
    context: typer.Context,
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw the reliability diagram into this file.", parser=located, metavar="FILE"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Derive the threshold anew, and show how far the confidence can be believed."""
    from understudy.apps.present import show_calibration

    with opened(context) as agent:
        found = agent.calibrate()
    if picture is not None:
        from understudy.apps.picture import draw_reliability

        draw_reliability(found, picture)
    if as_json:
        print_json(found.model_dump(mode="json", exclude={"derivation": {"calibrator"}}))
    else:
        show_calibration(out, found)


@app.command()
def refine(
    context: typer.Context,
    domain: Annotated[str | None, typer.Option(help="Only this one; all by default.")] = None,
    when_due: Annotated[bool, typer.Option("--when-due", help="Only if refine.every new examples have come.")] = False,
    as_json: Json = False,
) -> None:
    """Learn from experts' answers; what is trained goes live only if it proves better. A killed run goes on."""
    from understudy.apps.present import show_refinement

    with opened(context) as agent:
        if when_due and agent.settings.refine.every is None:
            raise UserError("--when-due needs refine.every in understudy.toml: after how many new examples to refine")
        found = agent.refine(domain, when_due=when_due)
    if as_json:
        print_json({"refinements": found})
    else:
        show_refinement(out, found)


@app.command()
def erase(
    context: typer.Context,
    document: Annotated[str, typer.Argument(help="Its id, or the path that it was ingested from.")],
    collection: Collection = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a document with all that rests on it: answers, examples, threads, and adapters trained on it."""
    from understudy.apps.present import show_erasure

    with opened(context) as agent:
        found = agent.erase(document, collection=collection, dry_run=dry_run)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        show_erasure(out, found)


Domain = Annotated[str, typer.Argument(help="The domain, such as a collection's name.")]
Label = Annotated[str | None, typer.Option(help="Access label, where the domain has several.")]


@adapters.command("list")
def list_adapters(context: typer.Context, as_json: Json = False) -> None:
    """All versions, those turned down too."""
    from understudy.apps.present import show_adapters

    with opened(context) as agent:
        found = agent.adapters()
    if as_json:
        print_json({"adapters": found})
    else:
        show_adapters(out, found)


@adapters.command("show")
def show_adapter(
    context: typer.Context,
    domain: Domain,
    version: Annotated[str, typer.Argument(help="Such as v2.")],
    label: Label = None,
) -> None:
    """The card of one version: what it was made from, and what the gate found."""
    with opened(context) as agent:
        print_json(agent.adapter(domain, version, label=label).model_dump(mode="json"))


@adapters.command("promote")
def promote_adapter(
    context: typer.Context,
    domain: Domain,
    version: Annotated[str, typer.Argument(help="Such as v2.")],
    label: Label = None,
    force: Annotated[bool, typer.Option("--force", help="Although the gate turned it down.")] = False,
) -> None:
    """Put a version in force."""
    with opened(context) as agent:
        agent.promote(domain, version, label=label, force=force)
    out.print(f"{version} of {domain} is live", highlight=False, markup=False)


@adapters.command("rollback")
def rollback_adapter(context: typer.Context, domain: Domain, label: Label = None) -> None:
    """Go back to the version before the live one."""
    with opened(context) as agent:
        version = agent.rollback(domain, label=label)
    out.print(f"{version or 'the model without an adapter'} is live for {domain}", highlight=False, markup=False)


@app.command()
def bench(
    suite: Annotated[
        str,
        typer.Argument(
            help="retrieval, reader, agent, starter, health, steps, deferral, cache, learn-cuad, learn-tatqa, "
            "shuffled, memory, memory-gpu, swap, serve, cluster, soak, access, egress, redaction, sensitivity, "
            "attacks, audit, ingest, batch, startup or code"
        ),
    ],
    data: Annotated[Path, typer.Option(help="A folder of data sets.")] = Path("../shared/data"),
    results: Annotated[Path, typer.Option("--out", help="Where result files go.")] = Path("docs/results"),
    limit: Annotated[int | None, typer.Option(help="Questions of each set at most.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sample of questions.")] = 17,
    compare: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH of a GGUF that suite starter measures too; repeatable.")
    ] = None,
) -> None:
    """Measure, and write a dated result file."""
    from understudy.apps.bench import run

    print_json(run(suite, data, results, limit, seed, compare or ()))


@starter.command("train")
def train(
    model: Annotated[str, typer.Argument(help="reader or planner")],
    data: Annotated[Path, typer.Option(help="A folder of data sets.")] = Path("../shared/data"),
    results: Annotated[Path, typer.Option("--out", help="Where weights and checkpoints go.")] = Path("build/starter"),
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, instead of the recipe's.")] = None,
    device: Annotated[str, typer.Option(help="Where torch computes, such as cuda.")] = "cpu",
) -> None:
    """Train the reader or the planner; a run that was killed goes on from its checkpoint."""
    changed: dict[str, Any] = {} if steps is None else {"steps": steps}
    if model == "reader":
        from understudy.apps.starter.train_reader import ReaderRecipe, train_reader

        train_reader(data, results, ReaderRecipe(**changed), device)
    elif model == "planner":
        from understudy.apps.starter.train_planner import PlannerRecipe, train_planner

        train_planner(data, results, PlannerRecipe(**changed), device)
    else:
        raise UserError(f"there is no model {model!r} to train; name reader or planner")


def run(command: list[str]) -> int:
    """Run a command: 0 done, 1 it failed, 2 the input or the configuration is wrong, 130 stopped by Ctrl-C."""
    try:
        app(args=command)
    except UserError as error:
        typer.echo(f"understudy: {error}", err=True)
        return 2
    except UnderstudyError as error:
        typer.echo(f"understudy: {error}", err=True)
        return 1
    except SystemExit as stop:  # Typer turns Ctrl-C into this exit code, and says nothing
        if stop.code == 130:
            typer.echo("understudy: stopped; what was finished is kept", err=True)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def main() -> None:
    """Run the command that was typed, and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
