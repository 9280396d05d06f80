"""Which file `small_model.path` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.agents.assembly import model_path
from understudy.agents.small_model import starter_path
from understudy.core.errors import ModelFileError


def test_a_relative_path_is_seen_from_the_workspace(tmp_path: Path) -> None:
    assert model_path("only.gguf", tmp_path) == tmp_path / "only.gguf"
    assert model_path("/models/m.gguf", tmp_path) == Path("/models/m.gguf")
    assert model_path("~/m.gguf", tmp_path) == Path.home() / "m.gguf"
    assert model_path("starter", tmp_path) == starter_path()


def test_downloads_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="give the path"):
        model_path("hf:owner/repo/m.gguf", tmp_path)
