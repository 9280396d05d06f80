"""Which expert to ask: the cheapest one expected to do, then the next; one that is down is left alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from understudy.core.errors import ExpertAuthError, ExpertError, ExpertUnavailableError
from understudy.core.protocols import Expert, Payload
from understudy.core.settings import ExpertSettings
from understudy.core.types import ExpertAnswer, Scope

__all__ = ["Breaker", "Pool", "Record"]

GOOD_ENOUGH = 0.7
"""An expert expected to give a usable answer this often is not passed over for a dearer one."""
SKILLED, UNSKILLED = (4.0, 1.0), (2.0, 2.0)
"""Successes and failures supposed at first: of an expert that names this domain, or none, and of another."""
FAILURES, REST_S = 3, 60.0


@dataclass(frozen=True)
class Record:
    """How often an expert's answers in a domain were usable."""

    usable: int = 0
    asked: int = 0


@dataclass
class Breaker:
    """Keeps an expert out after some failures in a row, and lets one question through to try it after a rest."""

    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    opened: float = field(default=0.0)
    before: float = field(default=0.0)
    """`opened` before the last turn was taken."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def resting(self) -> bool:
        """Whether it keeps the expert out now."""
        return self.failures >= FAILURES and self.clock() - self.opened < REST_S

    def take(self) -> bool:
        """Whether the expert may be asked now; the one that tries it after a rest takes the turn of the others."""
        with self.lock:
            if self.failures < FAILURES:
                return True
            if self.clock() - self.opened < REST_S:
                return False
            self.before, self.opened = self.opened, self.clock()
            return True

    def give_back(self) -> None:
        """The turn wasn't used: something else kept the expert from being asked."""
        with self.lock:
            if self.failures >= FAILURES:
                self.opened = self.before

    def note(self, *, ok: bool) -> None:
        """What came of asking."""
        with self.lock:
            self.failures = 0 if ok else self.failures + 1
            self.opened = self.clock()


class Pool:
    """The experts of a workspace, as `Experts`.

    Args:
        experts: with their settings.
        record: of an expert (by name) in a domain.
        keep: remembers whether an expert's reply in a domain could be used.
        domain: of a collection.
        informed: whether an expert (by name) would see evidence, by the policy of what a payload draws on.
    """

    def __init__(
        self,
        experts: Sequence[tuple[Expert, ExpertSettings]],
        record: Callable[[str, str], Record],
        keep: Callable[[str, str, bool], None],
        domain: Callable[[str], str],
        informed: Callable[[Payload, str], bool] = lambda payload, name: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._informed = informed
        self._experts = experts
        self._record = record
        self._keep = keep
        self._domain = domain
        self._breakers = {expert.name: Breaker(clock) for expert, _ in experts}

    def __len__(self) -> int:
        return len(self._experts)

    def listing(self, records: Mapping[tuple[str, str], Record]) -> list[dict[str, object]]:
        """Names and prices, which are left alone now, and their records by expert and domain, for people."""
        answers: dict[str, list[dict[str, object]]] = {}
        for (expert, domain), held in records.items():
            answers.setdefault(expert, []).append({"domain": domain, "asked": held.asked, "usable": held.usable})
        return [
            {
                "name": expert.name,
                "recorded": expert.recorded,
                "reach": given.reach,
                "usd_per_mtok": [given.input_usd_per_mtok, given.output_usd_per_mtok],
                "skills": list(given.skills),
                "resting": self._breakers[expert.name].resting,
                "answers": answers.get(expert.name, []),
            }
            for expert, given in self._experts
        ]

    def seen(self, name: str) -> bool:
        """Whether the bytes of all that an expert sends are checked. Raises `ExpertError`, `SettingsError`."""
        return any(expert.seen for expert, _ in self._experts if expert.name == name)

    def awake(self) -> bool:
        """Whether any may be asked now."""
        return any(not breaker.resting for breaker in self._breakers.values())

    def ranked(self, payload: Payload) -> Iterator[Expert]:
        """Those that may be asked: the cheapest that is expected to do, then the others, likeliest first.

        Who would be given the question alone comes after all who would see what it is about.

        An expert's turn is taken only when it is come to.
        """
        domain = self._domain(payload.scope.collection)
        rated = []
        for expert, settings in self._experts:
            worst = expert.worst(payload)
            if settings.context is not None and worst.tokens > settings.context * (settings.retries + 1):
                continue
            blind = not self._informed(payload, expert.name)
            rated.append((blind, self.expected(expert.name, settings, domain), worst.usd, expert))
        rated.sort(key=lambda r: (r[0], r[1] < GOOD_ENOUGH, r[2] if r[1] >= GOOD_ENOUGH else -r[1]))
        return (expert for *_, expert in rated if self._breakers[expert.name].take())

    def expected(self, name: str, settings: ExpertSettings, domain: str) -> float:
        """The mean of a Beta posterior: what is supposed, and what was seen in this domain."""
        supposed = SKILLED if not settings.skills or domain in settings.skills else UNSKILLED
        record = self._record(name, domain)
        return (supposed[0] + record.usable) / (sum(supposed) + record.asked)

    def note(self, expert: str, scope: Scope, answer: ExpertAnswer | None, error: ExpertError | None) -> None:
        """What came of asking one: an answer, an error, or neither if it was not asked after all.

        Unreachable ones are left alone; replies without a true quote are no use, and one that finds nothing in the
        documents tells nothing. A recording that isn't there tells nothing of whether the file can be reached.
        """
        if answer is None and error is None:
            self._breakers[expert].give_back()
            return
        down = isinstance(error, ExpertUnavailableError | ExpertAuthError)
        recorded = any(e.name == expert and e.recorded for e, _ in self._experts)
        self._breakers[expert].note(ok=not down or recorded)
        if down or (answer is not None and answer.not_in_documents):
            return
        usable = answer is not None and any(c.kind == "quote" for c in answer.citations)
        self._keep(expert, self._domain(scope.collection), usable)
