"""The reader's confidence: what a passage lacks, and what the fitted weights make of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from understudy.core.errors import ModelFileError
from understudy.retrieval.confidence import CALIBRATION, SIGNALS, Confidence, missing_share, stop_ids
from understudy.retrieval.onnx_models import READER_WEIGHTS, tokenizer_path


def test_words_that_a_passage_lacks_count_and_little_words_do_not() -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_path()))
    tokenizer.no_padding()
    stop = stop_ids(tokenizer)

    def share(question: str, passage: str) -> float:
        ids = (tokenizer.encode(text, add_special_tokens=False).ids for text in (question, passage))
        return missing_share(*ids, stop)

    assert share("When was the bridge built?", "A bridge built long ago") == 0
    assert share("When was the bridge closed?", "A bridge built long ago") == pytest.approx(0.5)
    assert share("When was it?", "Nothing") == 0


def test_probabilities_come_from_the_weights_in_the_reader_s_file(tmp_path: Path) -> None:
    rows = np.zeros((2, len(SIGNALS) + 1), dtype=np.float32)
    rows[0, 0], rows[1, -1] = 1.0, -2.0
    save_file({CALIBRATION: rows}, tmp_path / "w.safetensors")
    right, answers = Confidence.load(tmp_path / "w.safetensors").of([3.0] + [0.0] * (len(SIGNALS) - 1))
    assert right == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert answers == pytest.approx(1 / (1 + np.exp(2.0)))


def test_the_shipped_weights_are_calibrated() -> None:
    confidence = Confidence.load(READER_WEIGHTS)
    assert confidence.weights.shape == (2, len(SIGNALS) + 1)
    good = confidence.of([6.0, 3.0, -0.1, 0.0])
    poor = confidence.of([-6.0, -3.0, -3.0, 0.8])
    assert good[0] > poor[0]
    assert good[1] > poor[1]


def test_weights_without_a_calibration_are_refused(tmp_path: Path) -> None:
    save_file({"span.bias": np.zeros(2, dtype=np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelFileError, match="no calibrated reader"):
        Confidence.load(tmp_path / "w.safetensors")
