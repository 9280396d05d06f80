"""Suite `sensitivity`: what privacy costs in quality, asked of the same documents as `open`, `redacted` and `local`."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from understudy.agents import Agent
from understudy.apps.bench.loopback import serving
from understudy.apps.bench.streams import Asked, asked, documents_of, right_text
from understudy.apps.bench.workspaces import bar
from understudy.apps.folder import read_lines
from understudy.apps.metrics import interval
from understudy.core.settings import CollectionSettings, DeferralSettings, ExpertSettings, Sensitivity, Settings
from understudy.core.types import Answer
from understudy.privacy.redaction import Redactor

__all__ = ["Oracle", "measure_sensitivity", "seen_of"]

SIZES = {"tatqa": 200, "agentclinic": 108}
SPLITS = {"tatqa": "test", "agentclinic": "all"}
ENOUGH = 0.9
"""Share of a record's words that an oracle must see to tell a diagnosis that stands nowhere."""
PLACEHOLDER = r"⟦[A-Z_]+_\d+⟧"
WORD = re.compile(r"[^\W_]{2,}")
MODES: tuple[Sensitivity, ...] = get_args(Sensitivity)


@dataclass(frozen=True)
class Case:
    """A question, and what an expert must see to answer it."""

    asked: Asked
    facts: tuple[str, ...]
    """Texts that the answer is made of; none where it is to be reasoned out of the whole record."""
    record: str
    values: tuple[str, ...] = ()
    """What of the facts gives way to placeholders."""


class Oracle:
    """An expert that knows every answer, and gives it exactly where what it was sent holds the grounds for it.

    A placeholder is as good as the value in its place: it stands in the answer too, as any expert has to put it there.
    """

    def __init__(self) -> None:
        self.case: Case | None = None
        self.seen: list[float] = []
        """Of each call, the share of the record's words that it was sent."""

    def __call__(self, sent: str) -> str:
        """The reply to a user's message."""
        assert self.case is not None
        self.seen.append(seen_of(self.case.record, sent))
        answer = told(self.case, sent) if self.case.facts else self.reasoned(self.case)
        if answer is None:
            return json.dumps({"answer": "The passages don't say.", "not_in_documents": True, "citations": []})
        return json.dumps({"answer": answer, "citations": []})

    def reasoned(self, case: Case) -> str | None:
        """The answer that stands nowhere, for who has seen enough."""
        return case.asked.answers[0] if self.seen[-1] >= ENOUGH else None


def told(case: Case, sent: str) -> str | None:
    """The answer in the words that were sent; `None` where a fact that it is made of is missing."""
    answer = case.asked.answers[0]
    for fact in case.facts:
        found = re.search(masked(fact, case.values), sent)
        if found is None:
            return None
        answer = answer.replace(fact, found[0])
    return answer


def masked(fact: str, values: Sequence[str]) -> str:
    """A pattern of a fact in which each value may stand as it is or as any placeholder."""
    if not values:
        return re.escape(fact)
    pieces = re.split("(" + "|".join(re.escape(v) for v in sorted(values, key=len, reverse=True)) + ")", fact)
    return "".join(f"(?:{re.escape(p)}|{PLACEHOLDER})" if p in values else re.escape(p) for p in pieces)


def seen_of(record: str, sent: str) -> float:
    """Share of a record's different words that a text holds."""
    wanted, held = ({w.casefold() for w in WORD.findall(text)} for text in (record, sent))
    return len(wanted & held) / len(wanted) if wanted else 1.0


def cases_of(name: str, data: Path, limit: int | None, seed: int) -> list[Case]:
    """A sample of a set's questions."""
    records = [r for r in read_lines(data / name / f"questions.{SPLITS[name]}.jsonl.gz") if r["answerable"]]
    drawn = random.Random(seed).sample(records, min(limit or SIZES[name], len(records)))
    wanted = {str(r["doc_ids"][0]) for r in drawn}
    texts = {d["id"]: str(d["text"]) for d in read_lines(data / name / "documents.jsonl.gz") if d["id"] in wanted}
    return [
        Case(asked(r, numbers=name == "tatqa"), facts_of(r), texts[str(r["doc_ids"][0])])
        for r in sorted(drawn, key=lambda r: str(r["doc_ids"][0]))
    ]


def facts_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What the answer is made of, as the document has it."""
    meta = record["meta"]
    return () if meta.get("needs_reasoning") else tuple(map(str, meta.get("facts") or record["answers"][:1]))


def measure_sensitivity(data: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Every question once in each kind of collection, through the whole agent, with an oracle on a loopback server.

    Args:
        data: the folder of data sets.
        limit: questions of each set; 200 of `tatqa` and all 108 of `agentclinic` by default.
        seed: of the samples and of the intervals.
    """
    return {"rows": [row for name in SIZES for row in rows_of(name, data, limit, seed)]}


def rows_of(name: str, data: Path, limit: int | None, seed: int) -> list[dict[str, Any]]:
    """One set under each sensitivity, and with nobody to ask."""
    cases = cases_of(name, data, limit, seed)
    rows = []
    with TemporaryDirectory(prefix="understudy-bench-") as room:
        documents = documents_of([c.asked for c in cases], name, data, Path(room))
        for mode in (*MODES, "never"):
            oracle = Oracle()
            with serving(oracle) as server:
                with Agent.open(Path(room) / mode, settings=settings_of(mode, server.url)) as agent:
                    agent.ingest([documents])
                    answers = [
                        played(agent, oracle, case) for case in shown(hidden_in(cases, agent), f"{name}, {mode}")
                    ]
                sent = sum(len(r.body) for r in server.requests)
            rows.append({"set": name, "collection": mode, **figures_of(cases, answers, oracle.seen, sent, seed)})
    return rows


def hidden_in(cases: Sequence[Case], agent: Agent) -> list[Case]:
    """The cases with what of their facts gives way to placeholders."""
    redactor = Redactor(agent.egress.dictionaries.of(["default"]).values)
    found = {record: {f.text for f in redactor.find(record)} for record in {case.record for case in cases}}
    return [replace(c, values=tuple(v for v in found[c.record] if v in " ".join(c.facts))) for c in cases]


def shown(cases: Sequence[Case], label: str) -> Iterator[Case]:
    """One by one, behind a progress bar."""
    with bar(label, len(cases)) as advance:
        for number, case in enumerate(cases, 1):
            yield case
            advance(number, None)


def played(agent: Agent, oracle: Oracle, case: Case) -> Answer:
    """A question asked, with the oracle knowing which."""
    oracle.case = case
    return agent.ask(case.asked.text, document=case.asked.document)


def settings_of(mode: str, url: str) -> Settings:
    """A collection of this sensitivity, one expert in the cloud, and a fixed threshold, so that the same drafts go."""
    table = {"egress": "never"} if mode == "never" else {"sensitivity": mode}
    expert = ExpertSettings(name="oracle", model="openai:oracle", base_url=url, retries=0)
    return Settings(
        experts=(expert,),
        collections={"default": CollectionSettings.model_validate(table)},
        deferral=DeferralSettings(min_confidence=0.5, audit_rate=0.0),
    )


def figures_of(
    cases: Sequence[Case], answers: Sequence[Answer], seen: Sequence[float], sent: int, seed: int
) -> dict[str, Any]:
    """How well a set was answered, by whom, and what left for it."""
    quality = [right_text(case.asked, answer.text) for case, answer in zip(cases, answers, strict=True)]
    return {
        "quality": interval(quality, seed),
        "by_the_expert": sum(a.route == "expert" for a in answers),
        "asked_the_expert": len(seen),
        "words_of_the_document_sent": round(sum(seen) / len(seen), 3) if seen else 0.0,
        "kilobytes_sent": round(sent / 1000, 1),
    }
