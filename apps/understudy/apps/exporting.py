"""`understudy examples`: what experts have taught, for training elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from understudy.apps.command import located, opened
from understudy.core.errors import UserError

__all__ = ["examples"]

examples = typer.Typer(help="What experts have taught.", no_args_is_help=True)
err = Console(stderr=True)


@examples.command("export")
def export_examples(
    context: typer.Context,
    to: Annotated[
        Path | None, typer.Option("--out", help="A file, instead of stdout.", parser=located, metavar="FILE")
    ] = None,
    collection: Annotated[str | None, typer.Option(help="Only this collection's.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those kept for testing, and rejected ones with the reason.")
    ] = False,
) -> None:
    """Write examples as JSONL that TRL and datasets read: prompt, completion, and where they come from."""
    from collections import Counter

    from understudy.core.workspace import write_atomically
    from understudy.distillation.export import to_jsonl

    with opened(context) as agent:
        found = [row for row in agent.examples() if collection in (None, row["collection"])]
    kept = [row for row in found if everything or (row["completion"] and row["role"] == "train")]
    text = to_jsonl(kept)
    if to is None:
        typer.echo(text, nl=False)
    else:
        try:
            write_atomically(to, text)
        except OSError as error:
            raise UserError(f"{to} can't be written: {error.strerror}") from error
    err.print(f"{len(kept)} of {len(found)} examples written", highlight=False)
    for reason, count in Counter(row["rejected"] for row in found if row["rejected"]).most_common():
        err.print(f"{count} can't be trained on: {reason}", highlight=False, markup=False)
