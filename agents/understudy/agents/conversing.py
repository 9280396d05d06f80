"""The half of the facade that is about threads: what was asked in them, what waits for a person, what people say."""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

from understudy.agents.assembly import Assembly
from understudy.agents.briefing import build_payload
from understudy.agents.receipts import estimate, receipt_of
from understudy.core.access import Principal
from understudy.core.conversation import Excerpt, Receipt, ThreadInfo, Turn
from understudy.core.egress import Decision, Verdict
from understudy.core.errors import QuestionError, ScopeError, ThreadBusyError
from understudy.core.types import Answer, Document, Draft, Scope
from understudy.graphs.state import AskState, Event, evidence_of, thread_key
from understudy.privacy.audit.reading import Selection
from understudy.retrieval.readable import no_documents

__all__ = ["Conversing", "answer_of"]

LONGEST_TITLE = 200


class Conversing(Assembly):
    """Threads, approvals and feedback of one workspace."""

    def threads(self, *, principal: str | None = None) -> list[ThreadInfo]:
        """The threads that a principal may go on with, the one that changed last first."""
        return self.turns.infos(self.owners.listing(self._who(principal)))

    def thread(self, thread: str, *, principal: str | None = None) -> list[Turn]:
        """What was asked in a thread, in order, with the answers as they were shown. Raises `ScopeError`."""
        return self.turns.of(self._own(thread, self._who(principal)))

    def rename_thread(self, thread: str, title: str, *, principal: str | None = None) -> None:
        """Call a thread something. Raises `ScopeError`, `QuestionError`: the title is empty or too long."""
        shown = " ".join(title.split())
        if not 0 < len(shown) <= LONGEST_TITLE or "\0" in shown:
            raise QuestionError(f"a thread's title takes 1 to {LONGEST_TITLE} characters")
        self.turns.rename(self._own(thread, self._who(principal)), shown)

    def delete_thread(self, thread: str, *, principal: str | None = None) -> None:
        """Delete a thread with all that was asked in it; what was learned from it stays.

        Raises `ScopeError`: there is no such thread of theirs; `ThreadBusyError`: it is being answered in.
        """
        key = self._own(thread, self._who(principal))
        if self.turns.busy(key):
            raise ThreadBusyError(f"thread {thread!r} is being answered in; stop that first")
        self.conversations.delete(key)

    def excerpt(
        self,
        collection: str,
        document: str,
        start: int,
        end: int,
        *,
        around: int = 600,
        principal: str | None = None,
    ) -> Excerpt:
        """A piece of a document around something quoted.

        Args:
            collection: whose document.
            document: its id.
            start: where the quote begins, in code points of the stored text.
            end: where it ends.
            around: code points shown on each side.
            principal: who reads.

        Raises:
            NoDocumentsError: the collection is empty, or not theirs to read.
            ScopeError: there is no such document, or the quote is not within it.
        """
        seen = self.documents_of(self._who(principal))
        if not seen.entries(collection):
            raise no_documents(collection, seen.listing())
        held = seen.document(collection, document)
        if held is None:
            raise ScopeError(f"there is no document {document!r} in collection {collection!r}")
        if not 0 <= start <= end <= len(held.text):
            raise ScopeError(f"{document!r} has {len(held.text)} characters; {start} to {end} is not within them")
        offset = max(0, start - around)
        return Excerpt(
            document=document,
            title=held.title,
            location=location_of(held, start),
            start=start,
            end=end,
            offset=offset,
            text=held.text[offset : end + around],
            length=len(held.text),
        )

    def receipt(self, thread: str, turn: int, *, principal: str | None = None) -> Receipt:
        """What left the machine for an answer, and what it cost, by the audit log. Raises `ScopeError`."""
        found = self.receipts(thread, principal=principal).get(turn)
        if found is None:
            raise ScopeError(f"thread {thread!r} has no question {turn}")
        return found

    def receipts(self, thread: str, *, principal: str | None = None) -> dict[int, Receipt]:
        """`receipt` of every question of a thread, by number: log and checkpoints are read once for all of them."""
        who = self._who(principal)
        key = self._own(thread, who)
        turns = self.turns.of(key)
        noted = [r for r in self.audit.records(Selection(thread=thread)) if r.get("principal", who.name) == who.name]
        begun = [datetime.fromisoformat(t.asked) for t in turns]
        own: list[list[dict[str, Any]]] = [[] for _ in turns]
        for record in noted:  # an answer's own are those from its question on until the next
            at = bisect_right(begun, datetime.fromisoformat(record["time"])) - 1
            if at >= 0:
                own[at].append(record)
        states = self._loop.run(self._states(key, turns)) if self.settings.experts else {}
        return {t.number: receipt_of(own[at], self._always(states.get(t.number))) for at, t in enumerate(turns)}

    def _always(self, state: AskState | None) -> float | None:
        """About what the cheapest expert would have cost."""
        if state is None:
            return None
        evidence, draft = evidence_of(state), Draft.model_validate(state["draft"]) if state["draft"] else None
        history = [t["question"] for t in state["turns"][:-1]]
        scope = Scope.model_validate(state["scope"])
        payload = build_payload(state["question"], scope, evidence.passages, draft, history)
        return min(estimate(payload, expert) for expert in self.settings.experts)

    def feedback(
        self,
        thread: str,
        turn: int,
        *,
        good: bool | None = None,
        correction: str | None = None,
        principal: str | None = None,
    ) -> Turn:
        """Learn from what a person says of an answer: see `understudy.agents.feedback`.

        Args:
            thread: of the question.
            turn: its number in the thread.
            good: whether the answer is right; with neither, what was said before is taken back.
            correction: the right answer, where it isn't.
            principal: who says it: whose thread it is.

        Raises:
            ScopeError: there is no such thread of theirs, or no answered question of this number in it.
            QuestionError: the correction is empty, or comes with `good=True`.
        """
        who = self._who(principal)
        key = self._own(thread, who)
        said = None if correction is None else correction.strip()
        if said is not None and (not said or "\0" in said or good):
            raise QuestionError("a correction says what the right answer is, of an answer that isn't right")
        found = next((t for t in self.turns.of(key) if t.number == turn), None)
        if found is None or found.answer is None or found.status != "done":
            raise ScopeError(f"thread {thread!r} has no answered question {turn}")
        judged = good if said is None else False
        with self.traffic.shared():
            state = self._loop.run(self._states(key, [found])).get(turn)
            permit = self.owners.enter(who, thread, found.collection)
            if state is not None:
                self._feedback(state, found, permit, judged, said)
            self.turns.judge((key, turn), judged, said)
        return found.model_copy(update={"good": judged, "correction": said})

    def approvals(self, *, principal: str | None = None) -> list[dict[str, Any]]:
        """What waits for a principal's approval: to whom it would go, and of which size. The owner sees everyone's."""
        return self._loop.run(self._approving.listing(self._who(principal)))

    def approval(self, request: str, *, principal: str | None = None) -> dict[str, Any]:
        """One request, with the exact payload that would leave. Raises `ApprovalError`."""
        return self._loop.run(self._approving.show(request, self._who(principal)))

    def approve(self, request: str, *, principal: str | None = None) -> Answer:
        """Send what was shown, once, and go on with the question.

        The answer waits again, under another request, where another payload would leave by now. Raises `ApprovalError`.
        """
        return self._decided(request, "approve", "", principal)

    def edit(self, request: str, text: str, *, principal: str | None = None) -> Answer:
        """`approve`, with a message of one's own in the place of the one that was shown.

        It passes the guard again; where that takes something out, the answer waits again. Raises `ApprovalError`.
        """
        return self._decided(request, "edit", text, principal)

    def refuse(self, request: str, reason: str = "", *, principal: str | None = None) -> Answer:
        """Let nothing leave: the question is answered locally. Raises `ApprovalError`."""
        return self._decided(request, "refuse", reason, principal)

    def adecide(
        self, request: str, verdict: Verdict, text: str = "", *, principal: str | None = None
    ) -> AsyncIterator[Event]:
        """`approve`, `edit` or `refuse`, giving what happens as it comes; the last event holds the answer."""
        decision = Decision(id=request, verdict=verdict, text=text)
        return self._streamed(lambda _stopped: self._deciding(decision, self._who(principal)))

    def _decided(self, request: str, verdict: Verdict, text: str, principal: str | None) -> Answer:
        decision = Decision(id=request, verdict=verdict, text=text)
        return self._loop.run(answer_of(self._deciding(decision, self._who(principal))))

    async def _deciding(self, decision: Decision, who: Principal) -> AsyncIterator[Event]:
        async with self.traffic.passing():
            async for event in self._approving.decide(decision, who):
                yield event

    async def _streamed(self, events: Callable[[Callable[[], bool]], AsyncIterator[Event]]) -> AsyncGenerator[Event]:
        """Events of the agent's own loop, for a caller on another; who stops listening stops them.

        Args:
            events: given what tells whether anybody is still listening.
        """
        here = asyncio.get_running_loop()
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        stopped = threading.Event()

        def tell(event: Event | None) -> None:
            with suppress(RuntimeError):  # whoever listened closed their loop
                here.call_soon_threadsafe(queue.put_nowait, event)

        async def run() -> None:
            try:
                async for event in events(stopped.is_set):
                    tell(event)
            finally:
                tell(None)

        running = self._loop.awaited(run())
        try:
            while (event := await queue.get()) is not None:
                yield event
            await running
        finally:
            stopped.set()
            running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody is left to tell

    def _own(self, thread: str, who: Principal) -> str:
        """The key of a thread of somebody's own. Raises `ScopeError`."""
        key = thread_key(who.name, thread)
        if not self.owners.open_to(who, key):
            raise ScopeError(f"there is no thread {thread!r} of yours")
        return key

    async def _states(self, key: str, turns: Sequence[Turn]) -> dict[int, AskState]:
        """What the graph held when questions were answered, by number; without those whose checkpoints are gone."""
        wanted = {t.number: t.answer.model_dump(mode="json") for t in turns if t.answer is not None}
        found: dict[int, AskState] = {}
        config: Any = {"configurable": {"thread_id": key}}
        async for held in self._graph.aget_state_history(config):
            answer = held.values.get("answer")
            number = next((n for n, given in wanted.items() if given == answer), None) if answer else None
            if number is not None:
                del wanted[number]
                found[number] = cast("AskState", held.values)
            if not wanted:
                break
        return found


def location_of(document: Document, at: int) -> str:
    """Where in a document a code point stands, as people say it."""
    mark = bisect_right([m.start for m in document.marks], at) - 1
    return document.marks[mark].location if mark >= 0 else ""


async def answer_of(events: AsyncIterator[Event]) -> Answer:
    """The answer that a question's events end with."""
    answer: Answer | None = None
    async for event in events:
        answer = event.answer or answer
    assert answer is not None
    return answer
