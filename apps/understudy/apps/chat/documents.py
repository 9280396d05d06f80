"""The documents page: files are dropped into collections, and deleted with all that rests on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from understudy.agents import Agent
from understudy.apps.chat import holdings
from understudy.apps.chat.adding import Check, adding
from understudy.apps.chat.panels import QUIET, note, when_selected, who
from understudy.core.access import Principal
from understudy.core.errors import UnderstudyError, UserError
from understudy.core.names import check_name
from understudy.core.settings import CollectionSettings, Sensitivity
from understudy.retrieval.load import SUFFIXES

__all__ = ["build"]

SHOWN = 200
"""Documents in the list at most; a filter finds the others."""
Update = dict[Any, Any]
OWNERS = "Deleting documents, and saying how sensitive a new collection is, takes the owner of the workspace."
EMPTY = (
    '<section class="u-panel u-empty"><h3>No documents yet</h3><p>Drop files into the field: reports, contracts, '
    "notes. They stay on this machine; questions are answered from them with the words they rest on.</p></section>"
)


@dataclass(frozen=True)
class Page:
    """The parts of the page that change."""

    into: gr.Dropdown
    sensitivity: gr.Radio
    files: gr.File
    add: gr.Button
    progress: gr.HTML
    chosen: gr.Radio
    panel: gr.HTML
    find: gr.Textbox
    documents: gr.CheckboxGroup
    delete: gr.Button
    sure: gr.Column
    takes: gr.HTML
    yes: gr.Button
    no: gr.Button
    said: gr.HTML
    doomed: gr.State
    """The collection and documents whose deletion somebody is asked about."""


def build(agent: Agent, check: Check) -> None:
    """Lay the page out within a tab.

    Args:
        agent: whose workspace.
        check: of every upload, before it is read.
    """
    with gr.Row(elem_classes="u-two"):
        with gr.Column(scale=2, min_width=300):
            gr.HTML("<h2>Add documents</h2>")
            into = gr.Dropdown(
                [],
                label="Collection",
                info="Choose one, or type the name of a new one.",
                allow_custom_value=True,
                elem_id="u-into",
            )
            sensitivity = gr.Radio(
                [(f"{name}: {words}", name) for name, words in holdings.SENSITIVITIES.items()],
                value="redacted",
                label="How sensitive is the new collection?",
                visible=False,
                elem_id="u-sensitivity",
                elem_classes="u-list",
            )
            files = gr.File(
                file_count="multiple",
                label="Files",
                height=170,
                elem_id="u-drop",
            )
            gr.HTML(note(f"Read are {', '.join(s.removeprefix('.') for s in SUFFIXES)}. The same name again replaces."))
            add = gr.Button("Add", variant="primary", interactive=False, elem_id="u-add")
            progress = gr.HTML(elem_id="u-progress")
        with gr.Column(scale=3, min_width=300):
            gr.HTML("<h2>Collections</h2>")
            chosen = gr.Radio([], label="Collection shown", visible=False, elem_id="u-shown", elem_classes="u-list")
            panel = gr.HTML(elem_id="u-collection")
            find = gr.Textbox(label="Find a document", placeholder="part of its name", visible=False, elem_id="u-find")
            documents = gr.CheckboxGroup(
                [], label="Documents", visible=False, elem_id="u-documents", elem_classes="u-list"
            )
            delete = gr.Button("Delete …", variant="stop", visible=False, interactive=False, elem_id="u-delete")
            with gr.Column(visible=False, elem_id="u-sure", elem_classes="u-panel") as sure:
                takes = gr.HTML()
                with gr.Row():
                    no = gr.Button("Keep", elem_id="u-keep")
                    yes = gr.Button("Delete for good", variant="stop", elem_id="u-yes")
            said = gr.HTML(elem_id="u-said")
    doomed = gr.State()
    page = Page(
        into=into,
        sensitivity=sensitivity,
        files=files,
        add=add,
        progress=progress,
        chosen=chosen,
        panel=panel,
        find=find,
        documents=documents,
        delete=delete,
        sure=sure,
        takes=takes,
        yes=yes,
        no=no,
        said=said,
        doomed=doomed,
    )
    connect(Documents(agent, page, check), page)


class Documents:
    """What happens on the page.

    Args:
        agent: whose workspace.
        page: its parts.
        check: of every upload.
    """

    def __init__(self, agent: Agent, page: Page, check: Check) -> None:
        self.agent, self.page, self.check = agent, page, check

    def opened(self, shown: str | None, into: str | None, request: gr.Request) -> Update:
        """Everything as it is now."""
        page = self.page
        try:
            by = who(self.agent, request)
        except UserError as error:
            return {page.said: note(str(error), "bad")}
        held = self.agent.documents_of(by).listing()
        names = sorted(held)
        first = next((name for name in names if held[name]["documents"]), names[0] if names else None)
        shown = shown if shown in names else first
        choices = [
            (holdings.collection_label(n, held[n]["documents"], self.agent.egress.policy.sensitivity(n)), n)
            for n in names
        ]
        into = (into or "").strip() or shown or "default"
        return {
            page.chosen: gr.update(choices=choices, value=shown, visible=bool(names)),
            page.into: gr.update(choices=names, value=into),
            page.sensitivity: self._sensitivity(into, by),
            page.said: note(OWNERS if by.restricted else ""),
            **self._listed(shown, "", by),
        }

    def _listed(self, shown: str | None, wanted: str | None, by: Principal) -> Update:
        """One collection with its documents."""
        page = self.page
        hidden = {page.sure: gr.update(visible=False), page.doomed: None}
        if shown is None or shown not in self.agent.documents_of(by).listing():
            nothing = gr.update(visible=False)
            return {page.panel: EMPTY, page.find: nothing, page.documents: nothing, page.delete: nothing, **hidden}
        policy = self.agent.egress.policy
        rules = [r for r in policy.listing([shown]) if r["collection"] == shown]
        names = [name for name, _, _ in self.agent.documents_of(by).entries(shown)]
        found = [name for name in names if (wanted or "").strip().casefold() in name.casefold()]
        label = f"Documents of {shown}"
        label += f": the first {SHOWN} of {len(found)}" if len(found) > SHOWN else f": {len(found)}"
        return {
            page.panel: holdings.collection_panel(shown, policy.sensitivity(shown), rules),
            page.find: gr.update(visible=len(names) > 10),
            page.documents: gr.update(choices=found[:SHOWN], value=[], label=label, visible=bool(names)),
            page.delete: gr.update(visible=bool(names) and not by.restricted, interactive=False),
            **hidden,
        }

    def chosen(self, shown: str | None, wanted: str | None, request: gr.Request) -> Update:
        """Another collection, or other documents of it."""
        by = who(self.agent, request)
        return {**self._listed(shown, wanted, by), self.page.said: note(OWNERS if by.restricted else "")}

    def switched(self, shown: str | None, request: gr.Request) -> Update:
        """Another collection is shown, and files go into that one."""
        by = who(self.agent, request)
        return {
            **self._listed(shown, "", by),
            self.page.find: gr.update(value="", visible=len(self.agent.documents_of(by).entries(shown or "")) > 10),
            self.page.into: shown,
            self.page.sensitivity: self._sensitivity(shown or "", by),
            self.page.said: note(OWNERS if by.restricted else ""),
        }

    def _sensitivity(self, into: str, by: Principal) -> Any:
        """The question how sensitive a collection is: put where it is new, and nobody has said so."""
        if by.restricted:  # nor are they told what the settings say of collections that aren't theirs to read
            return gr.update(visible=False)
        name = into.strip()
        new = bool(name) and self.agent.store.sensitivity(name) is None
        given = self.agent.settings.collections.get(name, CollectionSettings())
        settled = "sensitivity" in given.model_fields_set
        info = "understudy.toml says so." if settled else "It says what an expert may ever get of it."
        return gr.update(
            visible=new,
            value=given.sensitivity if settled else "redacted",
            interactive=not settled,
            info=info,
        )

    def typed(self, into: str | None, request: gr.Request) -> Any:
        """Where to has changed."""
        return self._sensitivity(into or "", who(self.agent, request))

    def added(
        self,
        files: Sequence[str] | None,
        into: str | None,
        sensitivity: Sensitivity,
        request: gr.Request,
    ) -> Iterator[Update]:
        """Take the files in, and say of each how far it is."""
        page = self.page
        uploads = [Path(name) for name in files or ()]
        try:
            by, collection = who(self.agent, request), named(into)
        except UserError as error:
            yield {page.progress: note(str(error), "bad")}
            return
        new = self.agent.store.sensitivity(collection) is None
        yield {page.add: gr.update(interactive=False), page.files: gr.update(interactive=False)}
        said = sensitivity if new and not by.restricted else None
        for state in adding(self.agent, uploads, collection, said, by, self.check):
            yield {page.progress: holdings.progress(state)}
        seen = collection if by.may_read(collection) else None
        yield {**self.opened(seen, collection, request), page.files: gr.update(value=None, interactive=True)}

    def asked(self, documents: list[str], shown: str | None, request: gr.Request) -> Update:
        """What a deletion would take."""
        page = self.page
        try:
            by = who(self.agent, request)
            reports = [
                self.agent.erase(name, collection=shown or "", dry_run=True, principal=by.name) for name in documents
            ]
        except UnderstudyError as error:
            return {page.said: note(str(error), "bad")}
        return {
            page.takes: holdings.deletion(reports),
            page.sure: gr.update(visible=True),
            page.doomed: (shown, tuple(documents)),
            page.said: "",
        }

    def deleted(
        self, doomed: tuple[str, tuple[str, ...]] | None, into: str | None, request: gr.Request
    ) -> Iterator[Update]:
        """Delete what was agreed to."""
        page = self.page
        yield {page.sure: gr.update(visible=False), page.said: note("Deleting …" if doomed else "", "good")}
        if doomed is None:
            return
        collection, documents = doomed
        gone, problem = [], ""
        for name in documents:
            try:
                by = who(self.agent, request)
                gone.append(self.agent.erase(name, collection=collection, principal=by.name))
            except UnderstudyError as error:
                problem = note(str(error), "bad")
                break
        done = note(holdings.deletion_done(gone), "good") if gone else ""
        yield {**self.opened(collection, into, request), page.said: f"{done}{problem}"}


def named(into: str | None) -> str:
    """The collection that somebody typed. Raises `UserError`."""
    name = " ".join((into or "").split())
    check_name(name)
    return name


def connect(does: Documents, page: Page) -> None:
    """What happens when."""
    every = [part for name, part in vars(page).items() if name not in ("add", "yes", "no", "takes", "progress")]
    gr.on(when_selected(loaded=True), does.opened, [page.chosen, page.into], every, **QUIET)
    page.chosen.input(does.switched, page.chosen, every, **QUIET)
    page.find.input(does.chosen, [page.chosen, page.find], every, trigger_mode="always_last", **QUIET)
    page.into.change(does.typed, page.into, page.sensitivity, **QUIET)
    page.files.change(lambda files: gr.update(interactive=bool(files)), page.files, page.add, **QUIET)
    page.add.click(
        does.added,
        [page.files, page.into, page.sensitivity],
        [*every, page.add, page.progress],
        **{**QUIET, "concurrency_limit": 1},
    )
    page.documents.input(lambda some: gr.update(interactive=bool(some)), page.documents, page.delete, **QUIET)
    page.delete.click(does.asked, [page.documents, page.chosen], [page.takes, *every], **QUIET)
    page.yes.click(does.deleted, [page.doomed, page.into], every, **QUIET)
    page.no.click(lambda: (gr.update(visible=False), None), None, [page.sure, page.doomed], **QUIET)
