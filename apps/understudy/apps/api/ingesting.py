"""Documents over HTTP: files in, one by one with what became of each; lists; a look at a quote; and erasure."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi import Path as InPath
from pydantic import BaseModel

from understudy.agents.erasure.erasure import ErasureReport
from understudy.apps.api.answering import ClientGone, listening
from understudy.apps.api.errors import ApiError, api_error
from understudy.apps.api.events import EventStream
from understudy.apps.api.models import Who
from understudy.apps.api.schemas import Text
from understudy.apps.server.served import Served, served
from understudy.apps.server.uploads import check_content, safe_name
from understudy.core.conversation import Excerpt
from understudy.core.errors import DocumentError, UnderstudyError
from understudy.core.settings import Sensitivity

__all__ = ["router", "sweep"]

router = APIRouter(prefix="/v1/understudy", tags=["Documents"])
FOLDER = "uploads"
FILES = 1000
"""At once, at most."""
LONGEST = 2**53
"""What JSON's numbers hold exactly."""
CollectionName = Annotated[Text, Form(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$")]
Offset = Annotated[int, Query(ge=0, le=LONGEST)]


class FileResult(BaseModel):
    """What became of a file."""

    file: str
    status: Literal["added", "updated", "unchanged", "failed"]
    error: str | None = None
    documents: int = 0
    """That it held."""
    passages: int = 0


class IngestResult(BaseModel):
    """What became of all."""

    collection: str
    files: list[FileResult]


class DocumentEntry(BaseModel):
    """A document in short."""

    collection: str
    id: str
    version: str


class DocumentList(BaseModel):
    """All that may be read."""

    documents: list[DocumentEntry]


class CollectionEntry(BaseModel):
    """A collection in short."""

    name: str
    domain: str
    sensitivity: str
    documents: int


class CollectionList(BaseModel):
    """All that may be read."""

    collections: list[CollectionEntry]


@router.get("/collections")
def list_collections(request: Request, principal: Who) -> CollectionList:
    """The collections that may be read."""
    agent = served(request).agent
    listing = agent.documents_of(agent.access.principal(principal)).listing()
    rows = [
        CollectionEntry(name=n, domain=agent.domain(n), sensitivity=h["sensitivity"], documents=h["documents"])
        for n, h in sorted(listing.items())
    ]
    return CollectionList(collections=rows)


@router.get("/documents")
def list_documents(request: Request, principal: Who, collection: str | None = None) -> DocumentList:
    """The documents that may be read, of one collection or of all."""
    found = served(request).agent.documents(collection, principal=principal)
    return DocumentList(documents=[DocumentEntry(**row) for row in found])


@router.post("/documents", response_model=IngestResult)
async def ingest(
    request: Request,
    principal: Who,
    files: Annotated[list[UploadFile], File(description="pdf docx pptx xlsx html md txt csv jsonl", max_length=FILES)],
    collection: CollectionName = "default",
    sensitivity: Annotated[Sensitivity | None, Form()] = None,
) -> Any:
    """Bring files into a collection. With `Accept: text/event-stream`, an event a file as it is done, and all last."""
    using = served(request)
    may_write(using, principal, collection, sensitivity)
    results = ingested(request, using, principal, files, collection, sensitivity)
    if "text/event-stream" in request.headers.get("accept", ""):
        return await EventStream.begun(as_events(results, collection))
    try:
        return IngestResult(collection=collection, files=[result async for result in results])
    except ClientGone:
        return IngestResult(collection=collection, files=[])


@router.get("/collections/{collection}/documents/{document:path}")
def excerpt(
    request: Request,
    principal: Who,
    collection: str,
    document: Annotated[str, InPath(description="its id")],
    start: Offset = 0,
    end: Offset = 0,
    around: Annotated[int, Query(ge=0, le=100_000, description="code points shown on each side")] = 600,
) -> Excerpt:
    """A piece of a document around a quote, as a citation names it."""
    return served(request).agent.excerpt(collection, document, start, end, around=around, principal=principal)


@router.delete("/collections/{collection}/documents/{document:path}")
def erase(
    request: Request,
    principal: Who,
    collection: str,
    document: Annotated[str, InPath(description="its id")],
    dry_run: bool = False,
) -> ErasureReport:
    """Erase a document with all that rests on it: answers, examples, threads, adapters. It takes the owner."""
    return served(request).agent.erase(document, collection=collection, dry_run=dry_run, principal=principal)


def may_write(using: Served, principal: str, collection: str, sensitivity: str | None) -> None:
    """Raise `AccessError` before anything is kept, as the ingest itself would."""
    who = using.agent.access.principal(principal)
    if not who.may_read(collection):
        who.administers(f"write into collection {collection!r}")
    if sensitivity is not None:
        who.administers("say how sensitive a collection is")


async def ingested(
    request: Request,
    using: Served,
    principal: str,
    files: list[UploadFile],
    collection: str,
    sensitivity: str | None,
) -> AsyncGenerator[FileResult]:
    """Ingest file by file, one upload at a time; who goes away stops it before the next file. Raises `ClientGone`."""
    taken: set[str] = set()
    async with listening(request, using) as ends, using.ingesting:
        with folder_for(using.agent.workspace.root) as folder:
            for file in files:
                for end in ends:
                    if end.done():
                        end.result()
                        raise ClientGone
                shown = (file.filename or "").encode("utf-8", "backslashreplace").decode()
                try:
                    name = safe_name(shown)
                    if name in taken:
                        raise DocumentError(f"{name}: another file of this name came with it")
                    taken.add(name)
                    yield await asyncio.to_thread(
                        one_ingested, using, principal, file, folder / name, collection, sensitivity
                    )
                except DocumentError as error:
                    yield FileResult(file=shown, status="failed", error=str(error))


def one_ingested(
    using: Served, principal: str, file: UploadFile, path: Path, collection: str, sensitivity: str | None
) -> FileResult:
    """Ingest one file. Raises `DocumentError`."""
    with path.open("wb") as kept:
        shutil.copyfileobj(file.file, kept)
    check_content(path)
    report = using.agent.ingest([path], collection=collection, sensitivity=sensitivity, principal=principal)
    documents = report.added + report.updated + report.unchanged
    if report.failed and not documents:
        return FileResult(file=path.name, status="failed", error=f"{path.name}: {report.failed[0][1]}")
    status: Literal["added", "updated", "unchanged"] = (
        "added" if report.added else "updated" if report.updated else "unchanged"
    )
    return FileResult(file=path.name, status=status, documents=documents, passages=report.passages)


async def as_events(results: AsyncGenerator[FileResult], collection: str) -> AsyncGenerator[str]:
    """A result a file, and all of them at the end."""
    held: list[FileResult] = []
    try:
        async for result in results:
            held.append(result)
            yield result.model_dump_json()
    except ClientGone:
        if not held:
            yield ""
        return
    except (UnderstudyError, ApiError) as error:
        if not held:
            raise
        yield json.dumps(api_error(error).body)
        return
    yield IngestResult(collection=collection, files=held).model_dump_json()
    yield "[DONE]"


@contextmanager
def folder_for(workspace: Path) -> Iterator[Path]:
    """A folder for uploads while they are read; nothing of it is kept."""
    parent = workspace / FOLDER
    parent.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


def sweep(workspace: Path) -> None:
    """Take away what a killed server left of uploads."""
    shutil.rmtree(workspace / FOLDER, ignore_errors=True)
