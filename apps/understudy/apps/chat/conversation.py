"""The chat page: threads beside, a conversation, what waits for a person, and the sources."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import gradio as gr

from understudy.apps.api.answering import ClientGone, until
from understudy.apps.api.errors import ApiError
from understudy.apps.chat import render
from understudy.apps.chat.asking import following
from understudy.apps.chat.panels import who
from understudy.apps.server.served import Served
from understudy.core.conversation import Receipt, Turn
from understudy.core.errors import ScopeError, UnderstudyError
from understudy.graphs.state import Event

__all__ = ["ALL_DOCUMENTS", "Page", "connect"]

ALL_DOCUMENTS = "All documents"
Update = dict[Any, Any]
JUDGED = {"good": True, "bad": False}
"""What thumbs say; pressed again, they take it back."""
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
"""Of every event: no spinner over what is read, no entry in Gradio's own API, no queue but ours."""


@dataclass(frozen=True)
class Page:
    """The parts of the page that change."""

    thread: gr.State
    request: gr.State
    """The id of the request that waits for a person in the thread shown."""
    new: gr.Button
    threads: gr.HTML
    collection: gr.Dropdown
    document: gr.Dropdown
    past: gr.HTML
    now: gr.HTML
    error: gr.HTML
    waiting: gr.Group
    card: gr.HTML
    message: gr.Textbox
    send: gr.Button
    refuse: gr.Button
    question: gr.Textbox
    ask: gr.Button
    stop: gr.Button
    source: gr.Sidebar
    excerpt: gr.HTML


class Conversation:
    """What happens on the page. Every method gives updates of its parts."""

    def __init__(self, served: Served, page: Page) -> None:
        self._served, self._page = served, page
        self._agent = served.agent
        self._stops: dict[str, set[asyncio.Event]] = {}
        """Of questions being answered on a page, by its session."""

    def who(self, request: gr.Request) -> str:
        """Who sits before the page. Raises `AccessError`."""
        return who(self._agent, request).name

    async def opened(self, thread: str | None, request: gr.Request) -> Update:
        """The page as it is when somebody comes, or comes back."""
        who = self.who(request)
        return await self.shown(thread, who) | await self._scope(None, None, who)

    async def returned(
        self, collection: str | None, document: str | None, thread: str | None, request: gr.Request
    ) -> Update:
        """Somebody comes back from another tab, where documents may have come or gone."""
        who = self.who(request)
        scope = await self._scope(collection, document, who)
        return scope if thread is not None else await self.shown(None, who) | scope

    async def _scope(self, collection: str | None, document: str | None, who: str) -> Update:
        """What can be asked of; what was chosen stays so while it is there."""
        collections = sorted(await asyncio.to_thread(self._collections, who))
        if collection not in collections:
            collection = "default" if "default" in collections else next(iter(collections), None)
        documents = await asyncio.to_thread(self._documents, collection, who)
        return {
            self._page.collection: gr.Dropdown(choices=collections, value=collection),
            self._page.document: gr.Dropdown(
                choices=documents, value=document if document in documents else ALL_DOCUMENTS
            ),
        }

    async def shown(self, thread: str | None, who: str) -> Update:
        """A thread, and the list of all."""
        page = self._page
        turns: list[Turn] = []
        receipts: dict[int, Receipt] = {}
        request = None
        if thread is not None:
            try:
                turns, receipts = await asyncio.to_thread(self._read, thread, who)
            except UnderstudyError:  # it was deleted meanwhile, or isn't theirs any more
                thread = None
        if turns and turns[-1].status == "waiting" and turns[-1].answer is not None:
            request = turns[-1].answer.approval
        listed = await asyncio.to_thread(self._agent.threads, principal=who)
        collections = [] if turns else await asyncio.to_thread(self._collections, who)
        past = render.conversation(turns, receipts) if turns else render.welcome(collections)
        return await self._approval(request, who) | {
            page.thread: thread,
            page.threads: render.thread_list(listed, thread),
            page.past: past,
            page.now: "",
            page.error: "",
            page.ask: gr.Button(visible=True),
            page.stop: gr.Button(visible=False),
        }

    def _read(self, thread: str, who: str) -> tuple[list[Turn], dict[int, Receipt]]:
        return self._agent.thread(thread, principal=who), self._agent.receipts(thread, principal=who)

    async def _approval(self, request: str | None, who: str) -> Update:
        """The card of what waits for a person, if anything does."""
        page = self._page
        if request is not None:
            try:
                held = await asyncio.to_thread(self._agent.approval, request, principal=who)
                return {
                    page.request: request,
                    page.waiting: gr.Group(visible=True),
                    page.card: render.card(held),
                    page.message: held["payload"]["user"],
                }
            except UnderstudyError:  # somebody decided it meanwhile
                pass
        return {page.request: None, page.waiting: gr.Group(visible=False), page.card: "", page.message: ""}

    async def asked(
        self, question: str, thread: str | None, collection: str | None, document: str | None, request: gr.Request
    ) -> AsyncGenerator[Update]:
        """Answer a question, showing what happens on the way."""
        page, who, words = self._page, self.who(request), question.strip()
        if not words:
            yield {page.error: problem("Type a question first.")}
            return
        named = None if document in (None, ALL_DOCUMENTS) else document

        def events() -> AsyncIterator[Event]:
            return self._agent.astream(
                words, collection=collection or "default", document=named, thread=thread, principal=who
            )

        before = {page.question: "", page.waiting: gr.Group(visible=False)}
        if thread is None:
            before[page.past] = ""
        async for update in self._going(request, thread, words, events, before):
            yield update

    async def decided(
        self, verdict: str, message: str, thread: str | None, waits: str | None, request: gr.Request
    ) -> AsyncGenerator[Update]:
        """Go on with a question as a person decided."""
        page, who = self._page, self.who(request)
        if waits is None or thread is None:
            yield {page.error: problem("Nothing waits here any more.")}
            return
        try:
            held = await asyncio.to_thread(self._agent.approval, waits, principal=who)
        except UnderstudyError as error:
            yield await self.shown(thread, who) | {page.error: problem(str(error))}
            return
        if verdict == "edit" and message == held["payload"]["user"]:
            verdict = "approve"

        def events() -> AsyncIterator[Event]:
            text = message if verdict == "edit" else ""
            return self._agent.adecide(waits, verdict, text, principal=who)  # type: ignore[arg-type]

        turns, receipts = await asyncio.to_thread(self._read, thread, who)
        before = {page.waiting: gr.Group(visible=False), page.past: render.conversation(turns[:-1], receipts)}
        async for update in self._going(request, thread, str(held["question"]), events, before):
            yield update

    async def _going(
        self,
        request: gr.Request,
        thread: str | None,
        words: str,
        events: Callable[[], AsyncIterator[Event]],
        before: Update,
    ) -> AsyncGenerator[Update]:
        """Show a question in progress, and the thread once it is answered or stopped."""
        page, who = self._page, self.who(request)
        buttons = {page.ask: gr.Button(visible=False), page.stop: gr.Button(visible=True), page.error: ""}
        yield before | buttons | {page.now: render.live(words, (), "Starting")}
        answered, failed = None, ""
        # A thread that is gone on with is known; of a new one it is told by those that were there before.
        known = {t.id for t in await asyncio.to_thread(self._agent.threads, principal=who)} if thread is None else set()
        async with self._stoppable(request) as stopping:
            try:
                async for shown in until(following(self._served, who, thread, words, events), stopping):
                    answered = shown.answer
                    yield {page.now: shown.html()}
            except ClientGone:
                thread = thread or await self._begun_since(known, words, who)
                await self._ended(thread, who)
            except (UnderstudyError, ApiError) as error:
                failed = str(error)
        if failed:
            yield await self.shown(thread, who) | {page.error: problem(failed), page.question: words}
        else:
            yield await self.shown(answered.thread if answered is not None else thread, who)

    @asynccontextmanager
    async def _stoppable(self, request: gr.Request) -> AsyncIterator[asyncio.Task[None]]:
        """What ends when the stop button of a page is pressed."""
        name, pressed = str(request.session_hash), asyncio.Event()
        self._stops.setdefault(name, set()).add(pressed)
        ended = asyncio.create_task(waited(pressed))
        try:
            yield ended
        finally:
            ended.cancel()
            self._stops[name].discard(pressed)
            if not self._stops[name]:
                del self._stops[name]

    async def stopped(self, request: gr.Request) -> None:
        """The stop button was pressed, or the page closed."""
        for pressed in self._stops.get(str(request.session_hash), ()):
            pressed.set()

    async def _begun_since(self, known: Collection[str], words: str, who: str) -> str | None:
        """The thread that a question has begun; none where it was stopped while it waited for its turn."""
        listed = await asyncio.to_thread(self._agent.threads, principal=who)
        return next((t.id for t in listed if t.id not in known and t.title == words), None)

    async def _ended(self, thread: str | None, who: str) -> None:
        """Wait until a question that was stopped has written that down."""
        for _ in range(100):
            listed = await asyncio.to_thread(self._agent.threads, principal=who)
            if not any(t.id == thread and t.status == "running" for t in listed):
                return
            await asyncio.sleep(0.05)

    async def pressed(self, thread: str | None, event: gr.EventData, request: gr.Request) -> Update:
        """Something inside the conversation was pressed: a citation, a thumb, a correction."""
        page, who = self._page, self.who(request)
        act, number = event._data["act"], whole(event._data.get("turn"))
        if thread is None:
            return {page.error: ""}
        try:
            if act == "cite":
                return await asyncio.to_thread(self._source, thread, number, whole(event._data.get("n")), who)
            said: dict[str, Any] = {"good": JUDGED.get(act)}
            if act == "correct":
                said = {"correction": event._data.get("text", "")}
            await asyncio.to_thread(self._agent.feedback, thread, number, principal=who, **said)
        except UnderstudyError as error:
            return {page.error: problem(str(error))}
        return await self.shown(thread, who)

    def _source(self, thread: str, number: int, which: int, who: str) -> Update:
        turn = next((t for t in self._agent.thread(thread, principal=who) if t.number == number), None)
        if turn is None or turn.answer is None or not 0 <= which < len(turn.answer.citations):
            raise ScopeError("this source is not there any more")
        cited = turn.answer.citations[which]
        found = self._agent.excerpt(turn.collection, cited.document, cited.start, cited.end, principal=who)
        return {self._page.source: gr.Sidebar(open=True), self._page.excerpt: render.excerpt(found)}

    async def chosen(self, thread: str | None, event: gr.EventData, request: gr.Request) -> Update:
        """Something in the list of threads was pressed: open, rename, delete."""
        page, who = self._page, self.who(request)
        act, named = event._data["act"], str(event._data["id"])
        try:
            if act == "open":
                return await self.shown(named, who)
            if act == "rename":
                await asyncio.to_thread(self._agent.rename_thread, named, event._data["text"], principal=who)
            elif act == "delete":
                await asyncio.to_thread(self._agent.delete_thread, named, principal=who)
                thread = None if thread == named else thread
        except UnderstudyError as error:
            return {page.error: problem(str(error))}
        return await self.shown(thread, who)

    async def fresh(self, request: gr.Request) -> Update:
        """Room for a new question."""
        return await self.shown(None, self.who(request))

    async def scoped(self, collection: str | None, request: gr.Request) -> Update:
        """Another collection was chosen: its documents."""
        choices = await asyncio.to_thread(self._documents, collection, self.who(request))
        return {self._page.document: gr.Dropdown(choices=choices, value=ALL_DOCUMENTS)}

    def _collections(self, who: str) -> list[str]:
        return list(self._agent.documents_of(self._agent.access.principal(who)).listing())

    def _documents(self, collection: str | None, who: str) -> list[str]:
        if collection is None:
            return [ALL_DOCUMENTS]
        try:
            return [ALL_DOCUMENTS, *(d["id"] for d in self._agent.documents(collection, principal=who))]
        except UnderstudyError:  # it is empty
            return [ALL_DOCUMENTS]


async def waited(pressed: asyncio.Event) -> None:
    """Until it is."""
    await pressed.wait()


def whole(given: object) -> int:
    """The number that a page sent; one that is nothing's where it sent none."""
    return int(given) if isinstance(given, str) and given.isascii() and given.isdecimal() else -1


def problem(words: str) -> str:
    """An error, in one line."""
    return f'<p class="u-error" role="alert">{render.text(words)}</p>'


def connect(served: Served, page: Page, app: gr.Blocks, tab: gr.Tab) -> None:
    """Make the page do what it shows."""
    does = Conversation(served, page)
    everything = list(vars(page).values())
    asking = [page.question, page.thread, page.collection, page.document]
    gr.on([page.ask.click, page.question.submit], does.asked, asking, everything, **QUIET)
    for verdict, button in (("edit", page.send), ("refuse", page.refuse)):

        async def decided(
            message: str, thread: str | None, waits: str | None, request: gr.Request, verdict: str = verdict
        ) -> AsyncGenerator[Update]:
            async for update in does.decided(verdict, message, thread, waits, request):
                yield update

        button.click(decided, [page.message, page.thread, page.request], everything, **QUIET)
    page.stop.click(does.stopped, None, None, **QUIET)
    app.unload(does.stopped)  # a page that is closed gives up its place
    page.past.click(does.pressed, [page.thread], everything, **QUIET)
    page.threads.click(does.chosen, [page.thread], everything, **QUIET)
    page.collection.input(does.scoped, [page.collection], [page.document], **QUIET)
    page.new.click(does.fresh, None, everything, **QUIET)
    app.load(does.opened, [page.thread], everything, **QUIET)
    tab.select(does.returned, [page.collection, page.document, page.thread], everything, **QUIET)
