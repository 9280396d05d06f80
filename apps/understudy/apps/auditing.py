"""`understudy audit`: read, check and export the audit log. No model is loaded for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from understudy.apps.command import Json, borrowed, located
from understudy.core.errors import UserError

if TYPE_CHECKING:
    from understudy.privacy.audit.log import SqliteAuditLog
    from understudy.privacy.audit.reading import Selection
    from understudy.privacy.audit.verify import Anchor, Verification

__all__ = ["audit"]

audit = typer.Typer(help="What left, what was refused, what was decided.", no_args_is_help=True)
out = Console()
err = Console(stderr=True)

Since = Annotated[str | None, typer.Option(help="From this day or time on (UTC), such as 2026-11-28.")]
Until = Annotated[str | None, typer.Option(help="Up to this day, included, or time.")]
Thread = Annotated[str | None, typer.Option(help="Only this thread's.")]
Expert = Annotated[str | None, typer.Option(help="Only what went to this expert.")]
Kind = Annotated[str | None, typer.Option(help="egress, result, refusal, approval, erasure or interruption.")]
Whose = Annotated[str | None, typer.Option("--by", help="Only this principal's.")]
Collection = Annotated[str | None, typer.Option(help="Only this collection's.")]
Document = Annotated[str | None, typer.Option(help="Only what held text of this document of --collection.")]
KINDS = ("egress", "result", "refusal", "approval", "erasure", "interruption")


@audit.command("list")
def list_records(
    context: typer.Context,
    since: Since = None,
    until: Until = None,
    thread: Thread = None,
    expert: Expert = None,
    kind: Kind = None,
    by: Whose = None,
    collection: Collection = None,
    document: Document = None,
    as_json: Json = False,
) -> None:
    """Show the records, oldest first."""
    wanted = selection(since, until, kind, by, thread, expert, collection, document)
    with opened(context) as log:
        found, checks = log.records(wanted), log.verify()
    if as_json:
        typer.echo(json.dumps({"records": found, "verified": checks.ok}))
    else:
        show_records(found)
    if not checks.ok:
        err.print("the log isn't as it was written; run: understudy audit verify", style="red", highlight=False)


@audit.command("verify")
def verify_log(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Option(help="Check this export instead.", parser=located, metavar="FILE")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="The key's file, for an export; the workspace's by default.", parser=located, metavar="FILE"),
    ] = None,
    anchor: Annotated[str | None, typer.Option(help="NUMBER:CODE that an earlier check printed as the head.")] = None,
    as_json: Json = False,
) -> None:
    """Find every record that was changed, removed, inserted, moved or cut off; exit code 1 if there is any."""
    from understudy.privacy.audit.reading import verify_export

    noted = None if anchor is None else anchor_of(anchor)
    if key is not None and file is None:
        raise UserError("--key is for an export; name it by --file")
    if file is not None and key is not None:
        found = verify_export(file, key, noted)
    else:
        with opened(context) as log:
            found = log.verify(noted) if file is None else verify_export(file, log.files.key, noted)
    if as_json:
        typer.echo(json.dumps({"ok": found.ok, **found.model_dump()}))
    else:
        show_verification(found)
    if not found.ok:
        raise typer.Exit(1)


@audit.command("export")
def export_records(
    context: typer.Context,
    to: Annotated[
        Path | None, typer.Option("--out", help="A file, instead of stdout.", parser=located, metavar="FILE")
    ] = None,
    since: Since = None,
    until: Until = None,
    thread: Thread = None,
    expert: Expert = None,
    kind: Kind = None,
    by: Whose = None,
    collection: Collection = None,
    document: Document = None,
) -> None:
    """Write records as JSON Lines that can be verified elsewhere with the key; all of them end with the head."""
    from understudy.core.workspace import write_atomically

    wanted = selection(since, until, kind, by, thread, expert, collection, document)
    with opened(context) as log:
        text = "".join(f"{line}\n" for line in log.export(wanted))
    if to is None:
        typer.echo(text, nl=False)
        return
    try:
        write_atomically(to, text)
    except OSError as error:
        raise UserError(f"{to} can't be written: {error.strerror}") from error


@contextmanager
def opened(context: typer.Context) -> Iterator[SqliteAuditLog]:
    """The log of the workspace that was named, which is owned meanwhile.

    It holds everybody's records. Raises `AccessError` for who may not read everything.
    """
    from understudy.core.access import Access
    from understudy.core.settings import Settings
    from understudy.core.workspace import Workspace
    from understudy.privacy.audit.files import AuditFiles
    from understudy.privacy.audit.log import SqliteAuditLog

    agent = borrowed(context)
    if agent is not None:
        agent.principal.administers("read the audit log")
        yield agent.audit
        return
    workspace = Workspace.existing(context.obj["workspace"])
    with workspace.owned():
        settings = Settings.load(workspace.settings)
        Access.of(settings).principal(context.obj["principal"]).administers("read the audit log")
        log = SqliteAuditLog(AuditFiles.of(workspace, settings.audit))
        try:
            yield log
        finally:
            log.close()


def selection(
    since: str | None,
    until: str | None,
    kind: str | None,
    by: str | None,
    thread: str | None,
    expert: str | None,
    collection: str | None,
    document: str | None,
) -> Selection:
    """The options as a selection. Raises `UserError`."""
    from understudy.privacy.audit.reading import Selection, moment

    if kind is not None and kind not in KINDS:
        raise UserError(f"--kind {kind!r} is none of {', '.join(KINDS)}")
    if document is not None and collection is None:
        raise UserError("--document needs --collection: ids are a collection's own")
    return Selection(
        since=None if since is None else moment(since),
        until=None if until is None else moment(until, end=True),
        kind=kind,
        principal=by,
        thread=thread,
        expert=expert,
        collection=collection,
        document=document,
    )


def anchor_of(text: str) -> Anchor:
    """A head as a person noted it. Raises `UserError`."""
    from understudy.privacy.audit.verify import Anchor

    number, _, code = text.partition(":")
    if not number.isdecimal() or len(code) != 64:
        raise UserError(f"--anchor {text!r} is no NUMBER:CODE as `understudy audit verify` prints it")
    return Anchor(int(number), code.lower())


def show_records(records: list[dict[str, Any]]) -> None:
    """A line for each record."""
    table = Table(
        "no.",
        Column("time", no_wrap=True, min_width=19),
        "what",
        "who",
        "thread",
        "expert",
        "details",
        box=None,
        pad_edge=False,
    )
    for record in records:
        who = record.get("by") or record.get("principal") or ""
        cells = (record["number"], record["time"][:19], record["kind"], who, record.get("thread", ""))
        tool = "tool " if record.get("receiver") == "tool" else ""
        table.add_row(*map(str, cells), tool + record.get("expert", ""), details(record))
    out.print(table if records else "nothing has been recorded", highlight=False, markup=False)


def details(record: dict[str, Any]) -> str:
    """What is particular to a kind of record."""
    match record["kind"]:
        case "egress":
            replaced = ", ".join(f"{n} {kind}" for kind, n in sorted(record["replaced"].items())) or "nothing"
            by = ", written by a person" if record.get("edited") else ""
            most = "cost unknown" if record["worst"] is None else f"at most ${record['worst']['usd']:.5f}"
            size = f"{record['bytes']} bytes{by} to {record['host']}, {record['policy'] or 'no'} policy"
            return f"{size}, {replaced} replaced, {most}, sha256 {record['sha256'][:12]}"
        case "result":
            spent = record["spent"]
            cost = "cost unknown" if spent is None else f"${spent['usd']:.5f}"
            tries = f" in {record['attempts']} attempts" if record.get("attempts", 1) > 1 else ""
            error = f" {record['error']}" if record["error"] else ""
            return f"of {record['of']}: {record['status']}{error}{tries}, {cost}"
        case "refusal":
            policy = f" ({record['policy']})" if record["policy"] else ""
            return f"{record['rule']}{policy}, sha256 {record['sha256'][:12]}"
        case "approval":
            return f"{record['decision']} for {record['principal']}, sha256 {record['sha256'][:12]}"
        case "erasure":
            gone = ", ".join(f"{n} {what}" for what, n in record["gone"].items())
            return f"document {record['document'][:12]} of {record['collection']}: {gone}"
        case _:
            return f"of the write before; that record was {'stored' if record['stored'] else 'never stored'}"


def show_verification(found: Verification) -> None:
    """What a check found, for people."""
    for finding in found.findings:
        out.print(f"{finding.kind}: {finding.what}", style="red", highlight=False, markup=False, soft_wrap=True)
    missing = "" if found.complete else "; whether any is missing can't be told from a selection or without its head"
    wrong = "" if found.ok else f"; {len(found.findings)} things are not as they were written"
    out.print(f"{found.records} records are genuine{wrong}{missing}", highlight=False, markup=False, soft_wrap=True)
    if found.head is not None:
        out.print(f"head {found.head}", highlight=False, markup=False, soft_wrap=True)
