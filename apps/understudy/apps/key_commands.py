"""`understudy keys`: who may use the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from understudy.apps.command import Json, print_json

if TYPE_CHECKING:
    from understudy.apps.server.keys import Key, Keys
    from understudy.core.workspace import Workspace

__all__ = ["keys"]

keys = typer.Typer(help="API keys of the server; they can be made and revoked while it runs.", no_args_is_help=True)
out, told = Console(), Console(stderr=True)


@keys.command("create")
def create_key(
    context: typer.Context,
    principal: Annotated[str | None, typer.Option(help="For whom it stands; who asks by default.")] = None,
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    expires: Annotated[float | None, typer.Option(help="Days after which it opens nothing any more.", min=0)] = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown this once."""
    from understudy.core.access import Access
    from understudy.core.settings import Settings
    from understudy.core.workspace import Workspace

    workspace = Workspace.open(context.obj["workspace"])
    named = Access.of(Settings.load(workspace.settings)).principal(principal or context.obj["principal"]).name
    key, secret = keys_of(workspace).create(named, name, expires)
    if as_json:
        print_json(key.model_dump() | {"key": secret})
        return
    typer.echo(secret)
    told.print(f"key {key.id} stands for {escape(named)}; it can't be shown again", highlight=False)


@keys.command("list")
def list_keys(context: typer.Context, as_json: Json = False) -> None:
    """All keys, without their secrets."""
    from understudy.core.workspace import Workspace

    held = keys_of(Workspace.existing(context.obj["workspace"]))
    found = held.listing()
    if as_json:
        print_json({"keys": [key.model_dump() for key in found]})
    else:
        show_keys(held, found)


@keys.command("revoke")
def revoke_key(
    context: typer.Context, key: Annotated[str, typer.Argument(help="Its id, as `keys list` shows it.")]
) -> None:
    """Let a key open nothing any more, and end its sessions."""
    from understudy.core.workspace import Workspace

    revoked = keys_of(Workspace.existing(context.obj["workspace"])).revoke(key)
    out.print(f"key {revoked.id} of {revoked.principal} is revoked", highlight=False, markup=False)


def keys_of(workspace: Workspace) -> Keys:
    """The keys of a workspace, which a server may be using at the same time."""
    from understudy.apps.server.database import open_database
    from understudy.apps.server.keys import Keys

    return Keys(open_database(workspace.server))


def show_keys(held: Keys, found: list[Key]) -> None:
    """Keys as a table."""
    table = Table("id", "principal", "name", "made", "expires", "opens")
    for key in found:
        opens = "yes" if held.good(key) else "no: revoked" if key.revoked else "no: expired"
        table.add_row(
            key.id, escape(key.principal), escape(key.name), key.created[:10], (key.expires or "never")[:10], opens
        )
    out.print(table if found else "there are no keys; until one is made, the server needs none on this machine")
