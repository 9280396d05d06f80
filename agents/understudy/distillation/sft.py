"""One run of TRL's `SFTTrainer` over transcripts that are token ids already; imported only to train."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets.table import InMemoryTable
from peft import LoraConfig
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import EarlyStoppingCallback, PreTrainedTokenizerFast, PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from understudy.core.machine import peak_mib
from understudy.distillation.base import Base
from understudy.distillation.identity import identity_of
from understudy.distillation.train_decoder import LoraRecipe, OnProgress, Progress, Sequenced

__all__ = ["at_full_precision", "lora_config", "run_sft", "sft_config"]


def run_sft(
    base: Base,
    learned: Sequence[Sequenced],
    kept: Sequence[Sequenced],
    recipe: LoraRecipe,
    out: Path,
    resume: Path | None,
    on_progress: OnProgress,
) -> dict[str, Any]:
    """Train, keep the adapter of the best held-out loss, save it; gives most fields of `Trained`."""
    torch.manual_seed(recipe.seed)
    looks = Looks(on_progress)
    trainer: Any = SFTTrainer(
        model=base.load(recipe.base_format),
        args=sft_config(recipe, out / "checkpoints", steps_of(recipe, len(learned))),
        train_dataset=dataset(learned),
        eval_dataset=dataset(kept),
        processing_class=no_tokenizer(),
        peft_config=lora_config(recipe),
        callbacks=[looks, EarlyStoppingCallback(recipe.patience)],
    )
    trainer.remove_callback(PrinterCallback)  # stdout is not ours
    at_full_precision(trainer.model)
    # An adapter begins as no change at all, so what it scores untrained is the base's.
    before = untrained_loss(trainer)
    began = time.monotonic()
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    seconds = time.monotonic() - began
    trainer.model.save_pretrained(out / "adapter")
    after = trainer.evaluate()["eval_loss"]
    return {
        "steps": trainer.state.global_step,
        "tokens": looks.tokens,
        "seconds": seconds,
        "before": before,
        "after": after,
        "peak_mib": peak_of_run(),
    }


def at_full_precision(model: Any) -> None:
    """Undo that TRL holds a quantized base's adapter in bfloat16, which would round small late updates away.

    To be called before there is an optimizer.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def peak_of_run() -> float:
    """In MiB: of the GPU's memory where one trains, else of the process's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return peak_mib()


def untrained_loss(trainer: Any) -> float:
    """Held-out loss before the first step, or before going on: the adapter is switched off for it."""
    with trainer.model.disable_adapter():
        return float(trainer.evaluate()["eval_loss"])


def steps_of(recipe: LoraRecipe, rows: int) -> int:
    """All steps of a run: where there are few, the only look at the held-out loss is at the end."""
    return max(1, math.ceil(math.ceil(rows / recipe.batch) * recipe.epochs))


def sft_config(recipe: LoraRecipe, folder: Path | str, steps: int) -> Any:
    """The recipe in TRL's words, for a run of so many steps."""
    every = min(recipe.every, steps)
    gpu = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(folder),
        seed=recipe.seed,
        data_seed=recipe.seed,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,
        max_steps=steps,
        per_device_train_batch_size=recipe.at_once,
        per_device_eval_batch_size=recipe.at_once,
        gradient_accumulation_steps=recipe.batch // recipe.at_once,
        gradient_checkpointing=recipe.checkpointing,
        bf16=recipe.base_format != "float32",
        use_cpu=not gpu,
        dataloader_pin_memory=gpu,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=every,
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=min(10, every),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        report_to="none",
        disable_tqdm=True,
    )


def lora_config(recipe: LoraRecipe) -> Any:
    """The adapter's shape in peft's words."""
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(recipe.targets),
        task_type="CAUSAL_LM",
    )


def dataset(transcripts: Sequence[Sequenced]) -> Any:
    """Token ids and labels. Named by its numbers: by itself the library would pickle all of Arrow for a name."""
    columns = {"input_ids": [s.ids for s in transcripts], "labels": [s.labels for s in transcripts]}
    name = identity_of({}, columns["input_ids"] + columns["labels"])["data"][:16]
    return Dataset(InMemoryTable.from_pydict(columns), fingerprint=name)


def no_tokenizer() -> Any:
    """What TRL asks for although nothing is left to tokenise; its one token pads, behind a mask."""
    vocabulary = Tokenizer(WordLevel({"<pad>": 0}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=vocabulary, pad_token="<pad>", eos_token="<pad>")


class Looks(TrainerCallback):  # type: ignore[misc]  # untyped library
    """Reports what the trainer logs."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.on_progress = on_progress
        self.tokens = 0
        self._began = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Loss, speed and memory."""
        logs = logs or {}
        if state.max_steps <= 0 or not {"loss", "eval_loss"} & set(logs):
            return
        self.tokens = max(self.tokens, int(logs.get("num_tokens", 0)))
        seconds = max(time.monotonic() - self._began, 1e-9)
        self.on_progress(
            Progress(
                state.global_step,
                state.max_steps,
                logs.get("loss"),
                logs.get("eval_loss"),
                self.tokens / seconds,
                peak_of_run(),
            )
        )
