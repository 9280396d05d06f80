"""LoRA for the small model: whole transcripts as the token ids that it reads at run time, loss on its steps alone.

LoRA: Hu et al., 2021, https://arxiv.org/abs/2106.09685. By peft and TRL's `SFTTrainer`, which computes the loss without
the logits of a whole vocabulary at every token. A killed run goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.core.errors import InternalError, MissingExtraError, UserError
from understudy.core.settings import BaseFormat
from understudy.core.types import Message
from understudy.core.workspace import write_atomically
from understudy.distillation.identity import identity_of

if TYPE_CHECKING:
    from understudy.distillation.base import Base

__all__ = ["LoraRecipe", "OnProgress", "Progress", "Render", "Row", "Sequenced", "Trained", "sequence", "train"]

Row = Mapping[str, Any]
"""As `export.rows` gives them; `prompt` and `completion` are what is read of it."""
Render = Callable[[Sequence[Message]], list[int]]
"""Token ids of a transcript as the small model reads them, up to where its next step begins: `SmallModel.render`."""


@dataclass(frozen=True)
class LoraRecipe:
    """Everything that decides the outcome of a training run."""

    seed: int = 17
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    learning_rate: float = 2e-4
    epochs: float = 3.0
    batch: int = 8
    """Transcripts a step of the optimizer."""
    at_once: int = 8
    """Transcripts in memory together; a divisor of `batch`."""
    longest: int = 4096
    """Tokens; longer transcripts are left out."""
    replay: float = 0.25
    """Share of replayed rows among all, as far as there are enough of them."""
    every: int = 20
    """Steps between two looks at the held-out loss, each with a checkpoint."""
    patience: int = 3
    """Looks without a better held-out loss before the run ends."""
    checkpointing: bool = False
    """Activations are computed again instead of kept: about a third slower, far less memory."""
    base_format: BaseFormat = "float32"
    """Of the base's weights; `nf4` needs a GPU and the extra `gpu`. With it and with `bfloat16` matrices are multiplied
    in bfloat16; the adapter stays at full precision."""


@dataclass(frozen=True)
class Sequenced:
    """A transcript as token ids; labels are -100 wherever there is nothing to learn."""

    ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class Progress:
    """A look at a run."""

    step: int
    steps: int
    loss: float | None
    """Of the training since the last report, in nats a token."""
    held_out: float | None
    """On the held-out rows, where this is a look at them."""
    tokens_per_second: float
    peak_mib: float
    """The high-water mark of what the run took of the GPU's memory, or without one of what the process has resident."""


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Trained:
    """What a run gave."""

    folder: Path
    """peft's adapter: the one of the best held-out loss."""
    steps: int
    tokens: int
    """Trained on since the run was taken up, padding left out; as are the seconds."""
    seconds: float
    before: float
    """Held-out loss of the base, in nats a token of a step."""
    after: float
    peak_mib: float
    rows: int
    replayed: int
    left_out: int
    """Rows too long for the recipe."""
    resumed: int
    """The step that the run was taken up at."""


def sequence(row: Row, render: Render) -> Sequenced:
    """The token ids of a row's transcript; what is learned are the steps, each one from where the model writes it."""
    messages = [Message.model_validate(m) for m in [*row["prompt"], *row["completion"]]]
    ids = render(messages)
    labels = [-100] * len(ids)
    for at, message in enumerate(messages):
        if message.role == "assistant":
            before, upto = render(messages[:at]), render(messages[: at + 1])
            if ids[: len(upto)] != upto or upto[: len(before)] != before:
                raise InternalError("a transcript is rendered otherwise once it goes on")
            labels[len(before) : len(upto)] = upto[len(before) :]
    return Sequenced(ids, labels)


def mixed(rows: Sequence[Row], replay: Sequence[Row], recipe: LoraRecipe) -> tuple[list[Row], int]:
    """The rows with so many older ones that they make up the recipe's share, and how many these are."""
    wanted = round(len(rows) * recipe.replay / (1 - recipe.replay))
    drawn = random.Random(recipe.seed).sample(list(replay), min(wanted, len(replay)))
    return [*rows, *drawn], len(drawn)


def train(
    base: Base,
    rows: Sequence[Row],
    held_out: Sequence[Row],
    recipe: LoraRecipe,
    out: Path,
    *,
    render: Render,
    replay: Sequence[Row] = (),
    on_progress: OnProgress | None = None,
) -> Trained:
    """Train an adapter. The same call on the same folder goes on where a killed one stopped, or gives what it gave.

    Args:
        base: what the adapter is for.
        rows: to learn from.
        held_out: to stop by; never trained on.
        recipe: everything that decides the outcome.
        out: a folder of this run's own, for checkpoints and the adapter.
        render: how the small model reads transcripts.
        replay: older examples and general data, so that what was learned before isn't lost.
        on_progress: told after every step that is logged.

    Raises:
        UserError: nothing to learn from, or to stop by, is left; or there is no GPU for a base in nf4.
        MissingExtraError: the extra `refine` isn't installed, or `gpu` for a base in nf4.
        ModelFileError: the base can't be trained.
    """
    chosen, replayed = mixed(rows, replay, recipe)
    learned = [s for s in (sequence(r, render) for r in chosen) if len(s.ids) <= recipe.longest]
    kept = [s for s in (sequence(r, render) for r in held_out) if len(s.ids) <= recipe.longest]
    if not learned or not kept:
        raise UserError(
            f"{len(learned)} transcripts to learn from and {len(kept)} to stop by: give at least one of each"
        )
    if recipe.batch % recipe.at_once:
        raise UserError(f"a batch of {recipe.batch} can't be taken {recipe.at_once} at once; give a divisor")
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = identity_of({**asdict(recipe), "base": base.digest}, [s.ids + s.labels for s in learned + kept])
    resume = checkpoint_of(out, identity)
    finished = out / "trained.json"
    if finished.exists():
        return Trained(**json.loads(finished.read_text(encoding="utf-8")) | {"folder": out / "adapter"})
    try:
        from understudy.distillation.sft import run_sft
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "peft", "refine") from error
    found = run_sft(base, learned, kept, recipe, out, resume, on_progress or (lambda _: None))
    left_out = len(chosen) + len(held_out) - len(learned) - len(kept)
    resumed = 0 if resume is None else int(resume.name.rpartition("-")[2])
    counts = {"rows": len(learned), "replayed": replayed, "left_out": left_out, "resumed": resumed}
    write_atomically(finished, json.dumps(found | counts) + "\n")
    return Trained(**found, **counts, folder=out / "adapter")


def checkpoint_of(out: Path, identity: Mapping[str, Any]) -> Path | None:
    """The last whole checkpoint of this very run; those of another run in the folder are in the way, and refused."""
    mark = out / "run.json"
    text = json.dumps(identity, sort_keys=True) + "\n"
    if mark.exists() and mark.read_text(encoding="utf-8") != text:
        raise UserError(f"{out} holds another run, by another recipe or on other data; give an empty folder")
    write_atomically(mark, text)
    whole = [p.parent for p in (out / "checkpoints").glob("checkpoint-*/trainer_state.json") if is_whole(p)]
    return max(whole, key=lambda p: int(p.name.rpartition("-")[2]), default=None)


def is_whole(state: Path) -> bool:
    """Whether a checkpoint was written to its end: its state comes last."""
    try:
        json.loads(state.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return False
    return True
