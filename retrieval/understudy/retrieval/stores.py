"""Where documents and vectors lie: in the workspace's own files, or on servers that several machines read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import chromadb
import httpx
from chromadb.errors import ChromaError
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from understudy.core.cluster_settings import StoresSettings
from understudy.core.errors import WorkspaceError
from understudy.core.postgres import open_postgres, postgres_errors, postgres_url, secret_url
from understudy.core.sqlite import open_sqlite, read_sqlite
from understudy.core.workspace import Workspace
from understudy.retrieval.index_files import blank_unused, client_of, open_index, quiet, tidy_index

__all__ = ["CopiedIndex", "Index", "OwnIndex", "Rows", "ServedIndex", "rows_of", "stores_of"]


class Index(Protocol):
    """Where vectors are."""

    prefix: str
    """Of the names of collections: others' may lie beside them."""

    def client(self) -> Any:
        """What speaks to Chroma. Raises its errors."""
        ...

    def written(self) -> None:
        """Vectors were written, and nobody writes any more just now."""
        ...

    def tidied(self) -> None:
        """A collection was taken out: leave nothing of it. Whoever held the client asks for another."""
        ...

    def close(self) -> None:
        """Let go of it; twice does no harm."""
        ...


class OwnIndex:
    """The workspace's own folder, which one process may have open.

    Args:
        folder: where it lies.
    """

    prefix = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._client: Any = None

    def client(self) -> Any:
        """What speaks to Chroma."""
        if self._client is None:
            self._client = open_index(self._folder)
        return self._client

    def written(self) -> None:
        """Blank what Chroma has set aside."""
        blank_unused(self._folder)

    def tidied(self) -> None:
        """Clean Chroma's files of it."""
        self._client.close()
        self._client = None
        tidy_index(self._folder)

    def close(self) -> None:
        """Close it."""
        if self._client is not None:
            self._client.close()
            self._client = None
            blank_unused(self._folder)


class CopiedIndex:
    """A copy of that folder, which many processes may read.

    Args:
        folder: where it lies.
    """

    prefix = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def client(self) -> Any:
        """What speaks to Chroma."""
        return client_of(self._folder)

    def written(self) -> None:
        """Nothing is written."""

    def tidied(self) -> None:
        """Nothing is taken out."""

    def close(self) -> None:
        """The process keeps it to its end."""


class ServedIndex:
    """A Chroma server; what it keeps of what was deleted is its owner's to clean.

    Args:
        url: of the server.
        workspace: whose vectors these are.
    """

    def __init__(self, url: str, workspace: str) -> None:
        self._url = urlsplit(url)
        self.prefix = f"{workspace}\0"

    def client(self) -> Any:
        """What speaks to the server."""
        host, secure = self._url.hostname or "", self._url.scheme == "https"
        port = self._url.port or (443 if secure else 80)
        return chromadb.HttpClient(host=host, port=port, ssl=secure, settings=quiet())

    def written(self) -> None:
        """The server's own files."""

    def tidied(self) -> None:
        """The server's own files."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Rows:
    """Where texts and passages are.

    Args:
        engine: to the database.
        errors: gives a context in which its errors become `WorkspaceError`.
        reads: whether nothing is written there.
        schema: of a server's database that is the workspace's own.
    """

    engine: Engine
    errors: Callable[[], AbstractContextManager[None]]
    reads: bool = False
    schema: str | None = None

    def set_up(self) -> None:
        """Make room for tables."""
        if self.schema is not None:
            with self.engine.begin() as db:
                db.execute(text(f"CREATE SCHEMA IF NOT EXISTS {self.schema}"))

    def scrub(self, *tables: str) -> None:
        """Leave no byte of what was deleted in a server's tables; the workspace's own file is scrubbed with it."""
        if self.schema is not None:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
                for table in tables:
                    db.execute(text(f"VACUUM (FULL) {self.schema}.{table}"))


def stores_of(settings: StoresSettings, workspace: Workspace) -> tuple[Rows, Index]:
    """What a workspace's settings name. Raises `SettingsError`, `MissingExtraError`."""
    own = "" if settings.chroma is None and not named(settings) else workspace.identity()
    index = OwnIndex(workspace.index) if settings.chroma is None else ServedIndex(settings.chroma, own)
    return rows_of(settings, own, workspace.documents), index


def rows_of(settings: StoresSettings, workspace: str, path: Path, *, reads: bool = False) -> Rows:
    """The database of documents: that of the settings, or a file. Raises `SettingsError`, `MissingExtraError`."""
    found = secret_url(settings.documents, settings.documents_env, "stores.documents")
    if found is None:
        engine = read_sqlite(path) if reads else open_sqlite(path)
        return Rows(engine, lambda: file_errors(path.parent), reads)
    url, schema = postgres_url(*found), f"understudy_{workspace}"
    engine = open_postgres(url, reads=reads).execution_options(schema_translate_map={None: schema})
    return Rows(engine, lambda: server_errors(lambda: postgres_errors(url, "[stores]")), reads, schema)


def named(settings: StoresSettings) -> bool:
    """Whether documents are in a server's database."""
    return settings.documents is not None or settings.documents_env is not None


@contextmanager
def file_errors(root: Path) -> Iterator[None]:
    """Errors of SQLite and Chroma as `WorkspaceError`."""
    try:
        with chroma_unreached():
            yield
    except (SQLAlchemyError, ChromaError, sqlite3.Error, OSError, ValueError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise WorkspaceError(
            f"workspace {root} is corrupt or unwritable ({why}); "
            "restore it from a backup, or ingest again into a new one"
        ) from error


@contextmanager
def server_errors(database: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Errors of Postgres and Chroma as `WorkspaceError`."""
    try:
        with chroma_unreached(), database():
            yield
    except (ChromaError, OSError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise WorkspaceError(f"the vectors can't be used ({why}); see [stores] in understudy.toml") from error


@contextmanager
def chroma_unreached() -> Iterator[None]:
    """No answer of a Chroma server, as `WorkspaceError`."""
    try:
        yield
    except httpx.HTTPError as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise unreached(why) from error
    except ValueError as error:
        if "Could not connect to a Chroma server" not in str(error):
            raise
        raise unreached("no connection") from error


def unreached(why: str) -> WorkspaceError:
    """A server of vectors isn't there."""
    advice = "see that it runs (chroma run), and that [stores] in understudy.toml is right"
    return WorkspaceError(f"the Chroma server can't be reached ({why}); {advice}")
