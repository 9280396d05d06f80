"""Run the server until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from understudy.apps.server.served import Served
from understudy.core.errors import SettingsError
from understudy.core.settings import ServerSettings

__all__ = ["Serving", "listen", "run"]

GRACE_S = 5
"""For answers in flight to say that they were stopped."""


class Serving(uvicorn.Server):
    """Uvicorn, which on its way down stops answers in flight before it waits for them."""

    def __init__(self, app: FastAPI) -> None:
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_S
        )
        super().__init__(config)
        self._served: Served = app.state.served
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        self.stop()
        super().handle_exit(sig, frame)

    def stop(self) -> None:
        """Stop, from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._served.stopping.set)
        self.should_exit = True


def listen(settings: ServerSettings) -> socket.socket:
    """A socket at the address of the settings. Raises `SettingsError`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        where = f"{settings.host}, port {settings.port}"
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(f"can't listen at {where}: {reason}; give another by --host and --port") from error


def run(app: FastAPI, listening: socket.socket, on_ready: Callable[[str], None]) -> None:
    """Serve at a socket until a signal comes; `on_ready` is told the address once it can be reached.

    SIGTERM ends it like any command that is done; Ctrl-C raises `KeyboardInterrupt`, as ever.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal anew once it is down
    server = Serving(app)
    host, port = listening.getsockname()[:2]
    # The socket takes connections already; uvicorn answers them in a moment.
    on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    server.run(sockets=[listening])
