"""The real tools over the training side of the data, for the planner's transcripts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from understudy.apps.starter.corpus import training_documents
from understudy.core.types import Evidence, Observation, Passage, Scope
from understudy.core.workspace import Workspace
from understudy.retrieval.embed import MiniLM
from understudy.retrieval.hybrid import HybridRetriever
from understudy.retrieval.ingest import ingest
from understudy.retrieval.reader import SpanReader
from understudy.retrieval.store import DocumentStore
from understudy.tools.toolbox import LocalToolBox

__all__ = ["TrainingIndex", "TrainingTools"]


class TrainingIndex:
    """The real retriever over the documents that questions for training are asked of.

    Args:
        data: the folder of data sets.
        out: where the workspace goes; it is kept, and read again by a later run.
    """

    def __init__(self, data: Path, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        kept = [d for d in training_documents(data) if d["id"].startswith(("squad", "tatqa", "finqa"))]
        source = out / "documents.jsonl.gz"
        with gzip.open(source, "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(d) + "\n" for d in kept)
        workspace = Workspace.open(out / "workspace")
        store, encoder = DocumentStore.of(workspace), MiniLM()
        ingest(store, encoder, [source])
        self.texts = [d["text"][:600] for d in kept if d["id"].startswith("squad")]
        """Beginnings of the articles' paragraphs: words for generated tables."""
        self.table_passages = store.table_passages
        self.retriever = HybridRetriever(workspace, store, encoder)


class TrainingTools:
    """The agent's own tools over a `TrainingIndex`, with a reader's weights."""

    def __init__(self, index: TrainingIndex, reader: Path) -> None:
        self._tables = index.table_passages
        self._box = LocalToolBox(index.retriever, SpanReader(weights=reader), self._tables)

    def search(self, query: str, question: str, document: str | None = None) -> Observation:
        """Passages and findings, of one document if it is named."""
        return self._run("search", {"query": query}, question, Evidence(), document)

    def lookup(self, row: str, column: str, question: str, evidence: Evidence, document: str) -> Observation:
        """A cell of a document's tables."""
        return self._run("lookup", {"row": row, "column": column}, question, evidence, document)

    def compare(self, label: str, by: str, question: str, evidence: Evidence, document: str) -> Observation:
        """Where a document's table is highest or lowest."""
        return self._run("compare", {"label": label, "by": by}, question, evidence, document)

    def calculate(self, expression: str, question: str, evidence: Evidence) -> Observation:
        """The result of an expression over findings."""
        return self._run("calculate", {"expression": expression}, question, evidence, None)

    def tables(self, document: str) -> list[Passage]:
        """The table passages of a document."""
        return self._tables(Scope().collection, [document])

    def _run(
        self, name: str, arguments: dict[str, object], question: str, evidence: Evidence, document: str | None
    ) -> Observation:
        return self._box.run(name, arguments, question, Scope(document=document), evidence)
