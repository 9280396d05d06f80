"""The whole story on sample documents: ingest, a dozen questions of different kinds, an expert's help, the cache."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from understudy.agents import Agent
from understudy.apps.present import answer_panel, show_ingest
from understudy.core.errors import WorkspaceError
from understudy.core.types import Answer

__all__ = ["run_demo"]

SAMPLES = Path(__file__).parent / "samples"
SETTINGS = """\
[deferral]
min_confidence = 0.5  # a fixed threshold: a promise takes over a hundred labels
audit_rate = 0

[[experts]]
name = "replay"
model = "recorded:recorded-answers.jsonl"
input_usd_per_mtok = 1.25
output_usd_per_mtok = 10.0
"""


@dataclass(frozen=True)
class Outcome:
    """A demo question, what was expected, and what came."""

    kind: str
    expected: str | None
    answer: Answer

    @property
    def right(self) -> bool:
        """Whether everything expected is in the answer; for an unanswerable question, whether none was made up."""
        if self.expected is None:
            return self.answer.route != "local" and all(c.kind == "absence" for c in self.answer.citations)
        text = self.answer.text.replace(",", "")
        return all(part.replace(",", "") in text for part in self.expected.split(", "))


def run_demo(console: Console, *, keep: Path | None = None) -> list[Outcome]:
    """Run the demo in a temporary workspace, or in `keep`."""
    folder = keep or Path(tempfile.mkdtemp(prefix="understudy-demo-"))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = folder / "understudy.toml"
    if settings.exists() and settings.read_text(encoding="utf-8") != SETTINGS:
        raise WorkspaceError(f"{folder} holds settings of its own; name a new folder to keep the demo in")
    try:
        settings.write_text(SETTINGS, encoding="utf-8")
        shutil.copy(SAMPLES / "recorded-answers.jsonl", folder)
        with Agent.open(folder) as agent:
            return tell(console, agent)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def tell(console: Console, agent: Agent) -> list[Outcome]:
    """Ingest, ask, ask again, sum up."""
    console.rule("Documents")
    show_ingest(console, agent.ingest([SAMPLES / "documents"]))
    model = agent.model.name.partition("@")[0]
    console.print(f"Small model: {model}, on this machine. Expert: recorded answers, replayed from a file; no network.")
    console.rule("Questions")
    questions: list[dict[str, Any]] = json.loads((SAMPLES / "questions.json").read_text(encoding="utf-8"))
    outcomes = []
    threads: dict[str, str] = {}  # new ones in every run: a kept workspace remembers the last run's
    for asked in questions:
        answer = agent.ask(asked["question"], thread=threads.get(asked.get("thread", "")))
        if "thread" in asked:
            threads[asked["thread"]] = answer.thread
        outcome = Outcome(asked["kind"], asked["expected"], answer)
        mark = "[green]as expected[/]" if outcome.right else f"[red]expected {asked['expected'] or 'no answer'}[/]"
        console.print(answer_panel(answer, title=f"{asked['kind']} · {asked['question']}"))
        console.print(f"  {steps_line(answer)}  {mark}\n", highlight=False)
        outcomes.append(outcome)
    taught = next((o for o in outcomes if o.answer.route == "expert"), None)
    if taught is not None:
        console.rule("Asked once more: the expert's answer is remembered")
        console.print(answer_panel(agent.ask(taught.answer.question)))
    summary(console, outcomes)
    return outcomes


def steps_line(answer: Answer) -> str:
    """The steps, in a row."""
    return " → ".join(step.kind for step in answer.steps) or "recalled"


def correctness(outcomes: list[Outcome]) -> list[tuple[str, str]]:
    """Rows that keep the small model's own answers apart from the recorded ones, which are right by design."""
    own = [o for o in outcomes if o.answer.route in ("local", "declined")]
    lent = [o for o in outcomes if o.answer.route in ("expert", "cache")]
    alone = f"{sum(o.right for o in own)} of {len(own)} as expected" if own else "answered nothing by itself"
    lines = f"{sum(o.right for o in lent)} of {len(lent)} as expected; written beforehand, not measured"
    return [("small model alone", f"{alone}, of {len(outcomes)} questions"), ("recorded expert", lines)]


def summary(console: Console, outcomes: list[Outcome]) -> None:
    """Routes, correctness, cost, time and reuse."""
    answers = [o.answer for o in outcomes]
    routes = {r: sum(a.route == r for a in answers) for r in ("local", "cache", "expert", "declined")}
    small = [a.tokens.small for a in answers]
    evaluated, reused = sum(s.evaluated for s in small), sum(s.reused for s in small)
    share = reused / max(1, evaluated + reused)
    cost = sum(a.cost_usd for a in answers)
    consulted = [a.cost_usd for a in answers if a.cost_usd]
    always = len(answers) * sum(consulted) / len(consulted) if consulted else 0.0
    table = Table(title="Summary", show_header=False)
    table.add_row("routes", ", ".join(f"{n} {r}" for r, n in routes.items() if n))
    for label, text in correctness(outcomes):
        table.add_row(label, text)
    table.add_row("cost", f"${cost:.4f}; always asking the expert, about ${always:.4f}")
    table.add_row("seconds", f"{sum(a.latency_s for a in answers):.1f} in all")
    table.add_row("prompt tokens", f"{evaluated} evaluated, {reused} reused ({share:.0%})")
    table.add_row("other tokens", f"{sum(s.forced for s in small)} forced, {sum(s.generated for s in small)} sampled")
    console.print(table)
