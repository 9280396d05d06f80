"""The audit log in plain words."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from understudy.apps.chat.holdings import TAKES
from understudy.apps.chat.panels import many, note
from understudy.privacy.audit.verify import Verification

__all__ = ["KINDS", "in_words", "log_panel", "verified"]

KINDS = {
    "Everything": None,
    "What left": "egress",
    "What came back": "result",
    "What was held back": "refusal",
    "What people decided": "approval",
    "What was erased": "erasure",
    "Interruptions": "interruption",
}
TITLES = {
    "egress": "left",
    "result": "came back",
    "refusal": "held back",
    "approval": "decided",
    "erasure": "erased",
    "interruption": "interrupted",
}
RULES = {
    "policy": "the collection's policy forbids it",
    "protected value": "a protected value was left in it",
    "redaction": "there was nothing to replace its identifiers with",
    "pattern": "one of the owner's patterns took too long",
    "transport": "its bytes couldn't be seen, or were others than those checked",
    "approval": "nobody agreed",
    "budget": "the budget is spent",
}


def log_panel(records: Sequence[Mapping[str, Any]], total: int) -> str:
    """Records, latest first.

    Args:
        records: those shown.
        total: that the filter lets through.
    """
    if not total:
        words = "Nothing of this kind so far. What leaves this machine, is held back, decided or erased shows here."
        return f'<section class="u-panel u-empty"><h3>No records</h3><p>{words}</p></section>'
    rows = "".join(record_line(record) for record in records)
    said = f"The latest {len(records)} of {many(total, 'record')}" if total > len(records) else many(total, "record")
    return f'<section class="u-log-list"><p class="u-note">{said}. Times are UTC.</p><ol>{rows}</ol></section>'


def record_line(record: Mapping[str, Any]) -> str:
    """One record."""
    kind, time = str(record["kind"]), html.escape(str(record["time"])[:19].replace("T", " "))
    return (
        f'<li><span class="u-pill u-was-{kind}">{TITLES[kind]}</span> '
        f'<span class="u-when"><b>{record["number"]}</b> · <time>{time}</time></span>'
        f"<p>{html.escape(in_words(record))}</p></li>"
    )


def in_words(record: Mapping[str, Any]) -> str:
    """What a record says, as a sentence."""
    match record["kind"]:
        case "egress":
            return egress(record)
        case "result":
            return result(record)
        case "refusal":
            why = RULES.get(record["rule"], record["rule"])
            return f"{many(record['bytes'], 'byte')} for {receiver(record)} were held back, on {asked(record)}: {why}."
        case "approval":
            verb = {"approved": "agreed", "edited": "agreed, with a message of their own,", "refused": "refused"}
            return (
                f"{record['by']} {verb[record['decision']]} that {record['expert']} gets what was shown, "
                f"on {asked(record)}."
            )
        case "erasure":
            gone = ", ".join(many(n, *TAKES.get(what, (what, what))) for what, n in record["gone"].items() if n)
            return f"{record['by']} erased a document of {record['collection']}: {gone or 'nothing else went'}."
        case _:
            stored = "was stored all the same" if record["stored"] else "was never stored"
            return f"The write before was cut short; its record {stored}."


def egress(record: Mapping[str, Any]) -> str:
    """Something left."""
    values = sum(record["replaced"].values())
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(record["replaced"].items()))
    hidden = f"{many(values, 'value')} replaced ({kinds})" if values else "no value replaced"
    by = ", written by a person," if record.get("edited") else ""
    policy = f" under the policy “{record['policy']}”" if record["policy"] else ""
    most = record.get("worst")
    cost = f"; it may cost ${most['usd']:.5f} at most" if most else ""
    host = f" ({record['host']})" if record["host"] else ""
    size = many(record["bytes"], "byte")
    return f"{size}{by} went to {receiver(record)}{host}, on {asked(record)}{policy}; {hidden}{cost}."


def result(record: Mapping[str, Any]) -> str:
    """What came of it."""
    spent = record["spent"]
    cost = "its cost is unknown" if spent is None else f"it cost ${spent['usd']:.5f}"
    tries = f" after {record['attempts']} attempts" if record.get("attempts", 1) > 1 else ""
    said = {"answered": "answered", "failed": "gave no usable answer to", "not sent": "was not sent"}[record["status"]]
    error = f" ({record['error']})" if record["error"] else ""
    return f"{record['expert']} {said} record {record['of']}{error}{tries}; {cost}."


def receiver(record: Mapping[str, Any]) -> str:
    """Who gets it."""
    return f"the tool {record['expert']}" if record.get("receiver") == "tool" else str(record["expert"])


def asked(record: Mapping[str, Any]) -> str:
    """Which question it was for."""
    return f"{record['principal']}'s question about {record['collection']}"


def verified(found: Verification) -> str:
    """What a check of the log found."""
    if found.ok:
        head = f" Note its head elsewhere, to prove later that nothing was cut off: {found.head}" if found.head else ""
        return note(f"The log is as it was written: {many(found.records, 'genuine record')}.{head}", "good")
    lines = "".join(f"<li>{html.escape(finding.what)}</li>" for finding in found.findings)
    count = many(len(found.findings), "thing is", "things are")
    return f'<div class="u-note u-bad" role="alert"><p>{count} not as written:</p><ul>{lines}</ul></div>'
