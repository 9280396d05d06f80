"""Suite `swap`: adapters change under load; what fails, and how long a question waits for it."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from understudy.agents import Agent
from understudy.agents.cast import probe_of
from understudy.apps.metrics import quantile
from understudy.core.adapters import AdapterCard, GateReport
from understudy.core.errors import UnderstudyError
from understudy.core.settings import DeferralSettings, Settings
from understudy.core.types import Outcome
from understudy.distillation.registry import Registry
from understudy.distillation.train_reader import ADAPTER
from understudy.retrieval.onnx_models import READER_WEIGHTS

__all__ = ["measure_swap", "noisy_adapter"]

THREADS, SWAPS = 8, 20
SAMPLES = Path(__file__).parents[1] / "samples" / "documents"
QUESTIONS = (
    "When was Halden Instruments founded?",
    "What are the visiting hours?",
    "What was Revenue in 2023?",
    "How many days of leave do employees take?",
)


def measure_swap(limit: int | None, seed: int) -> dict[str, Any]:
    """Eight threads ask while two adapters go live by turns; weights of both are the shipped ones with noise.

    A wait is the time a question takes to get its model; a swap's own time, loading and probing, nobody waits for.
    """
    fixed = Settings(deferral=DeferralSettings(min_confidence=0.0, audit_rate=0.0))
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as room, Agent.open(room, settings=fixed) as agent:
        agent.ingest([SAMPLES])
        cards = [noisy_adapter(agent, Path(room), seed + n) for n in range(2)]
        played: list[Outcome] = []
        agent.deferral.listeners.append(played.append)
        load = Load(agent)
        load.start()
        swaps = []
        for number in range(min(limit or SWAPS, SWAPS)):
            time.sleep(0.5)
            card = cards[number % 2]
            agent.registry.promote(card)
            began = time.perf_counter()
            agent.cast.swap(card.domain, card.label)
            swaps.append(time.perf_counter() - began)
        load.stop()
        names = Counter(outcome.small_model for outcome in played)
    return {
        "threads": THREADS,
        "swaps": len(swaps),
        "questions": load.asked,
        "errors": len(load.errors),
        "models_that_answered": len(names),
        "wait_ms_longest": round(1000 * max(load.waits), 3),
        "wait_ms_median": round(1000 * quantile(load.waits, 0.5), 4),
        "swap_seconds_median": round(quantile(swaps, 0.5), 3),
    }


class Load:
    """Threads that ask, and time how long each question waits for its model."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(THREADS)]
        self.asked = 0
        self.errors: list[str] = []
        self.waits: list[float] = []

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, once the questions in flight are answered."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        while not self._ended.is_set():
            began = time.perf_counter()
            self._agent.cast.playing(*self._agent.place("default"))
            self.waits.append(time.perf_counter() - began)
            try:
                self._agent.ask(QUESTIONS[(number + self.asked) % len(QUESTIONS)])
            except UnderstudyError as error:
                self.errors.append(str(error))
            self.asked += 1


def noisy_adapter(agent: Agent, room: Path, seed: int, **changes: object) -> AdapterCard:
    """The shipped reader with noise on its factors, as an adapter that the gate let through; `changes` of its card."""
    rng = np.random.default_rng(seed)
    tensors = {
        name: tensor + (0.01 * rng.standard_normal(tensor.shape)).astype(tensor.dtype) if "lora" in name else tensor
        for name, tensor in load_file(READER_WEIGHTS).items()
    }
    weights = room / f"noisy-{seed}.safetensors"
    save_file(tensors, weights)
    probe = probe_of(agent.cast.reader(weights, 5))

    def make(version: str, hashes: Mapping[str, str]) -> AdapterCard:
        card = AdapterCard(
            version=version, run=f"noise-{seed}", domain="default", label="default", base=agent.model.name,
            created="", seed=seed, examples={}, files=dict(hashes), probe=probe,
            gate=GateReport(questions=0, promoted=True, reason="made for a measurement"),
        )  # fmt: skip
        return card.model_copy(update=changes)

    registry: Registry = agent.registry
    return registry.add({ADAPTER: weights}, make)
