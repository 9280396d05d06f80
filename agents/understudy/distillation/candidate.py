"""A candidate whole: what learns from the examples, one part after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.core.types import Example
from understudy.distillation.decoder_trainer import DecoderTrainer
from understudy.distillation.train_reader import ReaderTrainer

__all__ = ["CandidateTrainer"]


@dataclass(frozen=True)
class CandidateTrainer:
    """Trains the reader's adapter with its heads, and the small model's where it reads; each keeps files of its own."""

    reader: ReaderTrainer
    decoder: DecoderTrainer | None = None

    def train(
        self, folder: Path, examples: Sequence[Example], held_out: Sequence[Example], others: Sequence[Example]
    ) -> dict[str, Any]:
        """Train, or go on; gives the reader's figures, and under `small_model` the small model's."""
        figures = self.reader.train(folder, examples, held_out, others)
        return figures | ({"small_model": self.decoder.train(folder, examples, held_out)} if self.decoder else {})

    def export(self, folder: Path, held_out: Sequence[Example]) -> dict[str, Path]:
        """The files of all parts by name."""
        return self.reader.export(folder, held_out) | (self.decoder.export(folder) if self.decoder else {})
