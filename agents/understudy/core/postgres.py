"""How a Postgres database is opened, and what of its URL may be shown: never a password."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from understudy.core.errors import MissingExtraError, SettingsError, WorkspaceError

__all__ = ["open_postgres", "postgres_errors", "postgres_url", "secret_url", "shown"]

DRIVER = "postgresql+psycopg"
SHOWABLE = ("host", "port")
"""Parameters of a URL that hold no secret."""


def secret_url(url: SecretStr | None, env: str | None, key: str) -> tuple[str, str] | None:
    """A URL that may hold a password, and where it was set; `None` where it wasn't. Raises `SettingsError`.

    Args:
        url: as the settings have it.
        env: name of the environment variable that holds it instead.
        key: of the URL in the settings; that of the variable's name ends in `_env`.
    """
    if url is not None and env is not None:
        raise SettingsError(f"{key} and {key}_env exclude each other; take one out")
    if url is not None:
        return url.get_secret_value(), key
    if env is None:
        return None
    if env not in os.environ:
        raise SettingsError(f"{key}_env: the environment variable {env} is not set")
    return os.environ[env], f"the environment variable {env}"


def postgres_url(text: str, where: str) -> URL:
    """A URL, which was set `where` it says. Raises `SettingsError`, which doesn't repeat it: it may hold a password."""
    wanted = f"{where} must be {DRIVER}://USER:PASSWORD@HOST/DATABASE, special characters of the password as %XX"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the cause would show parts of the URL
        raise SettingsError(wanted) from None
    # What follows a second "@" would be taken for the host, and shown.
    if url.drivername not in (DRIVER, "postgresql", "postgres") or text.count("@") > 1 or not url.database:
        raise SettingsError(wanted)
    return url.set(drivername=DRIVER)


def shown(url: URL) -> str:
    """A URL for people, without its password, wherever in it that stands."""
    query = {name: value for name, value in url.query.items() if name in SHOWABLE}
    return url.set(query=query).render_as_string(hide_password=True)


def open_postgres(url: URL, *, reads: bool = False) -> Engine:
    """An engine, whose connections are tried before they are used. Raises `MissingExtraError` without a driver.

    Args:
        url: of the database.
        reads: whether nothing may be written through it.
    """
    patience: dict[str, object] = {} if "connect_timeout" in url.query else {"connect_timeout": 10}
    if reads:
        patience["options"] = "-c default_transaction_read_only=on"
    try:
        # Statements hold people's documents: no error is to repeat them.
        return create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=patience)
    except ImportError as error:
        raise MissingExtraError("psycopg", "postgres") from error


@contextmanager
def postgres_errors(url: URL, table: str = "[examples]") -> Iterator[None]:
    """Errors of a database, and of what was read from it, as `WorkspaceError`; `table` is that of its settings."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        advice = f"see that the server runs, and that {table} in understudy.toml is right"
        raise WorkspaceError(f"the database {shown(url)} can't be reached ({line(error)}); {advice}") from error
    except SQLAlchemyError as error:
        advice = "see that its user may create, read and write tables there"
        raise WorkspaceError(f"the database {shown(url)} can't be used ({line(error)}); {advice}") from error
    except ValueError as error:
        raise WorkspaceError(
            f"the database {shown(url)} holds what can't be read ({line(error)}); a newer version may have written it: "
            "update this program"
        ) from error


def line(error: Exception) -> str:
    """What a driver says, on one line."""
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return said.splitlines()[0] if said else type(error).__name__
