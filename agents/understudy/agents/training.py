"""What a refinement trains for a small model: the reader always, and a LoRA of its own where it reads."""

from __future__ import annotations

from understudy.agents.small_model import SmallModel
from understudy.core.settings import RefineSettings
from understudy.distillation.candidate import CandidateTrainer
from understudy.distillation.decoder_trainer import DecoderTrainer
from understudy.distillation.train_decoder import LoraRecipe
from understudy.distillation.train_reader import ReaderRecipe, ReaderTrainer
from understudy.retrieval.hybrid import HybridRetriever

__all__ = ["trainer_of"]


def trainer_of(retriever: HybridRetriever, model: SmallModel, settings: RefineSettings) -> CandidateTrainer:
    """The trainer of a workspace."""
    reader = ReaderTrainer(retriever, ReaderRecipe(seed=settings.seed))
    if not (model.profile.writes and settings.small_model):
        return CandidateTrainer(reader)
    bare = model.wearing(None)  # answers nothing, so no step of this process changes how it reads a transcript
    # Long transcripts on two cores: memory is scarcer than time, and padding would cost both.
    recipe = LoraRecipe(seed=settings.seed, longest=model.settings.context, at_once=1, checkpointing=True)
    return CandidateTrainer(reader, DecoderTrainer(model.engine.path, bare.render, recipe, settings.base_format))
