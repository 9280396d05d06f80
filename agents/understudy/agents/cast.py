"""Who plays in which collection: the small model and the reader, in the adapter that is live there.

A question takes its players once, when it begins, and keeps them to its end. So a swap drops and mixes nothing:
questions in flight finish with what they began with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from understudy.agents.small_model import SmallModel
from understudy.core.access import Principal
from understudy.core.adapters import AdapterCard, Probe
from understudy.core.errors import AdapterError
from understudy.core.types import Passage
from understudy.distillation.decoder_trainer import DECODER
from understudy.distillation.registry import Registry
from understudy.distillation.train_reader import ADAPTER, HEADS
from understudy.retrieval.heads import Heads
from understudy.retrieval.hybrid import HybridRetriever
from understudy.retrieval.reader import BREADTH, SpanReader

__all__ = ["Cast", "Players", "probe_of"]

PROBE_QUESTION = "When does the agreement end?"
PROBE = Passage(
    document="probe", title="Agreement", version="", location="", start=0, end=0,
    text="This agreement begins on 1 March 2021. It ends on 28 February 2024, unless it is renewed by both parties.",
)  # fmt: skip
TOLERANCE = 1e-2
"""What a probe may differ by: other processors round otherwise."""


@dataclass(frozen=True)
class Players:
    """What answers a collection's questions."""

    planner: SmallModel
    reader: SpanReader
    retriever: HybridRetriever
    name: str
    """Of the small model, and of the adapter where one is worn: what outcomes are kept under."""
    card: AdapterCard | None = None


class Cast:
    """The players of every domain and access label.

    Args:
        registry: the adapters.
        model: the small model, bare.
        reader: the shipped one.
        retriever: that knows no question.
        threads: of a reader.
        wearable: whether an adapter may be worn at all, by what it rests on.
    """

    def __init__(
        self,
        registry: Registry,
        model: SmallModel,
        reader: SpanReader,
        retriever: HybridRetriever,
        threads: int | None = None,
        wearable: Callable[[AdapterCard], bool] = lambda card: True,
    ) -> None:
        self._registry = registry
        self.model = model
        self._base = Players(model, reader, retriever, model.name)
        self._threads = threads
        self._wearable = wearable
        self._playing: dict[tuple[str, str], Players] = {}
        self._lock = threading.Lock()
        self._base_probe = probe_of(reader)

    def playing(self, domain: str, label: str, by: Principal | None = None) -> Players:
        """Who answers there now, without an adapter that rests on what `by` may not read, who asks.

        Raises `AdapterError` where the live adapter's files are damaged.
        """
        found = self._playing.get((domain, label)) or self.swap(domain, label)
        open_to = by is None or found.card is None or by.may_use(found.card.grounds)
        return found if open_to else self._base

    def swap(self, domain: str, label: str) -> Players:
        """Take up what the registry says is live. Everything is loaded and probed before; then one reference changes.

        Raises `AdapterError`, and leaves the players as they were.
        """
        with self._lock:
            card = self._registry.live(domain, label)
            card = card if card is not None and self._wearable(card) else None
            held = self._playing.get((domain, label))
            if held is None or held.card != card:
                held = self._base if card is None else self.dressed(card)
                self._playing[domain, label] = held
            return held

    def dressed(self, card: AdapterCard) -> Players:
        """The players in an adapter, probed. Raises `AdapterError`."""
        file = self._registry.file(card, ADAPTER)
        if card.base != self._base.name:
            raise AdapterError(
                f"adapter {card.version} of domain {card.domain!r} is made for {card.base}, not {self._base.name}; "
                f"roll back with: understudy adapters rollback {card.domain}, and refine anew"
            )
        reader = self._base.reader if file is None else self.reader(file, int(card.settings.get("breadth", BREADTH)))
        if file is not None:
            self.check(card, probe_of(reader))
        planner = self.planner(self._registry.file(card, DECODER), card.decoder_probe)
        retriever = self.retriever(self._registry.file(card, HEADS))
        return Players(planner, reader, retriever, f"{self._base.name}+{card.name}", card)

    def candidate(self, files: Mapping[str, Path], breadth: int) -> Players:
        """The players in something that isn't an adapter yet."""
        reader, retriever = self.reader(files[ADAPTER], breadth), self.retriever(files.get(HEADS))
        return Players(self.planner(files.get(DECODER)), reader, retriever, f"{self._base.name}+candidate")

    def planner(self, lora: Path | None, recorded: Probe | None = None) -> SmallModel:
        """The small model in a LoRA of its own, probed; bare without one. Raises `AdapterError`."""
        return self.model if lora is None else self.model.wearing(lora, recorded)

    def retriever(self, heads: Path | None) -> HybridRetriever:
        """The retriever with some heads."""
        return self._base.retriever.taught(Heads.load(heads) if heads else None)

    def reader(self, weights: Path, breadth: int) -> SpanReader:
        """A reader with other weights."""
        return SpanReader(threads=self._threads, weights=weights, breadth=breadth)

    def check(self, card: AdapterCard, probe: tuple[float, ...]) -> None:
        """Raise `AdapterError` unless a probe shows the adapter at work."""
        if probe == self._base_probe:
            raise AdapterError(f"adapter {card.version} of domain {card.domain!r} changes nothing: it isn't in force")
        if len(probe) != len(card.probe) or any(abs(a - b) > TOLERANCE for a, b in zip(probe, card.probe, strict=True)):
            raise AdapterError(
                f"adapter {card.version} of domain {card.domain!r} doesn't do what its card says; "
                f"roll back with: understudy adapters rollback {card.domain}"
            )

    def name(self, domain: str, label: str) -> str:
        """Of the players there, without loading them.

        A damaged adapter has a name too: whoever asks is told, but the workspace opens, or nobody could roll back.
        """
        held = self._playing.get((domain, label))
        if held is not None:
            return held.name
        try:
            card = self._registry.pointed(domain, label)
        except AdapterError:
            return f"{self._base.name}+damaged"
        worn = card is not None and self._wearable(card)
        return f"{self._base.name}+{card.name}" if card is not None and worn else self._base.name

    def in_force(self) -> str | None:
        """The adapters that are live, as one line; `None` for none."""
        bare = self._base.name
        names = {self.name(*place) for place in self._registry.places()} - {bare}
        return ", ".join(sorted(name.removeprefix(f"{bare}+") for name in names)) or None


def probe_of(reader: SpanReader) -> tuple[float, ...]:
    """What a reader makes of a fixed passage: the signals of its likeliest span."""
    best = max(reader.candidates(PROBE_QUESTION, [PROBE]), key=lambda span: span.signals[0])
    return tuple(round(value, 5) for value in best.signals)


Place = Callable[[str], tuple[str, str]]
"""The domain and access label of a collection."""


@dataclass(frozen=True)
class CollectionsCast:
    """Which models answer in a collection, by name."""

    cast: Cast
    place: Place

    def name(self, collection: str) -> str:
        """The small model, with the adapter that it wears there."""
        return self.cast.name(*self.place(collection))

    def adapters(self) -> str | None:
        """All adapters in force, as one line."""
        return self.cast.in_force()
