"""Suite `egress`: protected values in every disguise, through the real agent, its guard and a real HTTP client.

What left is what a server on loopback was sent, byte for byte. A value leaked if those bytes hold it as it was
planted, or as it is, in any case and with any spacing. This check shares no code with the matcher.
"""

from __future__ import annotations

import json
import random
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from understudy.agents import Agent
from understudy.apps.bench.loopback import Request, serving
from understudy.apps.bench.planted import DISGUISES, FIELDS, Plant, made_up
from understudy.apps.bench.workspaces import bar
from understudy.apps.folder import read_lines
from understudy.core.settings import (
    CacheSettings,
    CollectionSettings,
    DeferralSettings,
    ExpertSettings,
    PatternSettings,
    PrivacySettings,
    Settings,
)
from understudy.core.types import Document
from understudy.privacy.protected import ProtectedValues, Value, dictionary_of

__all__ = ["measure_egress"]

PLANTS = 5000
PER_DOCUMENT = 20
COLLECTIONS = {
    "clinic": CollectionSettings(sensitivity="redacted", protect=FIELDS),
    "counsel": CollectionSettings(sensitivity="redacted", protect=FIELDS[:1]),
    "board": CollectionSettings(sensitivity="local", protect=FIELDS),
}
OWN = (
    PatternSettings(type="ACCOUNT", regex=r"\b\d{4}-\d{6}-\d{2}\b"),
    PatternSettings(type="RECORD_NUMBER", regex=r"\b[KQWX][JVZ]-\d{8}\b"),
    PatternSettings(type="EMAIL", regex=r"\b[a-z]+\.[a-z]+@[a-z]+\.example\b"),
    PatternSettings(type="PHONE", regex=r"\+\d\d \d{3} \d{7}\b"),
)
"""What a collection that marks people alone knows its other values by."""
QUIET = ("plain", "capitals", "small letters")
"""What a redactor can replace: of these alone a document has that is to be answered."""


@dataclass(frozen=True)
class Case:
    """A document with what is planted in it, and the questions that are asked of it, in one thread."""

    name: str
    collection: str
    text: str
    questions: tuple[str, ...]
    plants: tuple[Plant, ...]
    quiet: bool
    """Whether nothing in it is disguised."""


def measure_egress(data: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Values that left, calls that were made and refused, the matcher's speed and its false alarms.

    Args:
        data: the folder of data sets; clean text is taken from `squad`.
        limit: planted values, 5,000 by default.
        seed: of values, disguises and samples.
    """
    cases = list(made_cases(limit or PLANTS, random.Random(seed)))
    return {**sent(cases), **matching(data, cases, seed)}


def made_cases(count: int, rng: random.Random) -> Iterator[Case]:
    """Documents until enough is planted; every other one has no disguise in it."""
    ways = [name for name in DISGUISES if name not in QUIET]
    names = list(COLLECTIONS)
    planted, number = 0, 0
    while planted < count:
        quiet = number % 2 == 0
        plants: list[Plant] = []
        lines: list[str] = []
        while len(plants) < min(PER_DOCUMENT, count - planted):
            values = list(made_up(rng))
            lines += [f"{field}: {value}" for field, value in values]
            for _, value in values[: count - planted - len(plants)]:
                way = rng.choice(QUIET if quiet else ways)
                place = "question" if len(plants) % 10 == 9 else "document"
                plants.append(Plant(value, DISGUISES[way](value, rng), way, place))
        notes = [
            f"A note on visit {at}: {p.written} was there." for at, p in enumerate(plants) if p.place == "document"
        ]
        asked = [p.written for p in plants if p.place == "question"]
        questions = [f"What was said on the visit of {', '.join(asked) or 'that day'}?", "Who was there on visit 3?"]
        name = f"visit-{number:04}.md"
        text = "# Visits\n\n" + "\n".join(lines) + "\n\n" + "\n\n".join(notes) + "\n"
        yield Case(name, names[number % len(names)], text, tuple(questions), tuple(plants), quiet)
        planted, number = planted + len(plants), number + 1


def sent(cases: Sequence[Case]) -> dict[str, Any]:
    """Ask everything, and look at what left."""
    with serving(first_line) as captured, TemporaryDirectory() as room:
        expert = ExpertSettings(name="cloud", model="openai:loopback", base_url=captured.url, retries=0)
        settings = Settings(
            experts=(expert,),
            collections=COLLECTIONS,
            privacy=PrivacySettings(patterns=OWN),
            deferral=DeferralSettings(max_quality_loss=0.001),  # so that every question goes to the expert
            cache=CacheSettings(semantic=False),
        )
        calls: Counter[tuple[bool, bool]] = Counter()
        with Agent.open(Path(room) / "workspace", settings=settings) as agent:
            ingest(agent, cases, Path(room))
            with bar("asking", len(cases)) as advance:
                for number, case in enumerate(cases, 1):
                    thread = None
                    for question in case.questions:
                        before = len(captured.requests)
                        answer = agent.ask(question, collection=case.collection, document=case.name, thread=thread)
                        thread = answer.thread
                        calls[case.quiet, len(captured.requests) > before] += 1
                    advance(number, None)
        return figures(cases, captured.requests, calls)


def first_line(user: str) -> str:
    """A reply that quotes the first line of the first passage that was sent."""
    line = re.search(r"\[passage 1\][^\n]*\n([^\n]+)", user)
    quote = line[1] if line else ""
    return json.dumps({"answer": quote or "nothing", "citations": [{"passage": 1, "quote": quote}] if quote else []})


def ingest(agent: Agent, cases: Sequence[Case], room: Path) -> None:
    """Write the documents and take them in."""
    for collection in COLLECTIONS:
        source = room / collection
        source.mkdir()
        for case in cases:
            if case.collection == collection:
                (source / case.name).write_text(case.text, encoding="utf-8")
        agent.ingest([source], collection=collection, sensitivity=COLLECTIONS[collection].sensitivity)


def figures(
    cases: Sequence[Case], requests: Sequence[Request], calls: Mapping[tuple[bool, bool], int]
) -> dict[str, Any]:
    """What leaked, by disguise, by place and by collection."""
    everything = "\n".join(text for request in requests for text in request.texts)
    bare = letters(everything)
    leaked = [(c, p) for c in cases for p in c.plants if p.written in everything or letters(p.value) in bare]
    planted = Counter(p.disguise for case in cases for p in case.plants)
    left = Counter(plant.disguise for _, plant in leaked)
    return {
        "planted": planted.total(),
        "left": len(leaked),
        "left_from": dict(Counter(case.collection for case, _ in leaked)),
        "left_of": dict(Counter(plant.place for _, plant in leaked)),
        "bytes_sent": sum(len(r.head) + len(r.body) for r in requests),
        "requests": len(requests),
        "calls_without_disguises": {"made": calls[True, True], "refused": calls[True, False]},
        "calls_with_disguises": {"made": calls[False, True], "refused": calls[False, False]},
        "disguises": [{"disguise": way, "planted": planted[way], "left": left[way]} for way in DISGUISES],
    }


def letters(text: str) -> str:
    """Letters and digits alone, small and without accents."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKD", text)).casefold()


def matching(data: Path, cases: Sequence[Case], seed: int) -> dict[str, Any]:
    """The matcher on clean text: how fast it is, and what it takes for values that aren't there."""
    records = list(read_lines(data / "squad" / "documents.jsonl.gz"))
    random.Random(seed).shuffle(records)
    documents = [Document(id=r["id"], title=r["title"], text=r["text"], version="1") for r in records]
    half = len(documents) // 2
    began = time.perf_counter()
    names = dictionary_of(documents[half:], COLLECTIONS["clinic"])
    took = time.perf_counter() - began
    planted = [Value(p.value, "OTHER", "planted") for case in cases for p in case.plants]
    protected = ProtectedValues([*names, *planted])
    text = "\n\n".join(d.text for d in documents[:half])[:500_000]
    began, cpu = time.perf_counter(), time.process_time()
    hits = [hit for hit in protected.find(text) if hit.value.blocks]
    seconds, busy = time.perf_counter() - began, time.process_time() - cpu
    wrong = [hit for hit in hits if letters(hit.value.text) not in letters(text[hit.start : hit.end])]
    size = sum(len(d.text) for d in documents[half:])
    return {
        "dictionary": {"characters": size, "names": len(names), "seconds": round(took, 2)},
        "matcher": {
            "values": len(protected),
            "characters": len(text),
            "seconds": round(seconds, 2),
            "cpu_seconds": round(busy, 2),
            "kb_per_cpu_second": round(len(text.encode()) / 1000 / busy, 1),
            "names_that_stand_there": len(hits) - len(wrong),
            "false_alarms": len(wrong),
            "false_alarms_per_mb": round(len(wrong) / len(text.encode()) * 1e6, 2),
        },
        "false_alarms": [
            {"value": h.value.text, "found": text[h.start : h.end][:60], "read_as": h.disguise} for h in wrong[:20]
        ],
    }
