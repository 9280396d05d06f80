"""The suites: retrieval, the whole agent, ingest, start-up, and the shape of the code."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from understudy.agents import Agent
from understudy.apps.bench.datasets import Question, documents_file, squad_questions, tatqa_questions
from understudy.apps.bench.metrics import exact_match, interval, numbers_equal, quantile, reciprocal_rank, token_f1
from understudy.core.types import Answer, Scope
from understudy.retrieval.hybrid import Mode

__all__ = ["Run", "agent", "code", "ingest", "retrieval", "startup"]

MODES: tuple[Mode, ...] = ("dense", "lexical", "fused")
PORTIONS = ("agents", "graphs", "tools", "retrieval", "apps")
console = Console(stderr=True)


@dataclass(frozen=True)
class Run:
    """What every suite is given."""

    data: Path
    work: Path
    limit: int | None
    seed: int


def opened(run: Run, name: str) -> Agent:
    """An agent whose workspace holds one data set, ingested once and kept."""
    agent = Agent.open(run.work / name)
    agent.ingest([documents_file(run.data, name)], collection=name)
    return agent


def retrieval(run: Run) -> dict[str, Any]:
    """Recall at 5 and mean reciprocal rank of the gold document, whole `squad` ingested."""
    questions = squad_questions(run.data, run.limit or 500, run.seed, answerable=True)
    with opened(run, "squad") as agent:
        figures: dict[str, Any] = {"questions": len(questions)}
        for mode in MODES:
            ranks = []
            for q in track(questions, mode, console=console, transient=True):
                found = agent.retriever.search(q["question"], Scope(collection="squad"), limit=10, mode=mode)
                ranks.append(reciprocal_rank([p.document for p in found], q["doc_ids"]))
            hits = [float(r >= 1 / 5) for r in ranks]
            figures[f"{mode} recall@5"] = mean(hits)
            figures[f"{mode} recall@5 interval"] = interval(hits, run.seed)
            figures[f"{mode} MRR"] = mean(ranks)
    return figures


def agent(run: Run) -> dict[str, Any]:
    """The whole agent without an expert: `squad` over the whole collection, `tatqa` test scoped to the document."""
    squad = squad_questions(run.data, run.limit or 500, run.seed)
    tatqa = tatqa_questions(run.data, run.limit or 300, run.seed)
    with opened(run, "squad") as subject:
        squad_answers = ask_all(subject, squad, "squad", scoped=False)
    with opened(run, "tatqa") as subject:
        tatqa_answers = ask_all(subject, tatqa, "tatqa", scoped=True)
    kinds = {"squad answerable": [(q, a) for q, a in zip(squad, squad_answers, strict=True) if q["answerable"]]}
    for kind in ("span", "multi-span", "arithmetic", "count"):
        pairs = zip(tatqa, tatqa_answers, strict=True)
        kinds[f"tatqa {kind}"] = [(q, a) for q, a in pairs if q["meta"]["answer_type"] == kind]
    kinds["tatqa"] = list(zip(tatqa, tatqa_answers, strict=True))
    figures: dict[str, Any] = {}
    for name, pairs_of_kind in kinds.items():
        figures |= scores(name, pairs_of_kind, run.seed)
    figures["squad routes"] = dict(Counter(a.route for a in squad_answers))
    figures["tatqa routes"] = dict(Counter(a.route for a in tatqa_answers))
    unanswerable = [a for q, a in zip(squad, squad_answers, strict=True) if not q["answerable"]]
    figures["squad unanswerable declined"] = mean([float(a.route == "declined") for a in unanswerable])
    return figures | effort([*squad_answers, *tatqa_answers])


def ask_all(subject: Agent, questions: Sequence[Question], collection: str, *, scoped: bool) -> list[Answer]:
    """Ask each question in a thread of its own."""
    return [
        subject.ask(q["question"], collection=collection, document=q["doc_ids"][0] if scoped else None)
        for q in track(questions, collection, console=console, transient=True)
    ]


def scores(name: str, pairs: Sequence[tuple[Question, Answer]], seed: int) -> dict[str, Any]:
    """Exact match (equal numbers count) and F1; a declined answer scores 0. Also the accuracy of accepted answers."""
    if not pairs:
        return {}
    numeric = name.startswith("tatqa")
    text = [(q["answers"], "" if a.route == "declined" else a.text, a) for q, a in pairs]
    right = [max(exact_match(t, g), float(numeric and numbers_equal(t, g) and short(t))) for g, t, _ in text]
    f1 = [max(token_f1(t, g), r) for (g, t, _), r in zip(text, right, strict=True)]
    accepted = [r for r, (_, _, a) in zip(right, text, strict=True) if a.reason.endswith("is enough")]
    figures: dict[str, Any] = {
        f"{name} questions": len(pairs),
        f"{name} EM": mean(right),
        f"{name} EM interval": interval(right, seed),
        f"{name} F1": mean(f1),
    }
    if accepted:
        figures |= {f"{name} accepted": len(accepted), f"{name} EM of accepted": mean(accepted)}
    return figures


def short(text: str) -> bool:
    """Whether a text is little more than a number."""
    return len(text) <= 40


def effort(answers: Sequence[Answer]) -> dict[str, Any]:
    """Seconds a question, the agent's own overhead, and what became of the tokens."""
    seconds = [a.latency_s for a in answers]
    inside = sum(float((s.model_extra or {}).get("seconds", 0.0)) for a in answers for s in a.steps)
    small = [a.tokens.small for a in answers]
    prompt = sum(s.evaluated + s.reused for s in small)
    return {
        "seconds p50": quantile(seconds, 0.5),
        "seconds p95": quantile(seconds, 0.95),
        "share of wall time outside llama.cpp": 1 - inside / sum(seconds),
        "prompt tokens reused": sum(s.reused for s in small) / prompt,
        "tokens forced": sum(s.forced for s in small) / sum(s.forced + s.generated for s in small),
        "steps a question": mean([len(a.steps) for a in answers]),
    }


def ingest(run: Run) -> dict[str, Any]:
    """Time and memory to ingest `cuad` into an empty workspace."""
    import shutil

    shutil.rmtree(run.work / "cuad-fresh", ignore_errors=True)
    source = documents_file(run.data, "cuad")
    with Agent.open(run.work / "cuad-fresh") as subject:
        report = subject.ingest([source], collection="cuad", on_progress=show_progress())
        characters = sum(
            len(d.text) for i, _, _ in subject.store.entries("cuad") if (d := subject.store.document("cuad", i))
        )
    return {
        "documents": report.added,
        "characters": characters,
        "passages": report.passages,
        "seconds": report.seconds,
        "passages a second": report.passages / report.seconds,
        "peak memory MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def show_progress() -> Callable[[int, int, int], None]:
    """A line every ten seconds."""
    began = last = time.monotonic()

    def show(done: int, total: int, passages: int) -> None:
        nonlocal last
        if time.monotonic() - last > 10:
            last = time.monotonic()
            console.print(f"{done} of {total} documents, {passages / (last - began):.0f} passages/s")

    return show


def startup(run: Run) -> dict[str, Any]:
    """Wall time from the start of the process to the first step of `ask`, and to its end."""
    folder = run.work / "startup"
    samples = Path(__file__).parents[1] / "samples" / "documents"
    with Agent.open(folder) as subject:
        subject.ingest([samples])
    command = [
        sys.executable,
        "-m",
        "understudy.apps.cli",
        "--workspace",
        str(folder),
        "ask",
        "What are visiting hours?",
    ]
    firsts, ends = [], []
    for _ in range(7):
        began = time.monotonic()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert process.stderr is not None
        process.stderr.readline()
        firsts.append(time.monotonic() - began)
        process.communicate()
        ends.append(time.monotonic() - began)
    return {
        "runs": 7,
        "seconds to first step, median": quantile(firsts, 0.5),
        "seconds to first step, worst": max(firsts),
        "seconds to exit, median": quantile(ends, 0.5),
    }


def code(_run: Run) -> dict[str, Any]:
    """Lines a file and a function, over the five portions."""
    root = Path(__file__).parents[4]
    files, functions = [], []
    for portion in PORTIONS:
        for file in (root / portion / "understudy").rglob("*.py"):
            source = file.read_text(encoding="utf-8")
            files.append((source.count("\n"), file.name))
            functions += [
                (node.end_lineno - node.lineno + 1, f"{file.name}:{node.name}")
                for node in ast.walk(ast.parse(source))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
            ]
    return {
        "files": len(files),
        "lines a file, median": quantile([n for n, _ in files], 0.5),
        "lines a file, maximum": "{} ({})".format(*max(files)),
        "functions": len(functions),
        "lines a function, median": quantile([n for n, _ in functions], 0.5),
        "lines a function, maximum": "{} ({})".format(*max(functions)),
    }


def mean(values: Sequence[float]) -> float:
    """The mean, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
