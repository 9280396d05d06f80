"""What the documents page says: collections with what leaves of them, files on their way, what a deletion takes."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from understudy.agents.erasure.erasure import ErasureReport
from understudy.apps.chat.adding import File
from understudy.apps.chat.panels import many
from understudy.core.settings import Sensitivity

__all__ = ["SENSITIVITIES", "TAKES", "collection_label", "collection_panel", "deletion", "deletion_done", "progress"]

SENSITIVITIES: dict[Sensitivity, str] = {
    "open": "an expert may read the text as it is",
    "redacted": "names, numbers and other identifiers are replaced before anything leaves the house",
    "local": "no text ever leaves; an expert gets the question alone, identifiers replaced",
}
ALLOWS = {
    "nothing": "nothing",
    "question": "the question alone, identifiers replaced",
    "redacted": "the text it needs, identifiers replaced",
    "all": "the text it needs, as it is",
}
FATES = {
    "waiting": ("·", "waiting"),
    "reading": ("…", "reading"),
    "added": ("✓", "added"),
    "updated": ("✓", "replaced the earlier one"),
    "unchanged": ("=", "unchanged: it is there already"),
    "failed": ("✗", "not added"),
}
TAKES = {
    "passages": ("passage", "passages"),
    "cache_entries": ("remembered answer", "remembered answers"),
    "examples": ("example", "examples"),
    "outcomes": ("comparison", "comparisons"),
    "threads": ("conversation", "conversations"),
    "job_answers": ("answer of a job", "answers of jobs"),
    "placeholders": ("replaced value", "replaced values"),
    "adapters": ("adapter", "adapters"),
}


def collection_label(name: str, documents: int, sensitivity: str) -> str:
    """A collection in the list; Gradio escapes it."""
    return f"{name}\n{many(documents, 'document')} · {sensitivity}"


def collection_panel(name: str, sensitivity: Sensitivity, rules: Sequence[Mapping[str, Any]]) -> str:
    """A collection: how sensitive it is, and what every expert may get of it.

    Args:
        name: of the collection.
        sensitivity: by the policy in force.
        rules: of `Policy.listing`, this collection's.
    """
    lines = "".join(
        f"<li><b>{html.escape(str(rule['expert']))}</b> ({html.escape(str(rule['reach']))}): "
        f"{ALLOWS[str(rule['allows'])]}{', once somebody has agreed' if rule['asks'] else ''}</li>"
        for rule in rules
    )
    experts = f"<p>What an expert may get:</p><ul>{lines}</ul>" if rules else "<p>No expert is configured.</p>"
    pill = f'<span class="u-pill u-is-{sensitivity}">{sensitivity}</span>'
    return (
        f'<section class="u-panel"><h3>{html.escape(name)} {pill}</h3>'
        f"<p>{SENSITIVITIES[sensitivity].capitalize()}.</p>{experts}</section>"
    )


def progress(files: Sequence[File]) -> str:
    """Files on their way, a line for each."""
    if not files:
        return ""
    done = sum(f.done for f in files)
    rows = "".join(line(file) for file in files)
    said = f"{done} of {many(len(files), 'file')} done"
    bar = f'<progress max="{len(files)}" value="{done}" aria-label="{said}"></progress>'
    return f'<div class="u-files"><p role="status">{said}</p>{bar}<ul>{rows}</ul></div>'


def line(file: File) -> str:
    """One file."""
    mark, words = FATES[file.fate]
    more = f": {html.escape(file.words)}" if file.words else ""
    return (
        f'<li class="u-file u-{file.fate}"><span aria-hidden="true">{mark}</span> '
        f"<b>{html.escape(file.name)}</b> <span>{words}{more}</span></li>"
    )


def deletion(reports: Sequence[ErasureReport]) -> str:
    """What would go, before anybody agrees."""
    names = "".join(f"<li><b>{html.escape(r.document)}</b>: {takes(r)}</li>" for r in reports)
    return (
        f'<div class="u-sure" role="alert"><p>Delete {many(len(reports), "document")} for good? '
        f"This can't be undone, and takes all that rests on {'it' if len(reports) == 1 else 'them'}.</p>"
        f"<ul>{names}</ul></div>"
    )


def deletion_done(reports: Sequence[ErasureReport]) -> str:
    """What went, in one line."""
    names = ", ".join(r.document for r in reports)
    return f"Deleted for good: {names}. The audit log notes it without the name."


def takes(report: ErasureReport) -> str:
    """What goes with one document."""
    found = [(getattr(report, kind), words) for kind, words in TAKES.items() if kind != "adapters"]
    parts = [many(count, *words) for count, words in found if count]
    parts += [f"the adapter {html.escape(name)} is withdrawn" for name in report.adapters]
    return ", ".join(parts) or "nothing else rests on it"
