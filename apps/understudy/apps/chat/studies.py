"""What the learning page says: the promise, plots with their captions, and what the gate found of adapters."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from understudy.agents.deferral.promise import labels_needed
from understudy.agents.deferral.reliability import Bin
from understudy.apps.chat import plots
from understudy.apps.chat.panels import many, note
from understudy.core.history import Period, Step

__all__ = ["adapter_choices", "adapters_panel", "calibration_panel", "history_panels", "promise_panel", "step_for"]

HOURS_UP_TO = 3
"""Days whose history is drawn by the hour."""
SHOWN = 12
"""Adapters that are drawn, the latest."""


def step_for(days: Sequence[Period]) -> Step:
    """Whether a history is drawn by the day or by the hour."""
    if not days:
        return "day"
    first, last = date.fromisoformat(days[0].begun), date.fromisoformat(days[-1].begun)
    return "hour" if (last - first).days < HOURS_UP_TO else "day"


def panel(title: str, inside: str, caption: str = "") -> str:
    """A piece of the page with its heading; text is escaped, `inside` is HTML."""
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f'<figure class="u-panel"><h3>{html.escape(title)}</h3>{inside}{below}</figure>'


def nothing_yet(title: str, words: str) -> str:
    """Where a plot will be, and how it comes about."""
    return f'<figure class="u-panel u-empty"><h3>{html.escape(title)}</h3><p>{html.escape(words)}</p></figure>'


def history_panels(rows: Sequence[Period], *, everybody: bool) -> str:
    """Consults, quality and cost over time.

    Args:
        rows: of `Agent.history`.
        everybody: whether they count all principals' questions, or one's own.
    """
    whose = "All principals' questions" if everybody else "Your questions"
    return consults(rows, whose) + quality(rows) + cost(rows)


def consults(rows: Sequence[Period], whose: str) -> str:
    """How answers came about."""
    title = "Who answered"
    asked = [row for row in rows if row.asked]
    if not asked:
        return nothing_yet(title, "Ask a question: here you will see how many the small model answers by itself.")
    total = sum(row.asked for row in asked)
    expert = sum(row.routes.get("expert", 0) for row in asked)
    said = f"{whose}: {total:,}, of which {share(expert, total)} went to an expert"
    if len(asked) > 1:
        last = asked[-1]
        said += f"; {share(last.routes.get('expert', 0), last.asked)} in the latest {unit(last)}"
    return panel(title, plots.draw_routes(asked), f"{said}. Deleted conversations are not counted. Times are UTC.")


def quality(rows: Sequence[Period]) -> str:
    """How good the small model's drafts were."""
    title = "Quality of the small model"
    known = [row for row in rows if row.quality is not None or row.good + row.bad]
    if not known:
        words = "It shows once drafts have been compared with an expert's answers, or people have said what is right."
        return nothing_yet(title, words)
    compared, judged = sum(row.compared for row in known), sum(row.good + row.bad for row in known)
    right = sum(row.good for row in known)
    parts = []
    if compared:
        good = sum((row.quality or 0) * row.compared for row in known) / compared
        parts.append(f"{good:.0%} of {many(compared, 'compared draft')} as good as the expert's answer")
    if judged:
        parts.append(f"{right} of {many(judged, 'answer')} found right by people")
    said = f"{'; '.join(parts)}. Each point is the mean of the latest {plots.LATEST} or more."
    return panel(title, plots.draw_quality(known), said)


def cost(rows: Sequence[Period]) -> str:
    """What experts took."""
    title = "Cost so far"
    calls = sum(row.spend.calls for row in rows)
    if not calls:
        return nothing_yet(title, "No expert was called so far, so nothing was spent.")
    usd, asked = sum(row.spend.usd for row in rows), sum(row.asked for row in rows)
    if usd:
        said = f"${usd:.4f} for {many(calls, 'call')}; asking for each of {many(asked, 'question')} "
        said += f"would have taken about ${usd / calls * asked:.4f}"
    else:
        said = f"{many(calls, 'call')} to experts without a price, of {many(asked, 'question')}"
    return panel(title, plots.draw_cost(rows), f"{said}.")


def calibration_panel(bins: Sequence[Bin]) -> str:
    """How far the confidence can be believed."""
    title = "Can the confidence be believed?"
    if not bins:
        words = (
            "It shows once some drafts have been compared with an expert's answers: of answers with 80% confidence, "
            "80% should be as good as the expert's."
        )
        return nothing_yet(title, words)
    count = sum(b.n for b in bins)
    off = sum(b.n * abs(b.confidence - b.right) for b in bins) / count
    said = f"{many(count, 'compared draft')}, in groups of like confidence: off by {off:.0%} on average"
    said += ". On the dotted line it would be exact; the bars say how far chance alone may lead (95%)."
    return panel(title, plots.draw_reliability(bins), said)


def promise_panel(promise: Mapping[str, Any]) -> str:
    """The threshold in force, and what is missing for the promise.

    Args:
        promise: of `Agent.promise`.
    """
    inside = "".join(f"<p>{line}</p>" for line in promise_lines(promise)) + progress_of(promise)
    return f'<section class="u-panel u-promise"><h3>The promise</h3>{inside}</section>'


def promise_lines(promise: Mapping[str, Any]) -> list[str]:
    """What the promise is, in sentences; HTML."""
    threshold = promise["threshold"]
    if "why" in promise:
        reason = html.escape(str(promise["why"]))
        if threshold is None:
            return [f"Nothing is promised: {reason}. The small model answers everything."]
        return [f"Answers are accepted from a confidence of <b>{threshold:.0%}</b> on: {reason}. Nothing is promised."]
    loss, sure = promise["max_quality_loss"], promise["confidence"]
    wanted = f"lose no more than {loss:.1%} of quality against always asking the expert, with {sure:.0%} confidence"
    if threshold is not None:
        return [
            f"Answers are accepted from a confidence of <b>{threshold:.0%}</b> on. So they {wanted}.",
            f"About {promise['consults']:.0%} of questions go to an expert. "
            f"It rests on {many(promise['tested'], 'compared question')}.",
        ]
    if promise["missing"]:
        return [
            f"The aim: answers that {wanted}.",
            f"<b>{many(promise['missing'], 'comparison')}</b> with the expert are missing at least. Until they are "
            "there, questions go to the expert; each one that does brings a comparison.",
        ]
    return [
        f"The aim: answers that {wanted}.",
        f"{many(promise['tested'], 'comparison')} are there, and no threshold keeps it yet: the small model's drafts "
        "lose too much, so questions go to the expert. More comparisons, or an adapter, change that.",
    ]


def progress_of(promise: Mapping[str, Any]) -> str:
    """How many of the labels that are needed are there."""
    if "why" in promise or not promise["missing"]:
        return ""
    needed = labels_needed(promise["max_quality_loss"], promise["confidence"])
    there = max(0, needed - promise["missing"])
    if needed >= 10**9:
        return note("With a loss of 0 nothing can ever be promised; set deferral.max_quality_loss.")
    said = f"{there} of {needed} comparisons"
    return f'<progress max="{needed}" value="{there}" aria-label="{said}"></progress><p class="u-note">{said}</p>'


def adapter_choices(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Adapters in the list, latest first, each with its place in `rows`; Gradio escapes them."""
    return [(adapter_label(row), at) for at, row in reversed(list(enumerate(rows)))]


def adapter_label(row: Mapping[str, Any]) -> str:
    """An adapter, and what became of it."""
    where = row["domain"] if row["label"] == row["domain"] else f"{row['domain']}, {row['label']}"
    fate = "passed the gate" if row["gate"]["promoted"] else "turned down"
    state = "withdrawn" if row["withdrawn"] else "in force" if row["live"] else fate
    return f"{where} {row['version']} · {state}\n{gate_words(row)}"


def gate_words(row: Mapping[str, Any]) -> str:
    """What the gate found, in one line."""
    gate = row["gate"]
    if row["withdrawn"]:
        return str(row["withdrawn"])
    if gate["missing"]:
        return str(gate["reason"])
    gain = f"{gate['live']:.0%} before, {gate['candidate']:.0%} with it, on {many(gate['questions'], 'question')}"
    return f"{gain}; {gate['reason']}"


def adapters_panel(rows: Sequence[dict[str, Any]]) -> str:
    """What the gate found of every adapter, as a plot."""
    title = "Adapters at the gate"
    if not rows:
        words = (
            "What experts and people say is kept as examples; once there are enough, the owner runs “understudy "
            "refine”, and each adapter that comes of it shows here beside the model before it."
        )
        return nothing_yet(title, words)
    played = [row for row in rows if not row["gate"]["missing"]][-SHOWN:][::-1]
    if not played:
        return nothing_yet(title, "None could be measured yet: the gate had too few examples.")
    passed = sum(row["gate"]["promoted"] for row in played)
    return panel(title, plots.draw_gates(played), f"{passed} of {many(len(played), 'adapter')} passed the gate.")


def share(part: int, whole: int) -> str:
    """A share as people say it."""
    return f"{part / whole:.0%}" if whole else "none"


def unit(row: Period) -> str:
    """What a period is called."""
    return "hour" if "T" in row.begun else "day"
