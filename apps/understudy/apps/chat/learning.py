"""The learning page: how often the expert is asked, how good and how dear answers are, adapters, and the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from understudy.agents import Agent
from understudy.apps.chat import happened, studies
from understudy.apps.chat.panels import QUIET, note, when_selected, who
from understudy.core.access import Principal
from understudy.core.errors import UnderstudyError, UserError
from understudy.privacy.audit.reading import Selection, moment

__all__ = ["build"]

PAGE = 25
"""Records of the audit log shown at first, and more at a time."""
Update = dict[Any, Any]
OWNERS = "How far the confidence can be believed, adapters' promotion and the audit log are for the owner to see."


@dataclass(frozen=True)
class Page:
    """The parts of the page that change."""

    said: gr.HTML
    promise: gr.HTML
    derive: gr.Button
    history: gr.HTML
    gates: gr.HTML
    adapters: gr.Radio
    promote: gr.Button
    rollback: gr.Button
    sure: gr.Column
    question: gr.HTML
    yes: gr.Button
    no: gr.Button
    pending: gr.State
    """What somebody is asked about: promote or rollback, domain, label, version."""
    log: gr.Column
    kind: gr.Dropdown
    collection: gr.Textbox
    since: gr.Textbox
    records: gr.HTML
    more: gr.Button
    shown: gr.State
    verify: gr.Button
    verified: gr.HTML


def build(agent: Agent) -> None:
    """Lay the page out within a tab.

    Args:
        agent: whose workspace.
    """
    with gr.Column(elem_classes="u-study"):
        promise = gr.HTML(elem_id="u-promise")
        derive = gr.Button("Derive the threshold anew", visible=False, elem_id="u-derive")
        history = gr.HTML(note("Drawing …"), elem_id="u-history")
        gr.HTML("<h2>Adapters</h2>")
        with gr.Row(elem_classes="u-two"):
            with gr.Column(scale=2, min_width=300):
                gates = gr.HTML(elem_id="u-gates")
            with gr.Column(scale=3, min_width=300):
                adapters = gr.Radio([], label="Adapter", visible=False, elem_id="u-adapters", elem_classes="u-list")
                with gr.Row():
                    promote = gr.Button("Put in force …", visible=False, interactive=False, elem_id="u-promote")
                    rollback = gr.Button("Roll back …", visible=False, interactive=False, elem_id="u-rollback")
                with gr.Column(visible=False, elem_id="u-certain", elem_classes="u-panel") as sure:
                    question = gr.HTML()
                    with gr.Row():
                        no = gr.Button("Leave as it is", elem_id="u-leave")
                        yes = gr.Button("Do it", variant="primary", elem_id="u-do")
        said = gr.HTML(elem_id="u-done")
        with gr.Column(visible=False, elem_id="u-audit") as log:
            gr.HTML("<h2>Audit log</h2>")
            with gr.Row():
                kind = gr.Dropdown(list(happened.KINDS), value="Everything", label="What", filterable=False)
                collection = gr.Textbox(label="Collection", placeholder="any")
                since = gr.Textbox(label="From day (UTC)", placeholder="2026-11-28")
            records = gr.HTML(elem_id="u-records")
            with gr.Row():
                more = gr.Button("Show older", visible=False, elem_id="u-older")
                verify = gr.Button("Check the log", elem_id="u-verify")
            verified = gr.HTML(elem_id="u-verified")
    page = Page(
        said=said,
        promise=promise,
        derive=derive,
        history=history,
        gates=gates,
        adapters=adapters,
        promote=promote,
        rollback=rollback,
        sure=sure,
        question=question,
        yes=yes,
        no=no,
        pending=gr.State(),
        log=log,
        kind=kind,
        collection=collection,
        since=since,
        records=records,
        more=more,
        shown=gr.State(PAGE),
        verify=verify,
        verified=verified,
    )
    connect(Learning(agent, page), page, when_selected)


class Learning:
    """What happens on the page.

    Args:
        agent: whose workspace.
        page: its parts.
    """

    def __init__(self, agent: Agent, page: Page) -> None:
        self.agent, self.page = agent, page

    def opened(self, kind: str, collection: str | None, since: str | None, request: gr.Request) -> Update:
        """Everything as it is now."""
        page = self.page
        try:
            by = who(self.agent, request)
            owner = not by.restricted
            shown = {**self._learned(by), **self._adapters(by)}
            log = self._log(kind, collection, since, PAGE) if owner else {}
        except UnderstudyError as error:
            return {page.said: note(str(error), "bad")}
        return {
            **shown,
            **log,
            page.derive: gr.update(visible=owner and bool(len(self.agent.experts))),
            page.log: gr.update(visible=owner),
            page.said: note("" if owner else OWNERS),
            page.verified: "",
        }

    def _learned(self, by: Principal) -> Update:
        """The promise and the plots."""
        rows = self.agent.history("day", principal=by.name)
        if studies.step_for(rows) == "hour":
            rows = self.agent.history("hour", principal=by.name)
        drawn = studies.history_panels(rows, everybody=not by.restricted)
        if not by.restricted:
            drawn += studies.calibration_panel(self.agent.reliability(principal=by.name))
        return {
            self.page.promise: studies.promise_panel(self.agent.promise()),
            self.page.history: f'<div class="u-plots">{drawn}</div>',
        }

    def _adapters(self, by: Principal) -> Update:
        """What the gate found, and which adapter is in force."""
        page, rows = self.page, self.agent.adapters(principal=by.name)
        button = gr.update(visible=bool(rows) and not by.restricted, interactive=False)
        return {
            page.gates: f'<div class="u-plots">{studies.adapters_panel(rows)}</div>',
            page.adapters: gr.update(choices=studies.adapter_choices(rows), value=None, visible=bool(rows)),
            page.promote: button,
            page.rollback: button,
            page.sure: gr.update(visible=False),
            page.pending: None,
        }

    def chosen(self, at: int | None, request: gr.Request) -> Update:
        """What can be done with an adapter."""
        row = self._row(at, request)
        live = row is not None and row["live"]
        fit = row is not None and row["gate"]["promoted"] and not row["withdrawn"] and not live
        return {
            self.page.promote: gr.update(interactive=fit),
            self.page.rollback: gr.update(interactive=live),
            self.page.sure: gr.update(visible=False),
            self.page.pending: None,
        }

    def _row(self, at: int | None, request: gr.Request) -> dict[str, Any] | None:
        rows = self.agent.adapters(principal=who(self.agent, request).name)
        return rows[at] if at is not None and 0 <= at < len(rows) else None

    def asked(self, what: str, at: int | None, request: gr.Request) -> Update:
        """Ask before anything changes."""
        row = self._row(at, request)
        if row is None:
            return {self.page.sure: gr.update(visible=False)}
        name = f"{row['version']} of {row['domain']}"
        words = (
            f"Put {name} in force? Questions in flight finish with the model before; the threshold is derived anew."
            if what == "promote"
            else f"Go back from {name} to the one before it? The threshold is derived anew."
        )
        return {
            self.page.question: note(words, "bad").replace("u-bad", "u-asks"),
            self.page.sure: gr.update(visible=True),
            self.page.pending: (what, row["domain"], row["label"], row["version"]),
        }

    def done(self, pending: tuple[str, str, str, str] | None, request: gr.Request) -> Iterator[Update]:
        """Do what was agreed to."""
        page = self.page
        hidden: Update = {page.sure: gr.update(visible=False), page.pending: None}
        yield {**hidden, page.said: note("Changing the model, and deriving its threshold …" if pending else "", "good")}
        if pending is None:
            return
        what, domain, label, version = pending
        try:
            by = who(self.agent, request)
            if what == "promote":
                self.agent.promote(domain, version, label=label, principal=by.name)
                words = f"{version} of {domain} is in force."
            else:
                before = self.agent.rollback(domain, label=label, principal=by.name)
                words = f"{before or 'The small model without an adapter'} is in force for {domain} again."
        except UnderstudyError as error:
            yield {page.said: note(str(error), "bad")}
            return
        yield {**self._learned(by), **self._adapters(by), page.said: note(words, "good")}

    def derived(self, request: gr.Request) -> Iterator[Update]:
        """Derive the threshold anew."""
        yield {self.page.derive: gr.update(interactive=False), self.page.said: note("Deriving the threshold …", "good")}
        try:
            by = who(self.agent, request)
            self.agent.calibrate(principal=by.name)
            shown = {**self._learned(by), self.page.said: note("The threshold was derived anew.", "good")}
        except UnderstudyError as error:
            shown = {self.page.said: note(str(error), "bad")}
        yield {**shown, self.page.derive: gr.update(interactive=True)}

    def _log(self, kind: str, collection: str | None, since: str | None, shown: int) -> Update:
        """The latest records that are wanted."""
        page = self.page
        try:
            wanted = selection(kind, collection, since)
        except UserError as error:
            return {page.records: note(str(error), "bad"), page.more: gr.update(visible=False)}
        found = self.agent.audit.records(wanted)
        return {
            page.records: happened.log_panel(found[::-1][:shown], len(found)),
            page.more: gr.update(visible=len(found) > shown),
            page.shown: shown,
        }

    def filtered(self, kind: str, collection: str | None, since: str | None, request: gr.Request) -> Update:
        """Other records are wanted."""
        return self.older(kind, collection, since, 0, request)

    def older(self, kind: str, collection: str | None, since: str | None, shown: int, request: gr.Request) -> Update:
        """More records are wanted."""
        try:
            who(self.agent, request).administers("read the audit log")
            return self._log(kind, collection, since, shown + PAGE)
        except UnderstudyError as error:
            return {self.page.records: note(str(error), "bad")}

    def checked(self, request: gr.Request) -> str:
        """Whether the log is as it was written."""
        try:
            who(self.agent, request).administers("read the audit log")
            return happened.verified(self.agent.audit.verify())
        except UnderstudyError as error:
            return note(str(error), "bad")


def selection(kind: str, collection: str | None, since: str | None) -> Selection:
    """The filter as a selection. Raises `UserError`."""
    return Selection(
        kind=happened.KINDS.get(kind),
        collection=(collection or "").strip() or None,
        since=moment(since.strip()) if since and since.strip() else None,
    )


def connect(does: Learning, page: Page, selected: Callable[[], list[Any]]) -> None:
    """What happens when."""
    quiet = {"yes", "no", "question", "verify", "kind", "collection", "since"}
    every = [part for name, part in vars(page).items() if name not in quiet]
    wanted = [page.kind, page.collection, page.since]
    log = [page.records, page.more, page.shown]
    gr.on(selected(), does.opened, wanted, every, **QUIET)
    page.derive.click(does.derived, None, every, **QUIET)
    page.adapters.input(does.chosen, page.adapters, every, **QUIET)
    for what, button in (("promote", page.promote), ("rollback", page.rollback)):

        def asked(at: int | None, request: gr.Request, what: str = what) -> Update:
            return does.asked(what, at, request)

        button.click(asked, page.adapters, [page.question, *every], **QUIET)
    page.yes.click(does.done, page.pending, every, **QUIET)
    page.no.click(lambda: (gr.update(visible=False), None), None, [page.sure, page.pending], **QUIET)
    changes = [page.kind.change, page.collection.submit, page.collection.blur, page.since.submit, page.since.blur]
    gr.on(changes, does.filtered, wanted, log, **QUIET)
    page.more.click(does.older, [*wanted, page.shown], log, **QUIET)
    page.verify.click(does.checked, None, page.verified, **QUIET)
