"""Several sequences in one llama.cpp batch: the steps of many questions, computed together on the weights of one model.

Continuous batching (Yu et al. 2022, Orca) with prefixes shared between sequences (Kwon et al. 2023, arXiv 2309.06180;
Zheng et al. 2024, arXiv 2312.07104): what two prompts begin with alike is read once, and whoever would read it while
another is at it waits for that. All calls of llama.cpp are made by one thread.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import llama_cpp

from understudy.agents.adapters import Adapter
from understudy.agents.decoding import WRAP_UP, Generated, Logits, decode
from understudy.agents.engine import BATCH, Engine, put, row
from understudy.agents.kept import WORTH, shared
from understudy.core.errors import InternalError, ModelFileError, Stopped
from understudy.core.protocols import Cancel

__all__ = ["Together"]

NO_ROOM = 1
"""What `llama_decode` gives where the KV cache is full: nothing has changed then."""


@dataclass(eq=False)
class Slot:
    """A sequence of the context."""

    number: int
    cached: list[int] = field(default_factory=list)
    """What it has read."""
    target: list[int] = field(default_factory=list)
    """What it is about to have read."""
    reserved: int = 0
    """Tokens that may follow."""
    owed: list[int] = field(default_factory=list)
    """What it had read before its cells were given to others."""
    busy: bool = False
    kept: bool = False
    """Whether another step is likely to follow on what it has read."""
    used: float = 0.0


@dataclass(eq=False)
class Arrival:
    """A prompt that waits for a slot."""

    prompt: list[int]
    after: int
    """Tokens that may follow it."""
    slot: Slot | None = None
    same: int = 0
    """How much of it the slot has read already."""
    come: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class Wanted:
    """Tokens that a slot has to go on with."""

    slot: Slot
    ids: list[int]
    skipped: int
    """How many of them nobody wants logits of, since they were read before."""
    every: bool
    at: int = 0
    """Done so far."""
    rows: list[Logits] = field(default_factory=list)
    seconds: float = 0.0
    failed: str = ""
    done: threading.Event = field(default_factory=threading.Event)

    def wants(self, index: int) -> bool:
        """Whether the logits after one of them are wanted."""
        return index == len(self.ids) - 1 or (self.every and index >= self.skipped)


@dataclass(frozen=True)
class Part:
    """So many of the tokens that are wanted."""

    wanted: Wanted
    count: int


class Together:
    """A context of its own on an engine's weights, for several callers at once, each of which has its step computed.

    Args:
        engine: whose model it is; it must outlive this.
        sequences: held at most; those of more questions than are asked at once keep what was read for the others.
        threads: of llama.cpp.
        adapter: to compute with.
        apart: compute each sequence by itself, and share nothing: then nothing that is asked beside a question changes
            the last digits of its numbers.

    Raises:
        ModelFileError: there is not enough memory.
    """

    def __init__(
        self, engine: Engine, *, sequences: int, threads: int, adapter: Adapter | None = None, apart: bool = False
    ) -> None:
        self._engine, self._apart = engine, apart
        self._context = context_of(engine, sequences, threads, adapter, apart=apart)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
        self._cells = llama_cpp.llama_n_ctx(self._context)
        self._shares = not engine.recurrent and not apart
        self._slots = [Slot(number) for number in range(sequences)]
        self._changed = threading.Condition()
        self._arrivals: list[Arrival] = []
        self._waiting: list[Wanted] = []
        self._forgetting: list[threading.Event] = []
        self._closed = False
        self.spent = 0.0
        """Seconds inside llama.cpp."""
        self._thread = threading.Thread(target=self._work, name="llama.cpp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Free the context, once what is computed now is."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)

    def generate(
        self,
        prompt: list[int],
        grammar: str,
        *,
        limit: int,
        on_bytes: Callable[[bytes], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Generated:
        """One string of the grammar after a prompt, see `decode`; from any thread, which waits until it is whole.

        Raises `QuestionError`, `Stopped`.
        """
        engine, line = self._engine, OneOf(self, limit + WRAP_UP)
        try:
            found = decode(
                line,
                engine.vocabulary,
                prompt,
                grammar,
                context=engine.context,
                limit=limit,
                on_bytes=on_bytes,
                cancel=cancel,
            )
            found.over = line.over
            return found
        finally:
            line.leave()

    def arrive(self, prompt: list[int], after: int) -> Arrival:
        """Have a slot for a prompt and some tokens after it, with as much of it as any has read."""
        arrival = Arrival(prompt, after)
        with self._changed:
            self._open()
            self._arrivals.append(arrival)
            self._changed.notify()
        arrival.come.wait()
        self._open()
        return arrival

    def go_on(self, slot: Slot, ids: list[int], *, every: bool) -> Wanted:
        """Have some tokens computed. Raises `InternalError`."""
        with self._changed:
            self._open()
            wanted = Wanted(slot, slot.owed + ids, len(slot.owed), every)
            slot.owed = []
            self._waiting.append(wanted)
            self._changed.notify()
        wanted.done.wait()
        if wanted.failed:
            raise InternalError(wanted.failed)
        return wanted

    def leave(self, slot: Slot) -> None:
        """Let others have a slot; what it has read is kept until its cells are needed."""
        with self._changed:
            slot.busy, slot.used, slot.target, slot.owed, slot.kept = False, time.monotonic(), [], [], True
            self._changed.notify()

    def _open(self) -> None:
        if self._closed:
            raise InternalError("the small model was closed while it was asked")

    def _work(self) -> None:
        """The only thread that calls llama.cpp."""
        try:
            self._serve()
        finally:
            self._dismiss()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._admitted() and not self._waiting and not self._forgetting:
                    self._changed.wait()
                if self._closed:
                    return
                if self._forgetting:
                    self._forgot()
                parts = taken(self._waiting[:1] if self._apart else self._waiting)
            if parts:
                self._compute(parts)

    def _dismiss(self) -> None:
        """Tell all who wait that nothing comes."""
        with self._changed:
            self._closed = True
            arrivals, waiting, forgetting = self._arrivals, self._waiting, self._forgetting
        for arrival in arrivals:
            arrival.come.set()
        for wanted in waiting:
            wanted.failed = "the small model was closed while it was asked"
            wanted.done.set()
        for forgotten in forgetting:
            forgotten.set()

    def forget(self) -> None:
        """Drop what was read for steps that have ended."""
        forgotten = threading.Event()
        with self._changed:
            if self._closed:
                return
            self._forgetting.append(forgotten)
            self._changed.notify()
        forgotten.wait()

    def _forgot(self) -> None:
        for slot in self._slots:
            if not slot.busy:
                self._clear(slot)
        for forgotten in self._forgetting:
            forgotten.set()
        self._forgetting = []

    def _admitted(self) -> bool:
        """Give slots to those who wait for one, as far as there are any."""
        before = len(self._arrivals)
        self._arrivals = [arrival for arrival in self._arrivals if not self._admit(arrival)]
        return len(self._arrivals) < before

    def _admit(self, arrival: Arrival) -> bool:
        """Give a slot; not while all are busy, nor while another reads what this prompt begins with."""
        idle = [slot for slot in self._slots if not slot.busy]
        if not idle:
            return False
        prompt = arrival.prompt
        source = max(self._slots, key=lambda slot: (shared(slot.cached, prompt), not slot.busy))
        same = shared(source.cached, prompt)
        if self._shares and any(shared(slot.target, prompt) >= same + WORTH for slot in self._slots if slot.busy):
            return False
        if not self._apart and not self._fits(arrival):
            return False
        lost = len(source.cached) - same
        own = not source.busy and (
            lost < WORTH if self._shares else not lost
        )  # little is lost by going on in its place
        slot = source if own else min(idle, key=lambda slot: (slot.kept, bool(slot.cached), slot.used))
        same = same if own or self._shares else 0
        arrival.slot, arrival.same = slot, self._reused(slot, source, min(same, len(prompt) - 1))
        slot.busy, slot.target, slot.reserved = True, prompt, arrival.after
        arrival.come.set()
        return True

    def _fits(self, arrival: Arrival) -> bool:
        """Whether there are cells for one more beside those in progress; alone, each has enough."""
        busy = [slot for slot in self._slots if slot.busy]
        prompts = [*(slot.target for slot in busy), arrival.prompt]
        read = size_of(prompts) if self._shares else sum(map(len, prompts))
        return not busy or read + sum(slot.reserved for slot in busy) + arrival.after <= self._cells

    def _reused(self, slot: Slot, source: Slot, same: int) -> int:
        """Let a slot begin with what another, or itself, has read; how much that is."""
        if slot is not source:
            self._clear(slot)
            if same:
                llama_cpp.llama_memory_seq_cp(self._memory, source.number, slot.number, 0, same)
                slot.cached = source.cached[:same]
        elif same < len(slot.cached):
            self._cut(slot, same)
        return len(slot.cached)

    def _unshared(self, slot: Slot) -> int:
        """How many tokens it has read that no other slot has read in the same place."""
        others = (shared(slot.cached, other.cached) for other in self._slots if other is not slot)
        return len(slot.cached) - max(others, default=0)

    def _cut(self, slot: Slot, length: int) -> None:
        """Forget all but the first tokens that a slot has read."""
        if length and llama_cpp.llama_memory_seq_rm(self._memory, slot.number, length, -1):
            slot.cached = slot.cached[:length]
        else:
            self._clear(slot)

    def _clear(self, slot: Slot) -> None:
        llama_cpp.llama_memory_seq_rm(self._memory, slot.number, -1, -1)
        slot.cached = []

    def _compute(self, parts: list[Part]) -> None:
        """Compute some tokens, and hand out their logits."""
        began = time.perf_counter()
        parts, problem = self._decoded(parts)
        seconds = time.perf_counter() - began
        self.spent += seconds
        total, index = sum(part.count for part in parts), 0
        for part in parts:
            wanted = part.wanted
            for at in range(wanted.at, wanted.at + part.count):
                if not problem and wanted.wants(at):
                    wanted.rows.append(row(self._context, index, self._engine.vocabulary.size))
                index += 1
            if problem:
                self._clear(wanted.slot)
            else:
                wanted.slot.cached += wanted.ids[wanted.at : wanted.at + part.count]
            wanted.at += part.count
            wanted.seconds += seconds * part.count / total
            wanted.failed = problem
        with self._changed:
            ended = [part.wanted for part in parts if problem or part.wanted.at == len(part.wanted.ids)]
            self._waiting = [wanted for wanted in self._waiting if wanted not in ended]
        for wanted in ended:
            wanted.done.set()

    def _decoded(self, parts: list[Part]) -> tuple[list[Part], str]:
        """Run llama.cpp over as many parts as there is room for; they, and what went wrong."""
        while True:
            code = llama_cpp.llama_decode(self._context, self._filled(parts))
            if code == 0:
                return parts, ""
            if code != NO_ROOM or not self._made_room(parts):
                return parts, f"llama_decode failed with code {code}"

    def _made_room(self, parts: list[Part]) -> bool:
        """Take cells from who needs them least: one that is idle, one that can read again, or one that can wait."""
        with self._changed:
            idle = [slot for slot in self._slots if slot.cached and not slot.busy]
            if idle:
                self._clear(min(idle, key=lambda slot: slot.used))
                return True
            others = [slot for slot in self._slots if slot.cached and slot is not parts[0].wanted.slot]
            if not others:
                return False
            slot = max(others, key=self._unshared)
            own = self._unshared(slot) or len(slot.cached)
            parts[:] = [part for part in parts if part.wanted.slot is not slot]
            kept = len(slot.cached) - own
            read, pending = slot.cached, next((w for w in self._waiting if w.slot is slot), None)
            self._cut(slot, kept)
            held = read[len(slot.cached) :]  # a state that can't be cut back is gone whole
            if pending is None:
                slot.owed = held + slot.owed
            else:  # what of it was done is a part of what was read
                done = pending.at
                pending.ids = held + pending.ids[done:]
                pending.skipped = max(0, pending.skipped - done) + len(held)
                pending.at = 0
            return True

    def _filled(self, parts: Sequence[Part]) -> Any:
        """llama.cpp's batch of some parts."""
        index = 0
        for part in parts:
            wanted, slot = part.wanted, part.wanted.slot
            for n in range(part.count):
                at = wanted.at + n
                put(self._batch, index, wanted.ids[at], len(slot.cached) + n, slot.number, wanted=wanted.wants(at))
                index += 1
        self._batch.n_tokens = index
        return self._batch


class OneOf:
    """A `Line` on one slot, for one caller."""

    def __init__(self, together: Together, after: int) -> None:
        self._together, self._after = together, after
        self._slot: Slot | None = None
        self.spent = 0.0

    def sync(self, prompt: list[int], cancel: Cancel | None) -> tuple[Logits, int]:
        """Bring it to a prompt; the logits after it, and how many of its tokens were there already."""
        arrival = self._together.arrive(prompt, self._after)
        self._slot = arrival.slot
        logits: Sequence[Logits] = ()
        for at in range(arrival.same, len(prompt), BATCH):
            if cancel is not None and cancel():
                raise Stopped("inference was stopped")
            logits = self.decode(prompt[at : at + BATCH], every=False)
        return logits[-1], arrival.same

    def decode(self, ids: list[int], *, every: bool) -> Sequence[Logits]:
        """Go on with some tokens; the logits after each of them, or after the last."""
        assert self._slot is not None
        wanted = self._together.go_on(self._slot, ids, every=every)
        self.spent += wanted.seconds
        return wanted.rows

    def over(self) -> None:
        """No step follows on what the slot has read."""
        if self._slot is not None and not self._slot.busy:
            self._slot.kept = False

    def leave(self) -> None:
        """Let others have the slot."""
        if self._slot is not None:
            self._together.leave(self._slot)


def context_of(engine: Engine, sequences: int, threads: int, adapter: Adapter | None, *, apart: bool) -> Any:
    """A llama.cpp context with several sequences, which share cells or don't. Raises `ModelFileError`."""
    params = engine.parameters
    params.n_ctx = engine.context * (sequences if apart else 2)  # a prefix, and what follows it in each sequence
    params.flash_attn_type = 1 if not apart else params.flash_attn_type
    params.n_batch = params.n_ubatch = BATCH
    params.n_seq_max, params.kv_unified = sequences, not apart
    params.n_threads = params.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(engine.model, params)
    if not context:
        raise ModelFileError(f"{engine.path}: there is no memory for {sequences} questions at once; ask fewer")
    if adapter is not None:
        handles, scales = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter.handle), (ctypes.c_float * 1)(1.0)
        if llama_cpp.llama_set_adapters_lora(context, handles, 1, scales) != 0:
            raise InternalError("llama.cpp refused an adapter that it had loaded")
    return context


def size_of(prompts: Sequence[list[int]]) -> int:
    """How many cells some prompts take that share what they begin with."""
    order = sorted(prompts)
    return sum(map(len, order)) - sum(shared(one, other) for one, other in pairwise(order))


def taken(waiting: Sequence[Wanted]) -> list[Part]:
    """What is computed next: the shortest first, since a question waits for them; the last as far as it fits."""
    parts, room = [], BATCH
    for wanted in sorted(waiting, key=lambda w: len(w.ids) - w.at):
        count = min(room, len(wanted.ids) - wanted.at)
        if count:
            parts.append(Part(wanted, count))
            room -= count
    return parts
