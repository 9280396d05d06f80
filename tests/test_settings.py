"""What is wrong with `understudy.toml` is said in one plain line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from understudy.core.errors import SettingsError
from understudy.core.settings import Settings

PATTERN = {"type": "CASE", "regex": "x"}


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"small_model": {"context": 1}}, "small_model.context: it should be 256 or more, not 1"),
        ({"small_model": {"context": "x"}}, "small_model.context: it should be a whole number, not 'x'"),
        ({"small_model": {"context": 1.5}}, "small_model.context: it should be a whole number, not 1.5"),
        ({"small_model": 3}, "small_model: it should be a table, not 3"),
        ({"cache": {"max_error": 2}}, "cache.max_error: it should be 1 or less, not 2"),
        ({"cache": {"semantic": "perhaps"}}, "cache.semantic: it should be true or false, not 'perhaps'"),
        ({"deferral": {"confidence": 1.0}}, "deferral.confidence: it should be less than 1, not 1.0"),
        ({"experts": [{"name": "gpt"}]}, "experts.0.model: it is missing"),
        ({"experts": {"name": "gpt"}}, "experts: it should be a list"),
        ({"experts": [{"name": "gpt", "model": "m", "timeout_s": 0}]}, "experts.0.timeout_s: it should be more than 0, not 0"),
        ({"collections": {"a": {"sensitivity": "x"}}}, "collections.a.sensitivity: it should be 'open', 'redacted' or 'local', not 'x'"),
        ({"collections": {"a": {"protect": "patient"}}}, "collections.a.protect: it should be a list, not 'patient'"),
        ({"examples": {"url_env": ""}}, "examples.url_env: it should not be empty"),
        ({"audit": {"key_directory": 3}}, "audit.key_directory: it should be a path, not 3"),
        ({"privacy": {"ner": 3}}, "privacy.ner: it should be a path, not 3"),
        ({"privacy": {"net": "x"}}, "unknown key 'privacy.net'; did you mean 'ner'?"),
        ({"privacy": {"patterns": [PATTERN | {"regex": "x*"}]}}, "privacy.patterns.0.regex: it matches the empty text, not 'x*'"),
        ({"privacy": {"patterns": [PATTERN | {"type": "a"}]}}, "privacy.patterns.0.type: it should match ^[A-Z][A-Z_]{0,30}$, not 'a'"),
        ({"principals": {"owner": {}}}, "principals: the principal 'owner' may read everything; give labels to another"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_plain_line(tables: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.parse(tables, "understudy.toml")
    assert str(caught.value) == f"understudy.toml: {said}"


def test_a_folder_of_a_model_is_a_path() -> None:
    assert Settings.parse({"privacy": {"ner": "models/names"}}).privacy.ner == Path("models/names")
    assert Settings().privacy.ner is None
