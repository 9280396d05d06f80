"""The real search tool over the training side of the data, for the planner's transcripts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

from understudy.apps.folder import may_train, read_lines
from understudy.core.types import Evidence, Observation, Scope
from understudy.core.workspace import Workspace
from understudy.retrieval.embed import MiniLM
from understudy.retrieval.hybrid import HybridRetriever
from understudy.retrieval.ingest import ingest
from understudy.retrieval.reader import SpanReader
from understudy.retrieval.store import DocumentStore
from understudy.tools.toolbox import LocalToolBox

__all__ = ["training_search"]


def training_search(data: Path, out: Path) -> tuple[Callable[[str], Observation], list[str]]:
    """A search over the `squad` paragraphs that may be trained on, and texts of theirs that the reader hasn't seen."""
    out.mkdir(parents=True, exist_ok=True)
    documents = [
        d
        for d in read_lines(data / "squad" / "documents.jsonl.gz")
        if d["id"].startswith("squad-v1") or may_train(d["title"])
    ]
    source = out / "documents.jsonl.gz"
    with gzip.open(source, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(d) + "\n" for d in documents)
    workspace = Workspace.open(out / "workspace")
    store, encoder = DocumentStore(workspace), MiniLM()
    ingest(store, encoder, [source])
    box = LocalToolBox(HybridRetriever(workspace, store, encoder), SpanReader(), store.table_passages)

    def search(question: str) -> Observation:
        return box.run("search", {"query": question[:400]}, question, Scope(), Evidence())

    return search, [d["text"][:600] for d in documents]
