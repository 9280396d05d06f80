"""`understudy approvals`: what waits for a person, and what they say to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Column, Table

from understudy.apps.command import Json, located, opened, print_json, typed_in
from understudy.core.errors import UserError

if TYPE_CHECKING:
    from understudy.core.types import Answer

__all__ = ["approvals"]

approvals = typer.Typer(help="What waits for a person before it leaves.", no_args_is_help=True)
out, told = Console(), Console(stderr=True)
Id = Annotated[str, typer.Argument(help="Of the request, as the waiting answer and `list` name it.")]


@approvals.command("list")
def list_requests(context: typer.Context, as_json: Json = False) -> None:
    """Every request that waits."""
    with opened(context) as agent:
        found = agent.approvals()
    if as_json:
        print_json({"approvals": found})
    else:
        show_list(out, found)


@approvals.command("show")
def show_request(context: typer.Context, request: Id, as_json: Json = False) -> None:
    """One request, with the exact text that would leave."""
    with opened(context) as agent:
        found = agent.approval(request)
    if as_json:
        print_json(found)
    else:
        show_payload(out, found)


@approvals.command("approve")
def approve(context: typer.Context, request: Id, as_json: Json = False) -> None:
    """Send what `show` shows, once, and answer the question."""
    with opened(context) as agent:
        tell(agent.approve(request), as_json)


@approvals.command("edit")
def edit(
    context: typer.Context,
    request: Id,
    text: Annotated[str, typer.Argument(help="A file with the message to send in its place; - for stdin.")],
    as_json: Json = False,
) -> None:
    """Send another message; it passes the guard again."""
    with opened(context) as agent:
        answer = agent.edit(request, read(text))
    tell(answer, as_json)
    if answer.status == "waiting":
        told.print(f"the guard changed the message, so it was not sent; it waits again as {answer.approval}")


@approvals.command("refuse")
def refuse(
    context: typer.Context,
    request: Id,
    reason: Annotated[str, typer.Option(help="Said in the answer.")] = "",
    as_json: Json = False,
) -> None:
    """Let nothing leave; the question is answered locally."""
    with opened(context) as agent:
        tell(agent.refuse(request, reason), as_json)


def read(path: str) -> str:
    """A message that a person wrote. Raises `UserError`."""
    try:
        text = typed_in() if path == "-" else located(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text") from error
    if not text.strip():
        raise UserError(f"{path} is empty; understudy approvals refuse lets nothing leave")
    return text.removesuffix("\n")


def tell(answer: Answer, as_json: bool) -> None:
    """The answer that the question got by the decision."""
    from understudy.apps.present import answer_panel

    if as_json:
        print_json(answer.model_dump(mode="json"))
    else:
        out.print(answer_panel(answer))


def show_list(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """Requests as a table."""
    if not found:
        console.print("nothing waits for approval")
        return
    table = Table(
        Column("request", no_wrap=True, min_width=12), "question", "collection", "to", "gets", "bytes", "asked by", ""
    )
    for one in found:
        state = "was being sent when the process ended; may have left" if one["may_have_left"] else ""
        row = [one[key] for key in ("id", "question", "collection", "expert", "allows", "bytes", "principal")]
        table.add_row(*(escape(str(cell)) for cell in row), state)
    console.print(table)


def show_payload(console: Console, found: Mapping[str, Any]) -> None:
    """A request with every character that would leave."""
    payload = found["payload"]
    console.print(f"To expert {found['expert']}, for: {found['question']}", highlight=False, markup=False)
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(payload["replaced"].items()))
    console.print(f"Replaced: {counts or 'nothing'} · sha256 {found['sha256']}", highlight=False, markup=False)
    for role in ("system", "user"):
        console.print(Panel(escape(payload[role]), title=role, title_align="left"), highlight=False)
