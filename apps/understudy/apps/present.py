"""Answers and reports as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from understudy.agents.deferral.derive import Derivation
from understudy.agents.deferral.reliability import Calibration, Estimate
from understudy.agents.erasure.erasure import ErasureReport
from understudy.core.types import Answer, Citation
from understudy.retrieval.ingest import IngestReport

__all__ = ["answer_panel", "show_calibration", "show_documents", "show_ingest", "show_status"]

COLOURS = {"local": "green", "cache": "cyan", "expert": "magenta", "declined": "yellow"}


def citation_line(citation: Citation) -> str:
    """Where, and the words there."""
    where = escape(" · ".join(part for part in (citation.document, citation.location) if part))
    if citation.kind == "absence":
        return f"[dim]searched[/] {where}"
    quote = " ".join(citation.quote.split())
    return f"[dim]{where}[/]  “{escape(quote if len(quote) < 160 else quote[:159] + '…')}”"


def answer_panel(answer: Answer, *, title: str | None = None) -> Panel:
    """An answer in a frame whose colour is its route."""
    colour = COLOURS[answer.route]
    by = f" by {answer.expert}" if answer.expert and answer.route == "expert" else ""
    used = f"confidence {answer.confidence:.2f} · ${answer.cost_usd:.5f} · {answer.latency_s:.2f} s"
    body = [f"[bold]{escape(answer.text)}[/]"]
    body += [citation_line(c) for c in answer.citations]
    body.append(f"[dim]{escape(answer.reason)}[/]")
    return Panel(
        "\n".join(body),
        title=escape(title or answer.question),
        title_align="left",
        subtitle=f"[{colour}]{answer.route}{by}[/] · {used}",
        subtitle_align="right",
        border_style=colour,
    )


def show_ingest(console: Console, report: IngestReport) -> None:
    """What an ingest did, failures last."""
    counts = [f"{n} {what}" for what in ("added", "updated", "unchanged", "removed") if (n := getattr(report, what))]
    rate = report.passages / report.seconds if report.seconds else 0.0
    console.print(
        f"{', '.join(counts) or 'nothing to do'}; {report.passages} passages in {report.seconds:.1f} s ({rate:.0f}/s)"
    )
    for path, reason in report.failed:
        console.print(f"[red]left out[/] {escape(path)}: {escape(reason)}")


def show_documents(console: Console, found: Sequence[Mapping[str, str]]) -> None:
    """Every document's id, by collection."""
    table = Table("collection", "document", "version")
    for held in found:
        table.add_row(escape(held["collection"]), escape(held["id"]), held["version"][:12])
    console.print(table if found else "no documents yet; understudy ingest brings some in")


def show_status(console: Console, found: Mapping[str, Any]) -> None:
    """What `Agent.status` gives."""
    model, spent, promise = found["small_model"], found["spent_this_month"], found["deferral"]
    console.print(f"[bold]workspace[/]    {escape(found['workspace'])}", highlight=False)
    console.print(f"[bold]small model[/]  {escape(model['name'])}, {model['profile']}", highlight=False)
    console.print(
        f"[bold]learned[/]      {found['cached_answers']} answers of experts remembered, {found['examples']} examples"
    )
    store = found["example_store"]
    if store["workspace"]:  # else they lie in the workspace, as everything does
        where = f"{store['database']} as {store['workspace']}"
        console.print(f"[bold]examples in[/]  {escape(where)}", highlight=False)
    if found["ner"]:
        console.print(
            f"[bold]names[/]        by word lists, and by the model in {escape(found['ner'])}", highlight=False
        )
    console.print(
        f"[bold]this month[/]   ${spent['usd']:.4f} in {spent['calls']} calls, {spent['tokens']} tokens",
        highlight=False,
    )
    if found["audit"]:  # who may not read it is told nothing of it
        log = found["audit"]
        ends = escape(log["trouble"]) if log["trouble"] else "it ends as its head says, which is kept in"
        where = "" if log["trouble"] else f" {escape(log['head'])}"
        console.print(f"[bold]audit log[/]    {log['records']} records; {ends}{where}", highlight=False, soft_wrap=True)
    collections = Table("collection", "sensitivity", "documents")
    for name, held in found["collections"].items():
        collections.add_row(escape(name), held["sensitivity"], str(held["documents"]))
    console.print(collections if found["collections"] else "no documents yet; understudy ingest brings some in")
    if found["experts"]:
        console.print(experts_table(found["experts"]))
        console.print(policy_table(found["policy"]))
    if "why" in promise:
        fixed = promise["threshold"]
        console.print(f"nothing is promised: {promise['why']}" + ("" if fixed is None else f" ({fixed:g})"))
    else:
        show_promise(console, Derivation.model_validate(promise))
    for server in found["mcp"]:
        show_server(console, server)


def show_server(console: Console, server: Mapping[str, Any]) -> None:
    """An MCP server with its tools, and why some aren't on offer."""
    offered = "" if server["offered"] else "; this small model is not given them: it can't write what they are asked"
    state = f"can't be reached: {server['down']}" if server["down"] else ", ".join(server["tools"]) or "no tools"
    console.print(f"[bold]MCP server[/]   {escape(server['name'])} ({server['reach']}): {escape(state)}{offered}")
    for tool, why in server["left_out"].items():
        console.print(f"  {tool} is left out: {why}", highlight=False, markup=False)


def experts_table(experts: Sequence[Mapping[str, Any]]) -> Table:
    """Every expert with what it costs and how often its answers could be used."""
    table = Table("expert", "reach", "$ per million tokens in, out", "skills", "usable of its answers", "")
    for expert in experts:
        answers = [f"{a['usable']} of {a['asked']} ({escape(a['domain'])})" for a in expert["answers"]]
        state = ["recorded"] * expert["recorded"] + ["left alone for a minute: it was down"] * expert["resting"]
        price = ", ".join(f"{usd:g}" for usd in expert["usd_per_mtok"])
        skills = escape(", ".join(expert["skills"]) or "any")
        table.add_row(
            escape(expert["name"]), expert["reach"], price, skills, "\n".join(answers) or "none yet", "; ".join(state)
        )
    return table


GIVEN = {
    "all": "everything, as it is",
    "redacted": "evidence, identifiers replaced",
    "question": "the question alone, identifiers replaced",
    "nothing": "nothing",
}


def policy_table(policy: Sequence[Mapping[str, Any]]) -> Table:
    """What every collection gives every expert."""
    table = Table("collection", "sensitivity", "expert", "reach", "gets")
    for rule in policy:
        gets = GIVEN[rule["allows"]] + ", if a person approves" * rule["asks"]
        table.add_row(escape(rule["collection"]), rule["sensitivity"], escape(rule["expert"]), rule["reach"], gets)
    return table


def show_promise(console: Console, held: Derivation) -> None:
    """The threshold with its grounds."""
    loss = f"{held.max_quality_loss:g} at most, with {held.confidence:.0%} confidence"
    if held.threshold is not None:
        console.print(f"threshold {held.threshold:.2f}: loss against always asking the expert {loss}")
        console.print(f"about {held.consults:.0%} of questions go to an expert, audits aside")
    elif held.missing:
        console.print(f"nothing is promised yet (loss {loss}): {held.missing} more labels are needed at the least")
    else:
        console.print(f"no threshold keeps the promise (loss {loss}); everything is deferred")
    console.print(
        f"{held.labels} labels, {held.tested} questions tested on; {held.small_model}, {held.derived}", highlight=False
    )


def show_calibration(console: Console, found: Calibration) -> None:
    """The threshold with its grounds, and the reliability diagram as a table."""
    show_promise(console, found.derivation)
    if not found.bins:
        return
    table = Table("confidence", "as good as the expert", "drafts")
    for row in found.bins:
        table.add_row(f"{row.confidence:.2f}", f"{row.right:.2f}", str(row.n))
    console.print(table)
    for name, figure in (("ECE", found.ece), ("AUROC", found.auroc), ("share right", found.accuracy)):
        console.print(f"{name} {interval_of(figure)}", highlight=False)


def interval_of(figure: Estimate | None) -> str:
    """A figure with its 95% interval."""
    if figure is None:
        return "can't be measured: all drafts are right, or all wrong"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f}), n = {figure.n}"


def show_refinement(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """What became of every domain."""
    if not found:
        console.print("nothing to learn from yet")
    for run in found:
        state = "live" if run["promoted"] else "not live"
        name = f"{run['domain']} {run['version'] or ''}".strip()
        console.print(f"{name}: {state}; {run['reason']}", highlight=False, markup=False)
        for reason, count in (run["rejected"] or {}).items():
            console.print(f"  {count} examples left out: {reason}", highlight=False, markup=False)
        small = (run["training"] or {}).get("small_model")
        if small is not None:
            console.print(f"  {of_small_model(small)}", highlight=False, markup=False)


def of_small_model(figures: Mapping[str, Any]) -> str:
    """What became of the small model's own training, as a line."""
    if "left_out" in figures:
        return f"the small model was not trained, the reader alone was: {figures['left_out']}"
    return (
        f"the small model: {figures['rows']} transcripts, {figures['steps']} steps, held-out loss "
        f"{figures['before']:.3f} → {figures['after']:.3f}"
    )


def state_of(adapter: Mapping[str, Any]) -> str:
    """Whether it is in force, or can't be."""
    return "live" if adapter["live"] else "withdrawn" if adapter["withdrawn"] else ""


def show_erasure(console: Console, found: ErasureReport) -> None:
    """What went, by kind, and which adapters were withdrawn."""
    kinds = {
        "passages": found.passages,
        "cache entries": found.cache_entries,
        "examples": found.examples,
        "outcomes": found.outcomes,
        "threads": found.threads,
        "placeholders": found.placeholders,
        "rows of jobs": found.job_answers,
        "adapters": len(found.adapters),
    }
    done, go, withdraw = ("erased", "went", "withdrawn") if found.done else ("not erased", "would go", "to withdraw")
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    console.print(f"{escape(found.document)}: {done}; {counts} {go}", highlight=False)
    for name in found.adapters:
        console.print(f"{withdraw}: {escape(name)}", highlight=False)


def show_adapters(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """All versions, with what the gate found."""
    if not found:
        console.print("no adapters yet; understudy refine makes them from experts' answers")
        return
    table = Table("domain", "label", "version", "", "agrees with the expert: before", "then", "p", "gate")
    for a in found:
        gate = a["gate"]
        table.add_row(
            escape(a["domain"]), escape(a["label"]), a["version"], state_of(a),
            f"{gate['live']:.2f}", f"{gate['candidate']:.2f}", f"{gate['p']:.3f}", escape(gate["reason"]),
        )  # fmt: skip
    console.print(table)
