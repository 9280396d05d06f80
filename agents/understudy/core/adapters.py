"""What is known of adapters: their cards, the gate's findings, and how to prove that one is in force."""

from __future__ import annotations

import hashlib
from typing import Any

from understudy.core.access import Ground
from understudy.core.data import Data
from understudy.core.types import Scope

__all__ = ["ADAPTER_BASE_KEY", "AdapterCard", "GateReport", "Probe"]

ADAPTER_BASE_KEY = "understudy.base"
"""In an adapter's GGUF: SHA-256 of the GGUF that it was trained on."""


class GateReport(Data):
    """What the gate found: an adapter goes live only where nothing speaks against it."""

    questions: int
    """Gate examples of the domain."""
    classes: dict[str, int] = {}
    """How many of each kind of answer."""
    missing: int = 0
    """Gate examples that are missing before anything can be told."""
    live: float = 0.0
    """Agreement of the live model with the expert, every class counting the same."""
    candidate: float = 0.0
    p: float = 1.0
    """Of the paired test that the candidate is no better."""
    learned: float = 0.0
    """How much of its gain is beyond what its answers would gain as answers to other questions."""
    p_learned: float = 1.0
    """Of the permutation test that this is chance."""
    general_questions: int = 0
    general_live: float = 0.0
    general_candidate: float = 0.0
    canaries: int = 0
    """Planted or rejected texts that the candidate gave out."""
    promoted: bool = False
    reason: str


class AdapterCard(Data):
    """All that is known of an adapter: what it is for, what it was made from, what the gate found."""

    version: str
    run: str
    """Of the refinement that made it."""
    domain: str
    label: str
    """Access label: it serves only questions of collections that have it."""
    base: str
    """Name and content hash of the small model that it adapts."""
    parent: str | None = None
    """The version that was live when it was made."""
    created: str
    seed: int
    examples: dict[str, int]
    """How many of each role it was made with."""
    trained_on: tuple[str, ...] = ()
    """Ids of the examples that shaped it."""
    documents: tuple[str, ...] = ()
    """Those that the examples quote."""
    grounds: tuple[Ground, ...] = ()
    """The collections that the examples rest on, with their labels then. None in cards of before grounds were kept."""
    rests_on: tuple[Scope, ...] | None = None
    """All documents that were read for it, see `core.provenance`; `None` in those of before that was noted."""
    withdrawn: str = ""
    """When and why its files were deleted; it can't be put in force again."""
    rejected: dict[str, int] = {}
    """Examples left out, by reason."""
    training: dict[str, Any] = {}
    """Loss, steps, seconds, CPU-seconds, peak memory."""
    files: dict[str, str] = {}
    """SHA-256 by name."""
    settings: dict[str, Any] = {}
    """How it is to be run."""
    probe: tuple[float, ...] = ()
    """What its reader says to a fixed question, to tell after a swap that it is in force."""
    decoder_probe: Probe | None = None
    """The same of the small model, where it has a LoRA of its own."""
    gate: GateReport

    @property
    def name(self) -> str:
        """As outcomes know it."""
        return f"{self.domain}/{self.version}@{self.digest[:12]}"

    @property
    def digest(self) -> str:
        """Of its files."""
        return hashlib.sha256("".join(f"{n}{h}" for n, h in sorted(self.files.items())).encode()).hexdigest()


class Probe(Data):
    """Logits after a fixed prompt without and with an adapter: after a swap, they prove that it is that adapter."""

    adapter: str
    """SHA-256 of its GGUF."""
    base: str
    """SHA-256 of the model's."""
    tokens: tuple[int, ...]
    ids: tuple[int, ...]
    """The tokens whose logits are kept: those that the adapter made likeliest."""
    base_logits: tuple[float, ...]
    logits: tuple[float, ...]
