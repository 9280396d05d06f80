"""Suite `shuffled`: what the gate makes of candidates that learned wrong answers, and of one that didn't."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from understudy.agents import Agent
from understudy.agents.refining import Plays
from understudy.apps.bench.learning import SHOWN, oracle_of
from understudy.apps.bench.streams import cuad_stream, documents_of
from understudy.apps.bench.workspaces import bar, folder, retrieval_digest
from understudy.core.settings import BriefingSettings, Settings
from understudy.core.types import Citation, Example, Passage, Scope
from understudy.distillation.lessons import says
from understudy.distillation.train_reader import ReaderRecipe, ReaderTrainer

__all__ = ["measure_shuffled", "shuffled"]

QUESTIONS = 500
CANDIDATES = 10
PLACE = ("default", "default")
Library = Callable[[Scope], tuple[Sequence[Passage], Any]]


def measure_shuffled(data: Path, out: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Ten trainings on shuffled answers and one on the right ones, each weighed on right gate examples.

    Args:
        data: the folder of data sets.
        out: where workspaces are kept.
        limit: candidates, ten by default.
        seed: of the stream; candidates have those after it.
    """
    stream, room = cuad_stream(data, seed), folder(out)
    asked = stream.questions[:QUESTIONS]
    expert = oracle_of(stream, room)
    settings = Settings(experts=(expert,), briefing=BriefingSettings(passages=SHOWN["cuad"]))
    with Agent.open(room / f"shuffled-{seed}-{retrieval_digest()}", settings=settings) as agent:
        with bar("reading cuad", None) as advance:
            agent.ingest(
                [documents_of(asked, stream.name, data, room)],
                sensitivity="open",  # it is public
                on_progress=lambda d, t, _p: advance(d, t),
            )
        with bar("asking cuad", len(asked)) as advance:
            for number, question in enumerate(asked, 1):
                agent.ask(question.text, document=question.document)
                advance(number, None)
        live = agent.learning.refinery.gate.plays(agent.cast.playing(*PLACE), parts_of(agent)["gate"])
        right = candidate(agent, live, seed, lambda examples: examples)
        wrong = []
        for number in range(limit or CANDIDATES):
            rng = random.Random(seed + 1 + number)
            mixed = lambda examples, rng=rng: shuffled(examples, agent.retriever.document, rng)  # noqa: E731
            wrong.append(candidate(agent, live, seed + 1 + number, mixed))
    return {
        "questions": len(asked),
        "gate_examples": right["gate_examples"],
        "rejected": sum(not row["promoted"] for row in wrong),
        "candidates": len(wrong),
        "right_answers_promoted": right["promoted"],
        "rows": [{"answers": "right", **right}, *({"answers": "shuffled", **row} for row in wrong)],
    }


def candidate(
    agent: Agent, live: Plays, seed: int, teach: Callable[[Sequence[Example]], Sequence[Example]]
) -> dict[str, Any]:
    """Train one on what `teach` makes of the examples, and weigh it. Nothing is kept or promoted."""
    parts = parts_of(agent)
    taught = iter(teach([*parts["train"], *parts["held_out"], *parts["calibrate"]]))
    train, held_out, others = ([next(taught) for _ in parts[p]] for p in ("train", "held_out", "calibrate"))
    trainer = ReaderTrainer(agent.retriever, ReaderRecipe(seed=seed))
    began, cpu = time.perf_counter(), time.process_time()
    with TemporaryDirectory() as made:
        trainer.train(Path(made), train, held_out, others)
        files = trainer.export(Path(made), held_out)
        run: Any = {"domain": PLACE[0], "label": PLACE[1], "seed": seed}
        report = agent.learning.refinery.gate.compare(run, live, files, parts["gate"], [])
    return {
        "trained_on": len(train),
        "gate_examples": report.questions,
        "live": report.live,
        "candidate": report.candidate,
        "p": report.p,
        "learned": report.learned,
        "p_learned": report.p_learned,
        "general_live": report.general_live,
        "general_candidate": report.general_candidate,
        "promoted": report.promoted,
        "reason": report.reason,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def parts_of(agent: Agent) -> Mapping[str, list[Example]]:
    """The examples that curation lets through, by part."""
    held = agent.learning.refinery.examples
    examples = held.collected(*PLACE)
    reasons = held.rejections(list(examples.values()))
    parts: dict[str, list[Example]] = {"train": [], "held_out": [], "gate": [], "calibrate": []}
    for (name, example), reason in zip(examples.items(), reasons, strict=True):
        if not reason:
            parts[held.part_of(name, example)].append(example)
    return parts


def shuffled(examples: Sequence[Example], library: Library, rng: random.Random) -> list[Example]:
    """The same questions with the answers dealt out anew, among those for yes or no and among the others.

    What found something cites as much of the document that it comes to, anywhere in it.
    """
    found: dict[int, Example] = {}
    for members in by_sort(examples):
        dealt = rng.sample(members, len(members))
        for to, origin in zip(members, dealt, strict=True):
            found[to] = given(examples[to], examples[origin], library, rng)
    return [found[at] for at in range(len(examples))]


def by_sort(examples: Sequence[Example]) -> Iterable[list[int]]:
    """Places of the examples that say yes or no, and of the others."""
    for polar in (True, False):
        yield [at for at, example in enumerate(examples) if (says(example) is not None) is polar]


def given(to: Example, origin: Example, library: Library, rng: random.Random) -> Example:
    """An example with another's answer."""
    passages, _ = library(to.scope)
    quotes = [c for c in origin.expert.citations if c.kind == "quote"] if passages else []
    cited = [cited_at(rng.choice(passages)) for _ in quotes]
    expert = origin.expert.model_copy(update={"citations": tuple(cited)})
    return to.model_copy(update={"expert": expert})


def cited_at(passage: Passage) -> Citation:
    """A passage, quoted whole."""
    return Citation(
        document=passage.document, title=passage.title, location=passage.location, start=passage.start,
        end=passage.end, quote=passage.text, score=1.0,
    )  # fmt: skip
