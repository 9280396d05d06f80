"""The small model's part of a candidate: a LoRA of its own, where it can have one."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.core.errors import UserError
from understudy.core.settings import BaseFormat
from understudy.core.types import Example
from understudy.core.workspace import write_atomically
from understudy.distillation.curate import Curated
from understudy.distillation.export import rows
from understudy.distillation.identity import identity_of
from understudy.distillation.train_decoder import LoraRecipe, Progress, Render, Row, Trained, sequence, train

if TYPE_CHECKING:
    from understudy.distillation.base import Base

__all__ = ["DECODER", "DecoderTrainer", "teachable"]

DECODER = "decoder.gguf"
FIGURES = "decoder.json"
BYTES_PER_WEIGHT: dict[BaseFormat, float] = {"float32": 4.5, "bfloat16": 2.5, "nf4": 0.8}
"""What training takes at the least: the base, and an adapter with its optimizer."""
LABEL = re.compile(r"^\[passage (\d+)\]", re.MULTILINE)
"""How a transcript for a model that reads names the passages that it shows."""


@dataclass(frozen=True)
class DecoderTrainer:
    """Trains the small model's LoRA in a folder of its own, where a run that was killed goes on.

    What can't be trained is left out with the reason, and the candidate goes without it.
    """

    path: Path
    """The small model's GGUF."""
    render: Render
    """Must give the same ids to the same transcript in every process."""
    recipe: LoraRecipe
    base_format: BaseFormat | None = None
    """In place of the recipe's; without one a base lies in nf4 where it can."""

    def train(self, folder: Path, examples: Sequence[Example], held_out: Sequence[Example]) -> dict[str, Any]:
        """Train, and give the figures of the run, or why it was `left_out`."""
        done = folder / FIGURES
        if done.exists():
            return dict(json.loads(done.read_text(encoding="utf-8")))
        try:
            figures = self.learned(folder, teachable(examples), teachable(held_out))
        except UserError as error:  # a package or a transcript that is missing, a model that can't be trained
            figures = {"left_out": str(error)}
        write_atomically(done, json.dumps(figures) + "\n")
        return figures

    def export(self, folder: Path) -> dict[str, Path]:
        """Its GGUF, if there is one: a run that began under other settings may have trained none."""
        done, target = folder / FIGURES, folder / DECODER
        figures = json.loads(done.read_text(encoding="utf-8")) if done.exists() else {}
        if "run" not in figures:
            return {}
        if not target.exists():
            from understudy.distillation.base import Base
            from understudy.distillation.lora_gguf import write_adapter

            write_adapter(folder / figures["run"] / "adapter", Base(self.path), target, name="refined")
        return {DECODER: target}

    def learned(self, folder: Path, taught: Sequence[Row], watched: Sequence[Row]) -> dict[str, Any]:
        """The figures of a run. Raises `UserError`."""
        from understudy.distillation.base import Base

        base, recipe = Base(self.path), self.settled()
        check(base, recipe.base_format)
        run = self.run_of(base, [*taught, *watched], recipe)
        found = train(base, taught, watched, recipe, folder / run, render=self.render, on_progress=show)
        if not found.after < found.before:
            raise UserError(
                f"it got no better on the examples kept apart: {found.after:.3f} nats a token after training, "
                f"{found.before:.3f} before"
            )
        return {"run": run, "base_format": recipe.base_format, "held_out_rows": len(watched), **figures_of(found)}

    def settled(self) -> LoraRecipe:
        """The recipe of this machine. Only training asks for it, since it needs torch."""
        from understudy.distillation.nf4 import nf4_available

        chosen = self.base_format or ("nf4" if nf4_available() else self.recipe.base_format)
        return replace(self.recipe, base_format=chosen)

    def run_of(self, base: Base, transcripts: Sequence[Row], recipe: LoraRecipe) -> str:
        """The name of a run's folder: one on other transcripts, such as after an erasure, begins anew beside it."""
        ids = (sequence(row, self.render).ids for row in transcripts)
        identity = identity_of({**asdict(recipe), "base": base.digest}, ids)
        return "lora-" + hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def teachable(examples: Sequence[Example]) -> list[Row]:
    """The rows of curated examples whose transcript shows what the taught step quotes.

    Left out are transcripts of a model that reads no text (they begin without instructions), and answers that rest on
    passages which only the expert was shown: the small model would learn to quote what it hasn't read.
    """
    found = rows([Curated(e) for e in examples], ["train"] * len(examples))
    return [row for row in found if row["completion"] and row["prompt"][0]["role"] == "system" and shows(row)]


def shows(row: Row) -> bool:
    """Whether every passage that a row's last step quotes stands in its transcript."""
    shown = {int(n) for m in row["prompt"] if m["role"] == "user" for n in LABEL.findall(m["content"])}
    step = json.loads(row["completion"][0]["content"])
    return {quote["passage"] for quote in step.get("quotes", ())} <= shown


def check(base: Base, base_format: BaseFormat) -> None:
    """Raise `UserError` for a network that is not trained here, or too large: the system would kill the process."""
    kind = base.config.model_type
    needed = base.parameters * BYTES_PER_WEIGHT[base_format]
    there = memory_there(base_format)
    if needed > there:
        raise UserError(
            f"training a {kind} network of {base.parameters / 1e9:.1f} billion weights in {base_format} takes "
            f"{needed / 2**30:.0f} GiB of memory, and this machine has {there / 2**30:.0f}: "
            "use a smaller model, or a larger machine"
        )


def memory_there(base_format: BaseFormat) -> int:
    """Bytes that training can have; a base that isn't quantized passes through the machine's memory to a GPU's."""
    import torch

    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if not torch.cuda.is_available():
        return host
    card = int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
    return card if base_format == "nf4" else min(card, host)


def figures_of(found: Trained) -> dict[str, Any]:
    """What a card says of a run; losses are in nats a token of a step."""
    kept = {"left_out_rows" if name == "left_out" else name: v for name, v in asdict(found).items() if name != "folder"}
    return {name: round(v, 4) if isinstance(v, float) else v for name, v in kept.items()}


def show(progress: Progress) -> None:
    """One line of a run."""
    from understudy.distillation.checkpoint import console

    losses = {"loss": progress.loss, "held-out loss": progress.held_out}
    shown = " ".join(f"{name} {loss:.4f}" for name, loss in losses.items() if loss is not None)
    console.print(
        f"small model: step {progress.step}/{progress.steps} {shown} "
        f"{progress.tokens_per_second:.0f} tokens/s {progress.peak_mib:.0f} MiB",
        highlight=False,
    )
