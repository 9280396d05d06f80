"""Suite `batch`: the questions of contracts as one job, beside a loop over `Agent.ask`, in one run.

A few contracts at a time are asked by one and then by the other, so that what else the machine does falls on both. The
starter reads nothing but scores, so a second part does the same with a model that is shown passages: it has the
starter's weights, so what it says is worth nothing, but it takes the steps that a real one would, search and then
answer, and reads all that it is shown.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from langchain_core.tools import BaseTool

from understudy.agents import Agent, small_model
from understudy.agents.batch.prefix import Prefixes
from understudy.agents.grammar import step_grammar
from understudy.agents.profiles import Profile
from understudy.agents.small_model import starter_path
from understudy.apps.bench.random_weights import copy_keys
from understudy.apps.bench.streams import DEVELOPED_ON
from understudy.apps.bench.workspaces import bar
from understudy.apps.folder import read_lines
from understudy.core.errors import DocumentError
from understudy.core.jobs import Query
from understudy.core.machine import cores
from understudy.core.settings import DeferralSettings, Settings, SmallModelSettings
from understudy.core.types import Answer, Evidence
from understudy.core.usage import SmallTokens
from understudy.core.workspace import write_atomically
from understudy.retrieval.reader import SpanReader

__all__ = ["measure_jobs"]

CONTRACTS, BLOCK = 50, 5
SHOWN = 25
"""One contract in so many is asked by the model that is shown passages too."""
CONTEXTS = (4096, 16384)
"""Of that model: the default, and one that most contracts' passages fit."""


@dataclass
class Side:
    """One way of asking: what it took, and what came of it."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    reading_s: float = 0.0
    """Of a core, inside the reader's network; of a loop, whose reader has threads of its own, one thread's part."""
    answers: list[Answer] = field(default_factory=list)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add what is done meanwhile."""
        whole = SpanReader._run

        def run(reader: SpanReader, windows: Sequence[Any]) -> Any:
            began = time.thread_time()
            try:
                return whole(reader, windows)
            finally:
                self.reading_s += time.thread_time() - began

        began, cpu = time.perf_counter(), time.process_time()
        with patch.object(SpanReader, "_run", run):
            yield
        self.wall_s += time.perf_counter() - began
        self.cpu_s += time.process_time() - cpu

    @property
    def tokens(self) -> SmallTokens:
        """Of all answers."""
        return sum((answer.tokens.small for answer in self.answers), SmallTokens())

    @property
    def llama_s(self) -> float:
        """Inside llama.cpp."""
        return sum(float(step.model_dump().get("seconds", 0.0)) for answer in self.answers for step in answer.steps)

    def figures(self) -> dict[str, float]:
        """A row of the table."""
        return {
            "answers_a_minute": round(60 * len(self.answers) / self.wall_s, 1),
            "cpu_use": round(self.cpu_s / self.wall_s / cores(), 3),
            "inside_llama_cpp": round(self.llama_s / self.wall_s, 3),
            "core_time_in_models": round((self.llama_s + self.reading_s) / self.cpu_s, 3),
            "prompt_tokens_evaluated": self.tokens.evaluated,
        }


def measure_jobs(data: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Both parts; see the module.

    Args:
        data: the folder of data sets.
        limit: contracts at most.
        seed: of which contracts.

    Raises:
        DocumentError: the data is missing.
    """
    contracts, questions = drawn(data, min(limit or CONTRACTS, CONTRACTS), seed)
    figures: dict[str, Any] = {"contracts": len(contracts), "questions_each": len(questions)}
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as place:
        room = Path(place)
        figures["starter"] = beside(room, "starter", contracts, questions, SmallModelSettings())
        model = shown_passages(room / "shown.gguf")
        some = contracts[: max(1, len(contracts) // SHOWN)]
        for context in CONTEXTS:
            given = SmallModelSettings(path=str(model), context=context, max_steps=3, max_step_tokens=48)
            with patch.object(small_model, "step_grammar", search_then_answer):
                figures[f"shown_passages_{context}"] = beside(room, f"shown {context}", some, questions, given)
    return figures


def drawn(data: Path, count: int, seed: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Contracts that nothing was developed on, and the questions of every one. Raises `DocumentError`."""
    records = read_lines(data / "cuad" / "questions.all.jsonl.gz")
    documents = {str(d["id"]): d for d in read_lines(data / "cuad" / "documents.jsonl.gz")}
    if not documents:
        raise DocumentError(f"{data / 'cuad'}: holds no documents; fetch it again")
    order = sorted(documents)
    random.Random(7).shuffle(order)
    later = order[DEVELOPED_ON:]
    chosen = random.Random(seed).sample(later, min(count, len(later)))
    return [documents[name] for name in chosen], list(dict.fromkeys(str(r["question"]) for r in records))


def beside(
    room: Path, name: str, contracts: Sequence[Mapping[str, Any]], questions: Sequence[str], model: SmallModelSettings
) -> dict[str, Any]:
    """The loop and the job on the same questions."""
    loop, job, shared = Side(), Side(), Shared()
    fixed = Settings(small_model=model, deferral=DeferralSettings(min_confidence=0.5, audit_rate=0.0))
    with Agent.open(room / name.replace(" ", "-"), settings=fixed) as agent, shared.counted():
        agent.ingest(list(written(contracts, room / "documents")))
        agent.ask(questions[0])  # everything is loaded by then
        documents = [entry["id"] for entry in agent.documents()]
        with bar(name, len(documents)) as advance:
            for at in range(0, len(documents), BLOCK):
                asked = [Query(question=q, document=d) for d in documents[at : at + BLOCK] for q in questions]
                with loop.timed():
                    loop.answers += [agent.ask(q.question, document=q.document) for q in asked]
                agent.begin_job(f"block-{at}", asked)
                with job.timed():
                    agent.run_job(f"block-{at}")
                job.answers += [r.answer for r in agent.job_results(f"block-{at}") if r.answer is not None]
                advance(min(at + BLOCK, len(documents)), None)
    same = [one.text == other.text for one, other in zip(loop.answers, job.answers, strict=True)]
    return {
        "questions": len(same),
        "loop": loop.figures(),
        "job": job.figures(),
        "times_faster": round(loop.wall_s / job.wall_s, 2),
        "fewer_prompt_tokens": round(1 - job.tokens.evaluated / loop.tokens.evaluated, 3),
        "questions_whose_documents_passages_fit_together": shared.share,
        "same_answers": round(sum(same) / len(same), 4),
    }


class Shared:
    """How many questions were asked after one prefix of their whole document."""

    def __init__(self) -> None:
        self._all: list[Prefixes] = []

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count those of all jobs meanwhile."""
        begin, all_ = Prefixes.__init__, self._all

        def made(prefixes: Prefixes, *given: Any) -> None:
            begin(prefixes, *given)
            all_.append(prefixes)

        with patch.object(Prefixes, "__init__", made):
            yield

    @property
    def share(self) -> float | None:
        """Of the questions that share one; none where the model is shown no passages."""
        whole, parted = sum(p.whole for p in self._all), sum(p.parted for p in self._all)
        return round(whole / (whole + parted), 3) if whole + parted else None


def written(contracts: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[Path]:
    """A file for each contract."""
    folder.mkdir(exist_ok=True)
    for contract in contracts:
        path = folder / f"{contract['id']}.txt"
        write_atomically(path, str(contract["text"]))
        yield path


def search_then_answer(
    profile: Profile, tools: Sequence[BaseTool], evidence: Evidence, thread: Sequence[str], *, final: bool
) -> str:
    """A grammar that allows nothing but a search at first, and none after it."""
    if evidence.searches:
        return step_grammar(profile, tools, evidence, thread, final=True)
    searches = step_grammar(profile, tools, evidence, thread, final=final).splitlines()
    return "\n".join(["start: tool0", *searches[1:]])


def shown_passages(target: Path) -> Path:
    """The starter's weights as a model that is shown passages, which it has not learned to read."""
    import gguf

    reader = gguf.GGUFReader(starter_path())
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    copy_keys(reader, writer, "understudy.profile")
    writer.add_string("understudy.profile", "quoting")
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
