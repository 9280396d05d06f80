"""Ingest into Chroma and SQLite on disk, ranking, and the reader: real parts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stores_parts import served_stores

from understudy.core.cluster_settings import StoresSettings
from understudy.core.errors import DocumentError, NoDocumentsError, ScopeError, UserError, WorkspaceError
from understudy.core.types import Passage, Scope
from understudy.core.workspace import Workspace
from understudy.retrieval.confidence import SIGNALS
from understudy.retrieval.embed import MiniLM
from understudy.retrieval.hybrid import HybridRetriever
from understudy.retrieval.ingest import IngestReport, ingest
from understudy.retrieval.reader import SpanReader
from understudy.retrieval.store import DocumentStore

TEXTS = {
    "cats.md": "# Cats\n\nCats sleep for fourteen hours a day. They purr at 25 hertz.",
    "trains.md": "# Trains\n\nThe night train to Oslo leaves at 22:40 from platform seven.",
    "sub/tax.md": "# Tax\n\nThe reduced rate of value added tax is seven percent. Form QX-77 is due in May.",
}


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM()


class Bench:
    """A workspace and a folder of files."""

    def __init__(self, folder: Path, encoder: MiniLM, stores: StoresSettings) -> None:
        self.files = folder / "files"
        for name, text in TEXTS.items():
            (self.files / name).parent.mkdir(parents=True, exist_ok=True)
            (self.files / name).write_text(text)
        self.workspace = Workspace.open(folder / "workspace")
        self.encoder, self.stores = encoder, stores
        self.store = self.opened()

    def opened(self) -> DocumentStore:
        return DocumentStore.of(self.workspace, self.stores)

    def ingest(self, *, prune: bool = False, collection: str = "default") -> IngestReport:
        return ingest(self.store, self.encoder, [self.files], prune=prune, collection=collection)

    def search(self, query: str, document: str | None = None, **options: object) -> list[Passage]:
        retriever = HybridRetriever(self.workspace, self.store, self.encoder)
        return retriever.search(query, Scope(document=document), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoresSettings]:
    with served_stores(tmp_path_factory.mktemp("chroma")) as stores:
        yield stores


@pytest.fixture(params=["own", "served"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, encoder: MiniLM) -> Iterator[Bench]:
    """The workspace's own files, or servers; each test has a workspace of its own there."""
    stores = StoresSettings() if request.param == "own" else request.getfixturevalue("servers")
    made = Bench(tmp_path, encoder, stores)
    yield made
    made.store.close()


@pytest.fixture
def own(tmp_path: Path, encoder: MiniLM) -> Iterator[Bench]:
    made = Bench(tmp_path, encoder, StoresSettings())
    yield made
    made.store.close()


def counts(report: IngestReport) -> tuple[int, int, int, int]:
    return report.added, report.updated, report.unchanged, report.removed


def test_a_new_collection_has_a_name_that_can_be_said(bench: Bench) -> None:
    with pytest.raises(UserError, match="no slash"):
        bench.ingest(collection="../x")
    assert bench.store.listing() == {}


def test_unchanged_changed_and_vanished_files(bench: Bench) -> None:
    assert counts(bench.ingest()) == (3, 0, 0, 0)
    assert counts(bench.ingest()) == (0, 0, 3, 0)
    (bench.files / "cats.md").write_text("# Cats\n\nCats sleep for sixteen hours a day.")
    (bench.files / "trains.md").unlink()
    assert counts(bench.ingest()) == (0, 1, 2 - 1, 0)
    assert "sixteen" in bench.search("How long do cats sleep?")[0].text
    assert counts(bench.ingest(prune=True)) == (0, 0, 2, 1)
    assert {e[0] for e in bench.store.entries("default")} == {"cats.md", "sub/tax.md"}
    assert all("fourteen" not in p.text for p in bench.search("cats fourteen hours"))


def test_a_second_folder_does_not_overwrite_the_first_s_documents(bench: Bench, tmp_path: Path) -> None:
    bench.ingest()
    other = tmp_path / "other"
    other.mkdir()
    (other / "cats.md").write_text("Dogs bark.")
    report = ingest(bench.store, bench.encoder, [other])
    assert counts(report) == (0, 0, 0, 0)
    ((source, why),) = report.failed
    assert source == str(other / "cats.md")
    assert why == f"its id 'cats.md' was taken by {bench.files / 'cats.md'}"
    assert "Dogs" not in bench.search("How long do cats sleep?")[0].text
    (bench.files / "cats.md").unlink()  # moved: what is there now replaces it
    assert counts(ingest(bench.store, bench.encoder, [other])) == (0, 1, 0, 0)


def test_the_lexical_index_follows_every_change(bench: Bench) -> None:
    retriever = HybridRetriever(bench.workspace, bench.store, bench.encoder)

    def best(word: str) -> list[str]:
        return [p.document for p in retriever.search(word, Scope(), mode="lexical")]

    bench.ingest()
    before = retriever.versions(Scope())
    assert (best("purr"), best("zyzzyva")) == (["cats.md"], [])
    (bench.files / "trains.md").write_text("# Trains\n\nThe zyzzyva express.")
    bench.ingest()
    assert (best("zyzzyva"), best("Oslo")) == (["trains.md"], [])
    assert retriever.versions(Scope()) != before
    assert (bench.search("zyzzyva", mode="lexical"))[0].document == "trains.md"


def test_progress_knows_how_many_there_are(bench: Bench) -> None:
    seen: list[tuple[int, int]] = []
    ingest(bench.store, bench.encoder, [bench.files], on_progress=lambda done, total, _: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_broken_file_does_not_stop_the_rest(bench: Bench) -> None:
    (bench.files / "broken.pdf").write_bytes(b"no pdf")
    report = bench.ingest()
    assert report.added == 3
    assert [Path(p).name for p, _ in report.failed] == ["broken.pdf"]
    with pytest.raises(DocumentError, match="no such file"):
        ingest(bench.store, bench.encoder, [bench.files / "nowhere"])


def test_ctrl_c_keeps_what_was_finished(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.retrieval.ingest.GROUP", 1)

    def stop_after_two(done: int, _total: int, _passages: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(bench.store, bench.encoder, [bench.files], on_progress=stop_after_two)
    again = bench.opened()
    assert len(again.entries("default")) == 2
    assert counts(bench.ingest()) == (1, 0, 2, 0)


def test_a_document_without_its_vectors_is_done_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(DocumentStore, "_add_vectors", crash)
    with pytest.raises(KeyboardInterrupt):
        bench.ingest()
    monkeypatch.undo()
    assert bench.opened().entries("default") == []
    assert counts(bench.ingest()) == (3, 0, 0, 0)


def test_a_removal_cut_short_is_finished(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.ingest()
    keys = [str(k) for k in bench.store.passages("default", "cats.md")]

    class Cut:
        def delete(self, ids: list[str]) -> None:
            assert ids == keys
            raise KeyboardInterrupt

    monkeypatch.setattr(DocumentStore, "_vectors", lambda *_: Cut())
    with pytest.raises(KeyboardInterrupt):
        bench.store.remove("default", "cats.md")
    monkeypatch.undo()
    again = bench.opened()
    assert [e[0] for e in again.entries("default")] == ["sub/tax.md", "trains.md"]
    assert again.document("default", "cats.md") is None
    again.close()
    assert counts(bench.ingest()) == (1, 0, 2, 0)


def test_lost_vectors_are_said_and_made_anew(bench: Bench) -> None:
    bench.ingest()
    keys = [str(k) for k in bench.store.passages("default", "cats.md")]
    bench.store._vectors("default").delete(ids=keys)
    with pytest.raises(WorkspaceError, match="ingest anything"):
        bench.search("cats purr")
    assert counts(bench.ingest()) == (0, 0, 3, 0)
    assert bench.search("cats purr", mode="dense")[0].document == "cats.md"


@pytest.mark.parametrize("broken", ["documents.sqlite", "index/chroma.sqlite3"])
def test_a_corrupt_workspace_is_one_line_every_time(own: Bench, broken: str) -> None:
    own.ingest()
    own.store.close()
    for file in own.workspace.root.glob(f"{broken}*"):
        file.unlink()
    (own.workspace.root / broken).write_bytes(b"garbage" * 500)
    for _ in range(2):
        with pytest.raises(WorkspaceError, match="restore it from a backup") as caught:
            own.opened()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", ["fused", "dense", "lexical"])
@pytest.mark.parametrize(("query", "document"), [("When does the train leave?", "trains.md"), ("QX-77", "sub/tax.md")])
def test_ranking(bench: Bench, mode: str, query: str, document: str) -> None:
    bench.ingest()
    if (mode, query) != ("dense", "QX-77"):
        best = bench.search(query, mode=mode)[0]
        assert best.document == document
        assert 0 <= best.score <= 1
    assert {p.document for p in bench.search(query, "cats.md", mode=mode)} <= {"cats.md"}


def test_scopes_that_are_not_there(bench: Bench) -> None:
    with pytest.raises(NoDocumentsError, match="understudy ingest"):
        bench.search("x")
    bench.ingest()
    with pytest.raises(ScopeError, match=r"nearest is 'cats\.md'"):
        bench.search("x", "cat.md")


def test_collections_are_apart(bench: Bench) -> None:
    bench.ingest(collection="other")
    with pytest.raises(NoDocumentsError):
        bench.search("cats")


def test_the_reader_finds_spans_and_knows_when_there_are_none(bench: Bench) -> None:
    bench.ingest()
    reader = SpanReader()
    question = "When does the night train to Oslo leave?"
    passages = bench.search(question)
    read = reader.read(question, passages)
    best = read.findings[0]
    assert "22:40" in best.text
    assert best.passage is not None
    passage = passages[best.passage]
    assert best.start is not None
    assert best.end is not None
    assert passage.text[best.start - passage.start : best.end - passage.start] == best.text
    absent = reader.read("Who painted the Mona Lisa?", passages)
    assert (read.answerable or 0) > (absent.answerable or 0)
    assert reader.read(question, []).findings == ()


@pytest.mark.parametrize("question", ["", "漢" * 700, "why " * 400])
def test_the_reader_takes_any_question_and_text(question: str) -> None:
    text = "😀 Zoë\u0301 ate İstanbul ﬁsh. 漢字 " + "and more " * 200
    passage = Passage(
        document="d", title="long title " * 300, version="v", location="", start=9, end=9 + len(text), text=text
    )
    read = SpanReader(threads=1).read(question, [passage])
    for f in read.findings:
        assert f.start is not None
        assert f.end is not None
        assert text[f.start - 9 : f.end - 9] == f.text != ""
    assert 0 <= (read.answerable or 0) <= 1


def test_a_table_is_read_under_its_header_and_its_spans_stand_in_the_body() -> None:
    body = "| Net sales | 440 | 400 |\n| Staff costs | 120 | 130 |"
    table = Passage(
        document="d", title="Report", version="v", location="", start=40, end=40 + len(body), text=body, table=True,
        context="|  | 2019 | 2018 |\n| --- | --- | --- |",
    )  # fmt: skip
    reader = SpanReader(threads=1)
    spans = reader.candidates("What were staff costs in 2019?", [table])
    assert spans
    assert all(0 <= s.start < s.end <= len(body) for s in spans)
    assert not any("2019" in body[s.start : s.end] for s in spans)
    bare = reader.candidates("What were staff costs in 2019?", [table.model_copy(update={"context": ""})])
    missing = SIGNALS.index("words missing")
    assert spans[0].signals[missing] < bare[0].signals[missing]  # the year stands in the header alone
    for found in reader.read("What were staff costs in 2019?", [table]).findings:
        assert found.start is not None
        assert found.end is not None
        assert body[found.start - 40 : found.end - 40] == found.text


@pytest.mark.parametrize(
    "text", ["12 May", "| 12 May | 5 June | 7 July |", "2 May 1\n3 May 4\n5 May", ". , ; :", "| | |"]
)
def test_a_span_is_more_than_a_mark_and_stays_in_its_cell(text: str) -> None:
    passage = Passage(document="d", title="T", version="v", location="", start=0, end=len(text), text=text)
    spans = [text[s.start : s.end] for s in SpanReader(threads=1).candidates("When was it?", [passage])]
    assert bool(spans) == ("May" in text)
    assert len(spans) > 1 or "May" not in text
    assert all(any(map(str.isalnum, s)) and "|" not in s and "\n" not in s for s in spans)


def test_answering_never_imports_torch(own: Bench) -> None:
    own.ingest()
    own.store.close()
    code = (
        "import sys; from understudy.agents import Agent\n"
        f"a = Agent.open({str(own.workspace.root)!r}); a.ask('How long do cats sleep?'); a.close()\n"
        "print([m for m in ('torch', 'transformers', 'sentence_transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
