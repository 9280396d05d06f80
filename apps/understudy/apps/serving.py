"""`understudy serve` and `understudy chat`: the API for programs, and the page for people."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from understudy.apps.command import opened
from understudy.apps.lending import lending
from understudy.core.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["chat", "serve"]

told = Console(stderr=True)
Host = Annotated[str | None, typer.Option(help="The address to listen at; `server.host` by default.")]
Port = Annotated[int | None, typer.Option(help="`server.port` by default; 0 takes any that is free.", min=0, max=65535)]


def serve(context: typer.Context, host: Host = None, port: Port = None) -> None:
    """Serve the chat page, the OpenAI API, and Understudy's own, until Ctrl-C."""
    serving(context, host, port, lambda url: None)


def chat(context: typer.Context, host: Host = None, port: Port = None) -> None:
    """`serve`, and open the chat page in a browser."""

    def shown(url: str) -> None:
        if not webbrowser.open(url):
            told.print(f"No browser could be started here; open {url} in one", highlight=False)

    serving(context, host, port, shown)


def serving(context: typer.Context, host: str | None, port: int | None, on_ready: Callable[[str], None]) -> None:
    """Serve a workspace, and tell where."""
    try:
        from understudy.apps.server.app import build_app
        from understudy.apps.server.auth import is_loopback
        from understudy.apps.server.run import listen, run
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "chat") from error
    with opened(context, own=True) as agent, lending(agent):
        given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
        settings = agent.settings.server.model_copy(update=given)
        app = build_app(agent, settings, chat_page=True)
        if not is_loopback(settings.host) and not app.state.served.keys.any_good():
            raise SettingsError(
                f"{settings.host} can be reached from elsewhere, and there is no API key yet; make one with: "
                "understudy keys create, or listen at 127.0.0.1"
            )

        def ready(url: str) -> None:
            told.print(f"Understudy: the page is at {url}, the API at {url}/v1 · Ctrl-C stops it", highlight=False)
            on_ready(url)

        with listen(settings) as listening:
            run(app, listening, ready)
